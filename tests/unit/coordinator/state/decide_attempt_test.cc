#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/limits.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/coordinator/state/decide_fixture.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

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

TEST_F(DecideTest, KeepsTheConfusionOfTheLastEvaluationOnly) {
  Submit();
  Begin();
  for (int step : {50, 100}) {
    auto request = driver_.Report(driver_.Trial(1, 1), "w1");
    driver_.Add(request,
                absl::StrCat("evaluation { step: ", step,
                             " confusion { classes: 2 counts: [ 1, 2, 3, ", step, " ] } }"));
    ASSERT_THAT(driver_.Commit(DecideFacts(driver_.state, request, driver_.now)), IsOk());
  }
  const auto& evaluations = driver_.Trial(1, 1).record.evaluations();
  ASSERT_THAT(evaluations, SizeIs(2));
  EXPECT_FALSE(evaluations[0].has_confusion());
  EXPECT_EQ(evaluations[1].confusion().counts(3), 100);
}

TEST_F(DecideTest, RefusesAConfusionThatIsNoSquare) {
  Submit();
  Begin();
  for (const char* confusion : {"classes: 2 counts: [ 1, 2, 3 ]", "classes: 0", "classes: 129"}) {
    auto request = driver_.Report(driver_.Trial(1, 1), "w1");
    driver_.Add(request, absl::StrCat("evaluation { step: 1 confusion { ", confusion, " } }"));
    EXPECT_THAT(DecideFacts(driver_.state, request, driver_.now).status(),
                StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID")))
        << confusion;
  }
}

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

// Found by the simulation: the worker's disk was full, so it sent facts that it had not written,
// and lost them in a crash. The end that it made up got a number that was known.
TEST_F(DecideTest, TakesTheEndOfAWorkerThatHasForgottenItsFacts) {
  Submit();
  Begin();
  session::v1::ReportFactsRequest request = driver_.Report(driver_.Trial(1, 1), "w1");
  driver_.Add(request, "ended { cause: CAUSE_WORKER_LOST }");
  request.mutable_facts(0)->set_sequence(1);
  ASSERT_THAT(driver_.Commit(DecideFacts(driver_.state, request, driver_.now)), IsOk());
  EXPECT_EQ(driver_.StateOf(1, 1), kQueued);
  EXPECT_THAT(driver_.state.workers().at(WorkerName("w1")).busy, IsEmpty());
  // Its repetition is known.
  const int64_t revision = driver_.state.revision();
  ASSERT_THAT(driver_.Commit(DecideFacts(driver_.state, request, driver_.now)), IsOk());
  EXPECT_EQ(driver_.state.revision(), revision);
}

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

}  // namespace
}  // namespace cvtrain::coordinator
