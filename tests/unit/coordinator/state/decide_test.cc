#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/limits.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/coordinator/state/state_driver.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::ParseTextProto;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr auto kQueued = v1::Trial::STATE_QUEUED;
constexpr auto kRunning = v1::Trial::STATE_RUNNING;
constexpr auto kSucceeded = v1::Trial::STATE_SUCCEEDED;
constexpr auto kFailed = v1::Trial::STATE_FAILED;
constexpr auto kCancelled = v1::Trial::STATE_CANCELLED;

class DecideTest : public ::testing::Test {
 protected:
  // One experiment with a single trial, and a worker with two slots.
  void Submit(const std::string& more = "") {
    driver_.Register("w1", 2);
    ASSERT_THAT(driver_.Create(SyntheticSpec("plain", more)), IsOkAndHolds("experiments/1"));
  }
  void Begin() {
    ASSERT_THAT(driver_.Allocate(1, 1, {{"w1", 0}}), IsOk());
    driver_.Start(1, 1, "w1");
  }
  v1::Experiment::State ExperimentState() const { return driver_.Experiment(1).record.state(); }

  StateDriver driver_;
};

// --- Experiments ---

TEST_F(DecideTest, CreatesAnExperimentWithItsTrials) {
  ASSERT_THAT(driver_.Create(SyntheticSpec("sweep", LinearSearch(4, 2))),
              IsOkAndHolds("experiments/1"));
  const ClusterState::Experiment& experiment = driver_.Experiment(1);
  EXPECT_THAT(experiment.trials, SizeIs(4));
  EXPECT_EQ(experiment.record.spec().project(), "default");
  EXPECT_EQ(experiment.record.spec().priority(), 50);
  EXPECT_TRUE(experiment.record.search_done());
  EXPECT_EQ(experiment.record.creator(), "tester");
  v1::Recipe recipe;
  ASSERT_TRUE(recipe.ParseFromString(driver_.Trial(1, 3).record.recipe()));
  EXPECT_EQ(recipe.synthetic().final_metric(), 3);
  EXPECT_EQ(driver_.Trial(1, 3).record.parameters().at("recipe.synthetic.final_metric"), "3");
  EXPECT_THAT(driver_.Trial(1, 3).record.recipe_digest(), SizeIs(64));
}

TEST_F(DecideTest, RefusesAnInvalidRecipe) {
  v1::ExperimentSpec spec = SyntheticSpec("bad");
  spec.mutable_recipe()->mutable_synthetic()->set_steps(-1);
  EXPECT_THAT(driver_.Create(spec),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("RECIPE_INVALID")));
  EXPECT_EQ(driver_.state.revision(), 0);
}

TEST_F(DecideTest, RefusesASecondExperimentOfTheSameName) {
  Submit();
  EXPECT_THAT(driver_.Create(SyntheticSpec("plain")),
              StatusIs(absl::StatusCode::kAlreadyExists, Reason("EXPERIMENT_EXISTS")));
  EXPECT_THAT(driver_.Create(SyntheticSpec("plain", "project: 'other'")), IsOk());
}

TEST_F(DecideTest, RefusesADataSetThatDoesNotExist) {
  v1::ExperimentSpec spec = ParseTextProto<v1::ExperimentSpec>(R"pb(
    api: "cvtrain/v1"
    kind: "Experiment"
    name: "real"
    recipe {
      task: TASK_CLASSIFICATION
      epochs: 1
      dataset { name: "trasnet" }
      model { resnet { depth: 18 } }
      sampler { single_scale { height: 32 width: 32 batch_size: 8 } }
      learning_rate { constant { value: 0.1 } }
    })pb");
  EXPECT_THAT(driver_.Create(spec),
              StatusIs(absl::StatusCode::kNotFound, Reason("DATASET_NOT_FOUND")));
}

TEST_F(DecideTest, MakesTrialsAheadOfThoseThatRunAndRefills) {
  driver_.Register("w1", 1);
  ASSERT_THAT(driver_.Create(SyntheticSpec("big", LinearSearch(100, 1))), IsOk());
  EXPECT_THAT(driver_.Experiment(1).trials, SizeIs(65));
  EXPECT_EQ(driver_.Experiment(1).record.trials_left(), 35);
  driver_.Run(1, 1, "w1", 50);
  EXPECT_THAT(driver_.Experiment(1).trials, SizeIs(66));
}

// --- The life of a trial ---

TEST_F(DecideTest, RunsATrialToItsEnd) {
  Submit();
  EXPECT_EQ(driver_.StateOf(1, 1), kQueued);
  ASSERT_THAT(driver_.Allocate(1, 1, {{"w1", 1}}),
              IsOkAndHolds("experiments/1/trials/1/attempts/1"));
  EXPECT_EQ(driver_.StateOf(1, 1), kRunning);
  EXPECT_EQ(driver_.Trial(1, 1).record.attempts(0).lease_generation(), driver_.state.revision());
  EXPECT_THAT(driver_.state.workers().at(WorkerName("w1")).busy, SizeIs(1));
  driver_.Start(1, 1, "w1");
  driver_.Evaluate(1, 1, "w1", 50, 40);
  driver_.Evaluate(1, 1, "w1", 100, 30);
  EXPECT_EQ(driver_.Trial(1, 1).objective, 30);
  driver_.End(1, 1, "w1", "FINISHED");
  EXPECT_EQ(driver_.StateOf(1, 1), kSucceeded);
  EXPECT_EQ(ExperimentState(), v1::Experiment::STATE_SUCCEEDED);
  EXPECT_THAT(driver_.state.workers().at(WorkerName("w1")).busy, IsEmpty());
  EXPECT_THAT(driver_.state.active(), IsEmpty());
}

