#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "common/limits.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/coordinator/state/decide_fixture.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::ParseTextProto;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// --- Creating ---

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

class HopelessSweepTest : public ::testing::Test {
 protected:
  HopelessSweepTest() {
    driver_.Register("w1", 1);
    driver_.Register("w2", 1);
    CVT_CHECK_OK(driver_.Create(SyntheticSpec("sweep", LinearSearch(10, 4))).status());
  }
  // Trial `number` fails on `worker` after `steps`.
  void Fail(int64_t number, const std::string& worker, const std::string& cause,
            int64_t steps = 0) {
    CVT_CHECK_OK(driver_.Allocate(1, number, {{worker, 0}}).status());
    driver_.Start(1, number, worker);
    CVT_CHECK_OK(driver_
                     .Facts(1, number, worker,
                            {absl::StrCat("ended { cause: CAUSE_", cause, " end_step: ", steps,
                                          " message: 'no such column' }")})
                     .status());
  }
  v1::Experiment::State State() const { return driver_.state.experiments().at(1).record.state(); }

  StateDriver driver_;
};

TEST_F(HopelessSweepTest, EndsWhenItsFirstTrialsFailAtOnceOnSeveralWorkers) {
  Fail(1, "w1", "USER_ERROR");
  Fail(2, "w2", "USER_ERROR");
  EXPECT_EQ(State(), v1::Experiment::STATE_ACTIVE);
  Fail(3, "w1", "USER_ERROR");
  EXPECT_EQ(State(), v1::Experiment::STATE_FAILED);
  const auto& experiment = driver_.state.experiments().at(1);
  EXPECT_THAT(experiment.record.message(), HasSubstr("no such column"));
  EXPECT_TRUE(experiment.trials.at(4).record.discarded());
  EXPECT_THAT(
      experiment.trials.at(4).record.reason(),
      HasSubstr("the first 3 trials failed at once, on 2 workers, all with cause user error"));
}

TEST_F(HopelessSweepTest, GoesOnWhereAWorkerOrTheParametersMayBeToBlame) {
  for (int64_t number = 1; number <= 3; ++number) Fail(number, "w1", "USER_ERROR");
  EXPECT_EQ(State(), v1::Experiment::STATE_ACTIVE) << "all on one worker";
  Fail(4, "w2", "DIVERGED");
  EXPECT_EQ(State(), v1::Experiment::STATE_ACTIVE) << "for another reason";
}

TEST_F(HopelessSweepTest, GoesOnWhereTrialsGetSomewhere) {
  Fail(1, "w1", "DATA", /*steps=*/40);
  for (int64_t number = 2; number <= 4; ++number) Fail(number, "w2", "DATA");
  EXPECT_EQ(State(), v1::Experiment::STATE_ACTIVE);
}

}  // namespace
}  // namespace cvtrain::coordinator