TEST_F(DecideTest, RefusesSlotsThatAreNotFree) {
  driver_.Register("w1", 2);
  ASSERT_THAT(driver_.Create(SyntheticSpec("sweep", LinearSearch(3, 3))), IsOk());
  ASSERT_THAT(driver_.Allocate(1, 1, {{"w1", 0}}), IsOk());
  EXPECT_THAT(driver_.Allocate(1, 2, {{"w1", 0}}),
              StatusIs(absl::StatusCode::kFailedPrecondition, Reason("WRONG_STATE")));
  EXPECT_THAT(driver_.Allocate(1, 1, {{"w1", 1}}),
              StatusIs(absl::StatusCode::kFailedPrecondition, Reason("WRONG_STATE")));
  EXPECT_THAT(driver_.Allocate(1, 2, {{"w1", 1}, {"w1", 2}}),
              StatusIs(absl::StatusCode::kFailedPrecondition, Message(HasSubstr("needs 1 slots"))));
}

struct RetryCase {
  std::string cause;
  int retries;  // before the trial fails
};

class RetryTest : public DecideTest, public ::testing::WithParamInterface<RetryCase> {};

TEST_P(RetryTest, RetriesWithinTheBudgetOfTheCause) {
  Submit("retry { user_max: 1 out_of_memory_max: 2 infrastructure_max: 3 }");
  for (int i = 0; i < GetParam().retries; ++i) {
    Begin();
    driver_.End(1, 1, "w1", GetParam().cause, "the reason");
    ASSERT_EQ(driver_.StateOf(1, 1), kQueued) << i;
  }
  Begin();
  driver_.End(1, 1, "w1", GetParam().cause, "the reason");
  EXPECT_EQ(driver_.StateOf(1, 1), kFailed);
  EXPECT_THAT(driver_.Trial(1, 1).record.reason(), HasSubstr("the reason"));
  EXPECT_EQ(ExperimentState(), v1::Experiment::STATE_FAILED);
  EXPECT_THAT(driver_.Experiment(1).record.message(), HasSubstr("the reason"));
}

INSTANTIATE_TEST_SUITE_P(Causes, RetryTest,
                         ::testing::Values(RetryCase{"USER_ERROR", 1}, RetryCase{"DIVERGED", 1},
                                           RetryCase{"DATA", 1}, RetryCase{"OUT_OF_MEMORY", 2},
                                           RetryCase{"DEVICE_FAULT", 3}, RetryCase{"INTERNAL", 3}),
                         [](const auto& tested) { return tested.param.cause; });

class NoBudgetTest : public DecideTest, public ::testing::WithParamInterface<std::string> {};

TEST_P(NoBudgetTest, QueuesAgainWhateverTheBudgets) {
  Submit("retry { user_max: 0 out_of_memory_max: 0 infrastructure_max: 0 }");
  for (int i = 0; i < 5; ++i) {
    Begin();
    driver_.End(1, 1, "w1", GetParam());
    ASSERT_EQ(driver_.StateOf(1, 1), kQueued);
  }
}

INSTANTIATE_TEST_SUITE_P(Causes, NoBudgetTest,
                         ::testing::Values("RESIZED", "PAUSED", "PREEMPTED", "WORKER_LOST"),
                         [](const auto& tested) { return tested.param; });

TEST_F(DecideTest, GivesUpAfterTooManyAttempts) {
  Submit();
  for (int i = 1; i < limits::kAttemptsPerTrialMax; ++i) {
    ASSERT_THAT(driver_.Allocate(1, 1, {{"w1", 0}}), IsOk());
    driver_.End(1, 1, "w1", "PREEMPTED");
  }
  EXPECT_EQ(driver_.StateOf(1, 1), kQueued);
  ASSERT_THAT(driver_.Allocate(1, 1, {{"w1", 0}}), IsOk());
  driver_.End(1, 1, "w1", "PREEMPTED");
  EXPECT_EQ(driver_.StateOf(1, 1), kFailed);
  EXPECT_THAT(driver_.Trial(1, 1).record.reason(), HasSubstr("gave up after 1000 attempts"));
}

TEST_F(DecideTest, KeepsTheLineageOfWhatCounts) {
  Submit();
  Begin();
  ASSERT_THAT(driver_.Save(1, 1, "w1", 1, 40), IsOk());
  driver_.End(1, 1, "w1", "WORKER_LOST");
  ASSERT_THAT(driver_.Allocate(1, 1, {{"w1", 0}}), IsOk());
  EXPECT_EQ(driver_.Trial(1, 1).record.attempts(1).start_step(), 40);
  // An attempt that never began changes nothing.
  EXPECT_THAT(driver_.Trial(1, 1).record.lineage(), SizeIs(1));
  driver_.Start(1, 1, "w1", 40);
  driver_.End(1, 1, "w1", "WORKER_LOST");
  ASSERT_THAT(driver_.Allocate(1, 1, {{"w1", 0}}), IsOk());
  driver_.Start(1, 1, "w1", 40);
  const auto& lineage = driver_.Trial(1, 1).record.lineage();
  ASSERT_THAT(lineage, SizeIs(2));
  EXPECT_EQ(lineage[0].attempt(), 1);
  EXPECT_EQ(lineage[1].attempt(), 3);
  EXPECT_EQ(lineage[1].from_step(), 40);
}

TEST_F(DecideTest, CountsARepeatedEvaluationOnce) {
  Submit();
  Begin();
  driver_.Evaluate(1, 1, "w1", 50, 10);
  driver_.Evaluate(1, 1, "w1", 100, 20);
  driver_.Evaluate(1, 1, "w1", 50, 15);
  const auto& evaluations = driver_.Trial(1, 1).record.evaluations();
  ASSERT_THAT(evaluations, SizeIs(2));
  EXPECT_EQ(evaluations[0].metrics().at("val/top1"), 15);
  EXPECT_EQ(driver_.Trial(1, 1).objective, 20);
}

// --- Facts and leases ---

TEST_F(DecideTest, SkipsFactsThatAreKnown) {
  Submit();
  Begin();
  auto request = driver_.Report(driver_.Trial(1, 1), "w1");
  driver_.Add(request, "evaluation { step: 1 }");
  ASSERT_THAT(driver_.Commit(DecideFacts(driver_.state, request, driver_.now)), IsOk());
  const int64_t revision = driver_.state.revision();
  ASSERT_THAT(driver_.Commit(DecideFacts(driver_.state, request, driver_.now)), IsOk());
  EXPECT_EQ(driver_.state.revision(), revision);
  // Also the last one, after the end.
  request.clear_facts();
  driver_.Add(request, "ended { cause: CAUSE_FINISHED }");
  ASSERT_THAT(driver_.Commit(DecideFacts(driver_.state, request, driver_.now)), IsOk());
  ASSERT_THAT(driver_.Commit(DecideFacts(driver_.state, request, driver_.now)), IsOk());
}

TEST_F(DecideTest, RefusesFactsWithAGap) {
  Submit();
  Begin();
  auto request = driver_.Report(driver_.Trial(1, 1), "w1");
  EXPECT_THAT(DecideFacts(driver_.state, request, driver_.now).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID")));
  driver_.Add(request, "evaluation { step: 1 }");
  request.mutable_facts(0)->set_sequence(9);
  EXPECT_THAT(DecideFacts(driver_.state, request, driver_.now).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID")));
  request.mutable_facts(0)->set_sequence(2);
  request.mutable_facts(0)->clear_kind();
  EXPECT_THAT(DecideFacts(driver_.state, request, driver_.now).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID")));
}

TEST_F(DecideTest, RefusesEverythingWithAStaleGeneration) {
  Submit();
  Begin();
  auto stale = driver_.Report(driver_.Trial(1, 1), "w1");
  driver_.Add(stale, "ended { cause: CAUSE_FINISHED }");
  const auto header = driver_.Header(1, 1, "w1", 1, 10);
  driver_.End(1, 1, "w1", "PREEMPTED");
  ASSERT_THAT(driver_.Allocate(1, 1, {{"w1", 0}}), IsOk());
  const std::string before = driver_.state.Fingerprint();
  const auto lease_lost = StatusIs(absl::StatusCode::kAborted, Reason("LEASE_LOST"));
  stale.mutable_facts(0)->set_sequence(3);  // beyond what is known of the first attempt
  EXPECT_THAT(driver_.Commit(DecideFacts(driver_.state, stale, driver_.now)), lease_lost);
  EXPECT_THAT(driver_.Commit(DecideCommitCheckpoint(driver_.state, header, driver_.now)),
              lease_lost);
  auto other = driver_.Report(driver_.Trial(1, 1), "w1");
  other.set_lease_generation(stale.lease_generation());
  driver_.Add(other, "ended { cause: CAUSE_FINISHED }");
  EXPECT_THAT(driver_.Commit(DecideFacts(driver_.state, other, driver_.now)), lease_lost);
  other = driver_.Report(driver_.Trial(1, 1), "w2");
  driver_.Add(other, "ended { cause: CAUSE_FINISHED }");
  EXPECT_THAT(driver_.Commit(DecideFacts(driver_.state, other, driver_.now)), lease_lost);
  other.set_attempt("experiments/1/trials/9/attempts/1");
  EXPECT_THAT(driver_.Commit(DecideFacts(driver_.state, other, driver_.now)), lease_lost);
  EXPECT_EQ(driver_.state.Fingerprint(), before);
}

// --- Attempts of several workers ---

class GangTest : public DecideTest {
 protected:
  void SetUp() override {
    driver_.Register("w1", 1);
    driver_.Register("w2", 2);
    ASSERT_THAT(driver_.Create(SyntheticSpec("gang", "resources { slots: 3 }")), IsOk());
    ASSERT_THAT(driver_.Allocate(1, 1, {{"w2", 0}, {"w2", 1}, {"w1", 0}}), IsOk());
    driver_.Start(1, 1, "w2");
  }
  const storage::v1::AttemptRecord& Attempt() const {
    return driver_.Trial(1, 1).record.attempts(0);
  }
};

TEST_F(GangTest, EndsWithTheLastPartAndFreesSlotsByWorker) {
  driver_.End(1, 1, "w1", "FINISHED");
  EXPECT_EQ(driver_.StateOf(1, 1), kRunning);
  EXPECT_THAT(driver_.state.workers().at(WorkerName("w1")).busy, IsEmpty());
  EXPECT_THAT(driver_.state.workers().at(WorkerName("w2")).busy, SizeIs(2));
  EXPECT_FALSE(Attempt().has_stop());
  driver_.End(1, 1, "w2", "FINISHED");
  EXPECT_EQ(driver_.StateOf(1, 1), kSucceeded);
}

TEST_F(GangTest, StopsTheOthersWhenOnePartFails) {
  driver_.End(1, 1, "w1", "OUT_OF_MEMORY", "rank 2");
  ASSERT_TRUE(Attempt().has_stop());
  EXPECT_TRUE(Attempt().stop().now());
  EXPECT_EQ(Attempt().stop().cause(), v1::CAUSE_OUT_OF_MEMORY);
  EXPECT_EQ(driver_.StateOf(1, 1), kRunning);
  driver_.End(1, 1, "w2", "INTERNAL", "peer gone");
  EXPECT_EQ(Attempt().cause(), v1::CAUSE_OUT_OF_MEMORY);
  EXPECT_EQ(Attempt().message(), "rank 2");
  EXPECT_EQ(driver_.Trial(1, 1).record.retries().out_of_memory(), 1);
  EXPECT_EQ(driver_.Trial(1, 1).record.retries().infrastructure(), 0);
}

TEST_F(GangTest, StopsTheOthersWhenAWorkerIsLost) {
  ASSERT_THAT(driver_.Lose("w2"), IsOk());
  EXPECT_TRUE(driver_.state.workers().at(WorkerName("w2")).record.lost());
  EXPECT_TRUE(Attempt().stop().now());
  EXPECT_EQ(driver_.StateOf(1, 1), kRunning);
  driver_.End(1, 1, "w1", "INTERNAL");
  EXPECT_EQ(driver_.StateOf(1, 1), kQueued);
  EXPECT_EQ(Attempt().cause(), v1::CAUSE_WORKER_LOST);
  EXPECT_EQ(driver_.Trial(1, 1).record.retries().infrastructure(), 0);
}

TEST_F(GangTest, IsCancelledEvenIfAPartFailsMeanwhile) {
  ASSERT_THAT(driver_.CancelTrial(1, 1), IsOk());
  EXPECT_FALSE(Attempt().stop().now());
  driver_.End(1, 1, "w1", "INTERNAL");
  EXPECT_TRUE(Attempt().stop().now());
  EXPECT_EQ(Attempt().stop().cause(), v1::CAUSE_CANCELLED);
  driver_.End(1, 1, "w2", "CANCELLED");
  EXPECT_EQ(driver_.StateOf(1, 1), kCancelled);
}

// --- Cancelling ---

TEST_F(DecideTest, CancelsAQueuedTrialAtOnce) {
  Submit();
  EXPECT_THAT(driver_.CancelTrial(1, 1), IsOk());
  EXPECT_EQ(driver_.StateOf(1, 1), kCancelled);
  EXPECT_EQ(ExperimentState(), v1::Experiment::STATE_CANCELLED);
  EXPECT_THAT(driver_.CancelTrial(1, 1),
              StatusIs(absl::StatusCode::kFailedPrecondition, Reason("TRIAL_FINISHED")));
}

TEST_F(DecideTest, CancelsARunningTrialWhenItsWorkersHaveStopped) {
  Submit();
  Begin();
  ASSERT_THAT(driver_.CancelTrial(1, 1), IsOk());
  EXPECT_EQ(driver_.StateOf(1, 1), kRunning);
  const int64_t revision = driver_.state.revision();
  ASSERT_THAT(driver_.CancelTrial(1, 1), IsOk());
  EXPECT_EQ(driver_.state.revision(), revision) << "asking again changes nothing";
  ASSERT_THAT(driver_.CancelTrial(1, 1, /*at_once=*/true), IsOk());
  EXPECT_TRUE(driver_.Trial(1, 1).record.attempts(0).stop().now());
  driver_.End(1, 1, "w1", "CANCELLED");
  EXPECT_EQ(driver_.StateOf(1, 1), kCancelled);
}

TEST_F(DecideTest, SucceedsIfItFinishedBeforeTheCancelReachedIt) {
  Submit();
  Begin();
  ASSERT_THAT(driver_.CancelTrial(1, 1), IsOk());
  driver_.End(1, 1, "w1", "FINISHED");
  EXPECT_EQ(driver_.StateOf(1, 1), kSucceeded);
}

TEST_F(DecideTest, CancelsAnExperimentWithAllOfItsTrials) {
  driver_.Register("w1", 2);
  ASSERT_THAT(driver_.Create(SyntheticSpec("sweep", LinearSearch(100, 3))), IsOk());
  driver_.Run(1, 1, "w1", 50);
  ASSERT_THAT(driver_.Allocate(1, 2, {{"w1", 0}}), IsOk());
  ASSERT_THAT(driver_.CancelExperiment(1), IsOk());
  EXPECT_EQ(ExperimentState(), v1::Experiment::STATE_ACTIVE);
  EXPECT_EQ(driver_.StateOf(1, 3), kCancelled);
  const size_t trials = driver_.Experiment(1).trials.size();
  driver_.End(1, 2, "w1", "CANCELLED");
  EXPECT_EQ(ExperimentState(), v1::Experiment::STATE_CANCELLED);
  EXPECT_EQ(driver_.Experiment(1).trials.size(), trials) << "the search made another trial";
  EXPECT_THAT(driver_.CancelExperiment(1),
              StatusIs(absl::StatusCode::kFailedPrecondition, Reason("EXPERIMENT_FINISHED")));
  EXPECT_THAT(driver_.CancelExperiment(7),
              StatusIs(absl::StatusCode::kNotFound, Reason("EXPERIMENT_NOT_FOUND")));
}

TEST_F(DecideTest, RefusesAStaleEtag) {
  Submit();
  v1::CancelTrialRequest request;
  request.set_name("experiments/1/trials/1");
  request.set_etag(EtagOf(driver_.Trial(1, 1).record.revision()));
  Begin();
  EXPECT_THAT(DecideCancelTrial(driver_.state, request, driver_.now).status(),
              StatusIs(absl::StatusCode::kAborted, Reason("ETAG_MISMATCH")));
  request.set_etag(EtagOf(driver_.Trial(1, 1).record.revision()));
  EXPECT_THAT(DecideCancelTrial(driver_.state, request, driver_.now).status(), IsOk());
  v1::CancelExperimentRequest whole;
  whole.set_name("experiments/1");
  whole.set_etag("1");
  EXPECT_THAT(DecideCancelExperiment(driver_.state, whole, driver_.now).status(),
              StatusIs(absl::StatusCode::kAborted, Reason("ETAG_MISMATCH")));
}

// --- Searching ---

TEST_F(DecideTest, EndsALinearSearchOutOfPatienceAndDiscardsWhatRanAhead) {
  driver_.Register("w1", 8);
  ASSERT_THAT(driver_.Create(SyntheticSpec("sweep", LinearSearch(9, 4, /*patience=*/1))), IsOk());
  EXPECT_THAT(driver_.Experiment(1).trials, SizeIs(4)) << "no more than run at a time";
  for (int trial = 1; trial <= 4; ++trial) {
    ASSERT_THAT(driver_.Allocate(1, trial, {{"w1", trial - 1}}), IsOk());
    driver_.Start(1, trial, "w1");
    driver_.Evaluate(1, trial, "w1", 100, trial == 1 ? 50 : 40 + trial);
  }
  // The third ends first, then the second ends the search.
  driver_.Evaluate(1, 3, "w1", 100, 90);
  driver_.End(1, 3, "w1", "FINISHED");
  EXPECT_THAT(driver_.Experiment(1).trials, SizeIs(5));
  driver_.End(1, 1, "w1", "FINISHED");
  driver_.End(1, 2, "w1", "FINISHED");
  EXPECT_TRUE(driver_.Trial(1, 3).record.discarded());
  EXPECT_EQ(driver_.StateOf(1, 3), kSucceeded);
  EXPECT_TRUE(driver_.Trial(1, 4).record.attempts(0).stop().now());
  EXPECT_EQ(driver_.StateOf(1, 5), kCancelled);
  EXPECT_EQ(ExperimentState(), v1::Experiment::STATE_ACTIVE);
  driver_.End(1, 4, "w1", "PRUNED");
  EXPECT_EQ(driver_.StateOf(1, 4), kCancelled);
  EXPECT_THAT(driver_.Trial(1, 4).record.reason(), HasSubstr("ended at trial 2"));
  EXPECT_EQ(ExperimentState(), v1::Experiment::STATE_SUCCEEDED);
  EXPECT_EQ(driver_.Experiment(1).ranking.begin()->second, 1) << "the third would be better";
}

TEST_F(DecideTest, SucceedsIfOneTrialDoesAndFailsIfAllFail) {
  driver_.Register("w1", 1);
  ASSERT_THAT(driver_.Create(SyntheticSpec("mixed", LinearSearch(2, 1))), IsOk());
  driver_.Run(1, 1, "w1", 50, "USER_ERROR");
  driver_.Run(1, 2, "w1", 40);
  EXPECT_EQ(ExperimentState(), v1::Experiment::STATE_SUCCEEDED);
  EXPECT_EQ(driver_.Experiment(1).record.message(), "1 of 2 trials failed");
  EXPECT_EQ(driver_.Experiment(1).ranking.begin()->second, 2) << "a failed trial is not the best";
  ASSERT_THAT(driver_.Create(SyntheticSpec("failed", LinearSearch(2, 1))), IsOk());
  driver_.Run(2, 1, "w1", 50, "USER_ERROR");
  driver_.Run(2, 2, "w1", 50, "DIVERGED");
  EXPECT_EQ(driver_.Experiment(2).record.state(), v1::Experiment::STATE_FAILED);
}

TEST_F(DecideTest, JudgesByTheBestEvaluationIfAskedTo) {
  v1::ExperimentSpec spec = SyntheticSpec("best", LinearSearch(2, 2));
  spec.mutable_search()->mutable_objective()->set_at(v1::Objective::AT_BEST);
  driver_.Register("w1", 1);
  ASSERT_THAT(driver_.Create(spec), IsOk());
  ASSERT_THAT(driver_.Allocate(1, 1, {{"w1", 0}}), IsOk());
  driver_.Evaluate(1, 1, "w1", 1, 60);
  driver_.Evaluate(1, 1, "w1", 2, 50);
  EXPECT_EQ(driver_.Trial(1, 1).objective, 60);
}

TEST_F(DecideTest, SeesNoObjectiveInWhatIsNoNumber) {
  Submit();
  Begin();
  driver_.Evaluate(1, 1, "w1", 10, 50);
  EXPECT_EQ(driver_.Trial(1, 1).objective, 50);
  ASSERT_THAT(
      driver_.Facts(1, 1, "w1", {"evaluation { step: 20 metrics { key: 'val/top1' value: nan } }"}),
      IsOk());
  EXPECT_EQ(driver_.Trial(1, 1).objective, std::nullopt);
  EXPECT_THAT(driver_.Experiment(1).ranking, IsEmpty());
}

// --- Checkpoints ---

std::vector<int64_t> Steps(const StateDriver& driver) {
  std::vector<int64_t> steps;
  for (const CheckpointName& name : driver.Trial(1, 1).checkpoints) {
    steps.push_back(driver.state.checkpoints().at(name).step());
  }
  return steps;
}

TEST_F(DecideTest, KeepsTheNewestAndTheBestCheckpoint) {
  Submit();
  Begin();
  for (int n = 1; n <= 4; ++n) {
    driver_.Evaluate(1, 1, "w1", 10 * n, n == 2 ? 90 : 50 + n);
    ASSERT_THAT(driver_.Save(1, 1, "w1", n, 10 * n), IsOk());
  }
  EXPECT_THAT(Steps(driver_), ElementsAre(20, 40));
  EXPECT_THAT(driver_.state.TakeDeletedCheckpoints(), SizeIs(2));
}

TEST_F(DecideTest, KeepsTheNewestCheckpointWithoutAnyEvaluation) {
  Submit();
  Begin();
  for (int n = 1; n <= 3; ++n) ASSERT_THAT(driver_.Save(1, 1, "w1", n, 10 * n), IsOk());
  EXPECT_THAT(Steps(driver_), ElementsAre(30));
}

TEST_F(DecideTest, GoesOnFromTheNewestCheckpoint) {
  Submit();
  Begin();
  ASSERT_THAT(driver_.Save(1, 1, "w1", 1, 10), IsOk());
  ASSERT_THAT(driver_.Save(1, 1, "w1", 2, 20), IsOk());
  ASSERT_THAT(driver_.Lose("w1"), IsOk());
  EXPECT_EQ(driver_.StateOf(1, 1), kQueued);
  driver_.Register("w1", 2);
  ASSERT_THAT(driver_.Allocate(1, 1, {{"w1", 0}}), IsOk());
  const storage::v1::AttemptRecord& attempt = driver_.Trial(1, 1).record.attempts(1);
  EXPECT_EQ(attempt.resumed_from(), "checkpoints/" + StateDriver::Checkpoint(2));
  EXPECT_EQ(attempt.start_step(), 20);
}

TEST_F(DecideTest, GoesOnFromTheOneBeforeADamagedCheckpoint) {
  Submit();
  Begin();
  driver_.Evaluate(1, 1, "w1", 10, 90);
  ASSERT_THAT(driver_.Save(1, 1, "w1", 1, 10), IsOk());
  ASSERT_THAT(driver_.Save(1, 1, "w1", 2, 20), IsOk());
  driver_.End(1, 1, "w1", "INTERNAL");
  ASSERT_THAT(driver_.Allocate(1, 1, {{"w1", 0}}), IsOk());
  const std::string second = "checkpoints/" + StateDriver::Checkpoint(2);
  EXPECT_EQ(driver_.Trial(1, 1).record.attempts(1).resumed_from(), second);
  ASSERT_THAT(driver_.Facts(1, 1, "w1",
                            {absl::StrCat("ended { cause: CAUSE_INTERNAL damaged_checkpoint: '",
                                          second, "' }")}),
              IsOk());
  ASSERT_THAT(driver_.Allocate(1, 1, {{"w1", 0}}), IsOk());
  const storage::v1::AttemptRecord& third = driver_.Trial(1, 1).record.attempts(2);
  EXPECT_EQ(third.resumed_from(), "checkpoints/" + StateDriver::Checkpoint(1));
  EXPECT_EQ(third.start_step(), 10);
  driver_.Start(1, 1, "w1", 10);
  ASSERT_THAT(driver_.Save(1, 1, "w1", 3, 20), IsOk());
  EXPECT_THAT(Steps(driver_), ElementsAre(10, 20));
  EXPECT_EQ(driver_.state.checkpoints().count(*CheckpointName::Parse(second)), 0u)
      << "a damaged one goes with the next";
}

TEST_F(DecideTest, BeginsAnewIfEveryCheckpointIsDamaged) {
  Submit();
  Begin();
  ASSERT_THAT(driver_.Save(1, 1, "w1", 1, 10), IsOk());
  ASSERT_THAT(driver_.Facts(1, 1, "w1",
                            {absl::StrCat("ended { cause: CAUSE_INTERNAL damaged_checkpoint: "
                                          "'checkpoints/",
                                          StateDriver::Checkpoint(1), "' }")}),
              IsOk());
  ASSERT_THAT(driver_.Allocate(1, 1, {{"w1", 0}}), IsOk());
  EXPECT_EQ(driver_.Trial(1, 1).record.attempts(1).resumed_from(), "");
  EXPECT_EQ(driver_.Trial(1, 1).record.attempts(1).start_step(), 0);
}

TEST_F(DecideTest, AWorkerCallsNoCheckpointOfAnotherTrialDamaged) {
  Submit();
  driver_.Register("w2", 1);
  Begin();
  ASSERT_THAT(driver_.Save(1, 1, "w1", 1, 10), IsOk());
  ASSERT_THAT(driver_.Create(SyntheticSpec("other")), IsOk());
  ASSERT_THAT(driver_.Allocate(2, 1, {{"w2", 0}}), IsOk());
  ASSERT_THAT(driver_.Facts(2, 1, "w2",
                            {absl::StrCat("ended { cause: CAUSE_INTERNAL damaged_checkpoint: "
                                          "'checkpoints/",
                                          StateDriver::Checkpoint(1), "' }")}),
              IsOk());
  EXPECT_FALSE(driver_.state.checkpoints().begin()->second.damaged());
}

TEST_F(DecideTest, KeepsWhatAnAttemptThatHasNotBegunGoesOnFrom) {
  Submit();
  Begin();
  ASSERT_THAT(driver_.Save(1, 1, "w1", 1, 10), IsOk());
  driver_.End(1, 1, "w1", "INTERNAL");
  ASSERT_THAT(driver_.Allocate(1, 1, {{"w1", 0}}), IsOk());
  ASSERT_THAT(driver_.Save(1, 1, "w1", 2, 20), IsOk());
  EXPECT_THAT(Steps(driver_), ElementsAre(10, 20)) << "another worker may have to read it yet";
  driver_.Start(1, 1, "w1", 10);
  ASSERT_THAT(driver_.Save(1, 1, "w1", 3, 30), IsOk());
  EXPECT_THAT(Steps(driver_), ElementsAre(30));
}

TEST_F(DecideTest, ListsACheckpointOnce) {
  Submit();
  Begin();
  const auto header = driver_.Header(1, 1, "w1", 1, 10);
  ASSERT_THAT(driver_.Save(1, 1, "w1", 1, 10), IsOk());
  const int64_t revision = driver_.state.revision();
  ASSERT_THAT(driver_.Save(1, 1, "w1", 1, 10), IsOk());
  EXPECT_EQ(driver_.state.revision(), revision);
  auto other = header;
  other.set_digest(std::string(64, 'b'));
  EXPECT_THAT(DecideCommitCheckpoint(driver_.state, other, driver_.now).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID")));
}

TEST_F(DecideTest, RefusesACheckpointThatMakesNoSense) {
  Submit();
  Begin();
  auto header = driver_.Header(1, 1, "w1", 1, 10);
  header.set_digest("ABC");
  EXPECT_THAT(DecideCommitCheckpoint(driver_.state, header, driver_.now).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID")));
  header = driver_.Header(1, 1, "w1", 1, -1);
  EXPECT_THAT(DecideCommitCheckpoint(driver_.state, header, driver_.now).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID")));
  header = driver_.Header(1, 1, "w1", 1, 1);
  header.set_size_bytes(int64_t{17} << 30);
  EXPECT_THAT(DecideCommitCheckpoint(driver_.state, header, driver_.now).status(),
              StatusIs(absl::StatusCode::kResourceExhausted, Reason("LIMIT_EXCEEDED")));
  header = driver_.Header(1, 1, "w1", 1, 1);
  header.set_checkpoint("../etc");
  EXPECT_THAT(DecideCommitCheckpoint(driver_.state, header, driver_.now).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("BAD_RESOURCE_NAME")));
}

// --- Workers ---

TEST_F(DecideTest, RecordsNothingForAWorkerThatIsKnownAsItIs) {
  driver_.Register("w1", 2);
  const int64_t revision = driver_.state.revision();
  driver_.Register("w1", 2);
  EXPECT_EQ(driver_.state.revision(), revision);
  driver_.Register("w1", 3);
  EXPECT_EQ(driver_.state.revision(), revision + 1);
}

TEST_F(DecideTest, LosesWhatRanOnASlotThatIsOfferedNoMore) {
  Submit();
  ASSERT_THAT(driver_.Allocate(1, 1, {{"w1", 1}}), IsOk());
  driver_.Register("w1", 1);
  EXPECT_EQ(driver_.StateOf(1, 1), kQueued);
  EXPECT_EQ(driver_.Trial(1, 1).record.attempts(0).cause(), v1::CAUSE_WORKER_LOST);
}

TEST_F(DecideTest, LosesAWorkerOnce) {
  driver_.Register("w1", 1);
  ASSERT_THAT(driver_.Lose("w1"), IsOk());
  const int64_t revision = driver_.state.revision();
  ASSERT_THAT(driver_.Lose("w1"), IsOk());
  EXPECT_EQ(driver_.state.revision(), revision);
  EXPECT_THAT(driver_.Lose("w9"),
              StatusIs(absl::StatusCode::kNotFound, Reason("WORKER_NOT_FOUND")));
}

TEST_F(DecideTest, RefusesBadSlots) {
  auto hello = driver_.Hello("w1", 2);
  hello.mutable_slots(1)->set_index(0);
  EXPECT_THAT(DecideRegisterWorker(driver_.state, hello, {}, driver_.now).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID")));
  hello = driver_.Hello("w1", limits::kSlotsPerWorkerMax + 1);
  EXPECT_THAT(DecideRegisterWorker(driver_.state, hello, {}, driver_.now).status(),
              StatusIs(absl::StatusCode::kResourceExhausted, Reason("LIMIT_EXCEEDED")));
}

// --- Data sets ---

v1::CommitDatasetVersionRequest DatasetRequest() {
  v1::CommitDatasetVersionRequest request;
  request.set_dataset("trash");
  v1::DatasetVersion& version = *request.mutable_version();
  version.set_digest(std::string(64, 'd'));
  version.add_classes("glass");
  version.add_classes("paper");
  v1::Split& split = *version.add_splits();
  split.set_name("train");
  split.set_images(5);
  split.add_class_images(2);
  split.add_class_images(3);
  for (int i = 0; i < 2; ++i) {
    v1::Shard& shard = *version.add_shards();
    shard.set_index(i);
    shard.set_split("train");
    shard.set_images(i == 0 ? 3 : 2);
    shard.set_first_image(i == 0 ? 0 : 3);
    shard.set_size_bytes(100);
    shard.set_digest(std::string(64, 'e'));
  }
  return request;
}

TEST_F(DecideTest, CommitsVersionsOfADataSet) {
  auto request = DatasetRequest();
  const auto commit = [&] {
    return driver_.Commit(DecideCommitDataset(driver_.state, request, driver_.now));
  };
  EXPECT_THAT(commit(), IsOkAndHolds("datasets/trash/versions/1"));
  EXPECT_THAT(commit(), IsOkAndHolds("datasets/trash/versions/1")) << "same digest, same version";
  EXPECT_EQ(driver_.state.revision(), 1);
  request.mutable_version()->set_digest(std::string(64, 'f'));
  EXPECT_THAT(commit(), IsOkAndHolds("datasets/trash/versions/2"));
  CVT_ASSERT_OK_AND_ASSIGN(
      const v1::DatasetVersion* newest,
      driver_.state.FindDatasetVersion(DatasetVersionName(DatasetName("trash"), 0)));
  EXPECT_EQ(newest->name(), "datasets/trash/versions/2");
  EXPECT_THAT(driver_.state.FindDatasetVersion(DatasetVersionName(DatasetName("trsh"), 0)).status(),
              StatusIs(absl::StatusCode::kNotFound, Message(HasSubstr("trash"))));
}

TEST_F(DecideTest, RefusesADataSetThatContradictsItself) {
  const auto status = [this](const v1::CommitDatasetVersionRequest& request) {
    return DecideCommitDataset(driver_.state, request, driver_.now).status();
  };
  const auto invalid = StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID"));
  auto request = DatasetRequest();
  request.mutable_version()->set_digest("x");
  EXPECT_THAT(status(request), invalid);
  request = DatasetRequest();
  request.mutable_version()->mutable_shards(1)->set_first_image(4);
  EXPECT_THAT(status(request), invalid);
  request = DatasetRequest();
  request.mutable_version()->mutable_shards()->RemoveLast();
  EXPECT_THAT(status(request), invalid);
  request = DatasetRequest();
  request.mutable_version()->mutable_splits(0)->set_class_images(0, 9);
  EXPECT_THAT(status(request), invalid);
  request = DatasetRequest();
  request.set_dataset("../x");
  EXPECT_THAT(status(request),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("BAD_RESOURCE_NAME")));
}

// --- Too many workers ---

TEST_F(DecideTest, ForgetsTheWorkerThatWasLostLongestAgoWhenThereIsNoMoreRoom) {
  for (size_t i = 0; i < limits::kWorkersMax; ++i) {
    driver_.Register(absl::StrCat("w", i), 1);
    driver_.now += absl::Seconds(1);
  }
  const auto one_more = [&] {
    return driver_.Commit(
        DecideRegisterWorker(driver_.state, driver_.Hello("new", 1), {}, driver_.now));
  };
  EXPECT_THAT(one_more(), StatusIs(absl::StatusCode::kResourceExhausted, Reason("LIMIT_EXCEEDED")));
  ASSERT_THAT(driver_.Lose("w700"), IsOk());
  ASSERT_THAT(driver_.Lose("w7"), IsOk());
  ASSERT_THAT(one_more(), IsOk());
  EXPECT_EQ(driver_.state.workers().size(), limits::kWorkersMax);
  EXPECT_FALSE(driver_.state.workers().contains(WorkerName("w7")));
  EXPECT_TRUE(driver_.state.workers().contains(WorkerName("w700")));
}

// --- Clocks ---

TEST_F(DecideTest, AClockThatWentBackMakesNobodyWaitForIt) {
  Submit();
  for (int n = 0; n < 4; ++n) {
    ASSERT_THAT(driver_.Allocate(1, 1, {{"w1", 0}}), IsOk());
    driver_.End(1, 1, "w1", "INTERNAL");
  }
  const storage::v1::TrialRecord& record = driver_.Trial(1, 1).record;
  const absl::Duration delay = DelayOf(record, driver_.now);
  EXPECT_GT(delay, absl::ZeroDuration());
  EXPECT_LE(delay, absl::Minutes(1));
  EXPECT_EQ(DelayOf(record, driver_.now + delay), absl::ZeroDuration());
  EXPECT_EQ(DelayOf(record, driver_.now - absl::Hours(1)), absl::ZeroDuration());
}

TEST_F(DecideTest, TrainsNoClassifierOfImagesOnSounds) {
  const v1::ExperimentSpec spec = cvtrain::testing::ParseTextProto<v1::ExperimentSpec>(
      "api: 'cvtrain/v1' kind: 'Experiment' name: 'sounds' recipe { task: TASK_CLASSIFICATION "
      "dataset { name: 'trash' validation_split: 'train' } model { resnet { depth: 18 } } "
      "epochs: 1 sampler { single_scale { height: 64 width: 64 batch_size: 8 } } "
      "learning_rate { constant { value: 0.1 } } }");
  auto request = DatasetRequest();
  for (const auto media : {v1::DatasetVersion::MEDIA_AUDIO, v1::DatasetVersion::MEDIA_BYTES}) {
    request.mutable_version()->set_media(media);
    request.mutable_version()->set_digest(std::string(64, static_cast<char>('0' + media)));
    ASSERT_THAT(driver_.Commit(DecideCommitDataset(driver_.state, request, driver_.now)), IsOk());
    EXPECT_THAT(
        driver_.Create(spec),
        StatusIs(absl::StatusCode::kInvalidArgument, Reason("RECIPE_INVALID"),
                 Message(HasSubstr("recipe.dataset.name: must name a data set of images"))));
  }
  request.mutable_version()->set_media(v1::DatasetVersion::MEDIA_IMAGES);
  request.mutable_version()->set_digest(std::string(64, 'a'));
  ASSERT_THAT(driver_.Commit(DecideCommitDataset(driver_.state, request, driver_.now)), IsOk());
  EXPECT_THAT(driver_.Create(spec), IsOk());
}

// --- Sizes ---

TEST_F(DecideTest, ASweepOfLargeRecipesIsMadeInPortions) {
  std::string stages;
  for (int i = 0; i < 900; ++i) {
    absl::StrAppend(&stages, "list { from_epoch: ", i, " scales { min: 64 max: ", 96 + 32 * (i % 2),
                    " count: 2 divisible_by: 32 } } ");
  }
  const v1::ExperimentSpec spec = cvtrain::testing::ParseTextProto<v1::ExperimentSpec>(absl::StrCat(
      "api: 'cvtrain/v1' kind: 'Experiment' name: 'large' recipe { task: TASK_CLASSIFICATION "
      "dataset { name: 'trash' validation_split: 'train' } model { resnet { depth: 18 } } "
      "epochs: 900 sampler { multi_scale { base { height: 64 width: 64 batch_size: 8 } "
      "scales { min: 64 max: 128 count: 2 divisible_by: 32 } curriculum { stages { ",
      stages,
      "} } } } learning_rate { constant { value: 0.1 } } } search { linear { "
      "parameter: 'recipe.learning_rate.constant.value' start: 0.1 stop: 10 step: 0.1 } "
      "objective { metric: 'val/top1' mode: MODE_MAX } max_parallel_trials: 100 }"));
  ASSERT_THAT(driver_.Commit(DecideCommitDataset(driver_.state, DatasetRequest(), driver_.now)),
              IsOk());
  ASSERT_THAT(driver_.Create(spec), IsOk());
  const storage::v1::Event& event = driver_.events.back();
  EXPECT_LT(event.ByteSizeLong(), limits::kEventSizeBytesMax);
  EXPECT_GE(driver_.Experiment(1).trials.size(), 10u);
  EXPECT_LT(driver_.Experiment(1).trials.size(), 100u) << "the recipes are too small for this test";
}

}  // namespace
}  // namespace cvtrain::coordinator
