#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/unit/coordinator/state/decide_fixture.h"
#include "tests/unit/coordinator/state/invariants.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::EqualsProto;
using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kMetric[] = "objective { metric: 'val/top1' mode: MODE_MAX } ";
constexpr char kValue[] = "recipe.synthetic.final_metric";

// Searches that stop trials at rungs, or go by a budget or by means.
class DecideSearchTest : public DecideTest {
 protected:
  // An experiment whose trials have nine epochs of ten steps.
  void Submit(const std::string& search) {
    driver_.Register("w1", 16);
    v1::ExperimentSpec spec =
        SyntheticSpec("sweep", absl::StrCat("search { ", search, " ", kMetric, " }"));
    spec.mutable_recipe()->mutable_synthetic()->set_steps(90);
    spec.mutable_recipe()->mutable_synthetic()->set_steps_per_epoch(10);
    ASSERT_THAT(driver_.Create(spec), IsOk());
  }
  void SubmitAsha(int trials) {
    Submit(absl::StrCat("asha { trials: ", trials, " reduction_factor: 3 parameters { parameter: '",
                        kValue, "' uniform { min: 0 max: 100 } } }"));
  }
  void BeginOn(int64_t trial) {
    ASSERT_THAT(driver_.Allocate(1, trial, {{"w1", static_cast<int>(trial) - 1}}), IsOk());
    driver_.Start(1, trial, "w1");
  }
  absl::Status EvaluateAt(int64_t trial, int epoch, double top1) {
    return driver_
        .Facts(1, trial, "w1",
               {absl::StrCat("evaluation { step: ", 10 * epoch, " epoch: ", epoch,
                             " metrics { key: 'val/top1' value: ", top1, " } }")})
        .status();
  }
  const storage::v1::TrialRecord& Record(int64_t trial) const {
    return driver_.Trial(1, trial).record;
  }
  // The same state from the journal and from a snapshot.
  void CheckReplay() {
    ClusterState replayed;
    InvariantChecker checker;
    for (const storage::v1::Event& event : driver_.events) {
      ASSERT_THAT(replayed.Apply(event), IsOk());
      checker.Check(replayed);
    }
    EXPECT_EQ(replayed.Fingerprint(), driver_.state.Fingerprint());
    auto restored = ClusterState::FromSnapshot(driver_.state.ToSnapshot());
    ASSERT_THAT(restored.status(), IsOk());
    const auto& results = restored->experiments().at(1).results;
    const auto& expected = driver_.Experiment(1).results;
    ASSERT_EQ(results.size(), expected.size());
    for (size_t i = 0; i < results.size(); ++i) {
      EXPECT_EQ(results[i].state, expected[i].state);
      EXPECT_EQ(results[i].rungs_passed, expected[i].rungs_passed);
      EXPECT_EQ(results[i].rungs.size(), expected[i].rungs.size());
      EXPECT_EQ(results[i].point, expected[i].point);
    }
  }
};

TEST_F(DecideSearchTest, StopsATrialAtARungInTheEventOfItsEvaluation) {
  SubmitAsha(9);
  for (int64_t trial = 1; trial <= 3; ++trial) BeginOn(trial);
  ASSERT_THAT(EvaluateAt(1, 1, 60), IsOk());
  EXPECT_EQ(Record(1).rungs_passed(), 1);
  ASSERT_THAT(EvaluateAt(2, 1, 50), IsOk());
  EXPECT_EQ(Record(2).pruned_at_epoch(), 1);
  EXPECT_EQ(Record(2).attempts(0).stop().cause(), v1::CAUSE_PRUNED);
  EXPECT_EQ(driver_.StateOf(1, 2), kRunning);
  driver_.End(1, 2, "w1", "PRUNED");
  EXPECT_EQ(driver_.StateOf(1, 2), kSucceeded);
  EXPECT_THAT(Record(2).reason(), HasSubstr("stopped after epoch 1"));
  EXPECT_FALSE(Record(2).discarded());
  EXPECT_EQ(driver_.Experiment(1).ranking.begin()->second, 1);
  CheckReplay();
}

TEST_F(DecideSearchTest, ComparesOnlyAtRungs) {
  SubmitAsha(9);
  for (int64_t trial = 1; trial <= 2; ++trial) BeginOn(trial);
  ASSERT_THAT(EvaluateAt(1, 1, 60), IsOk());
  ASSERT_THAT(EvaluateAt(1, 2, 70), IsOk());
  EXPECT_EQ(Record(1).rungs_passed(), 1) << "the second is at epoch 3";
  ASSERT_THAT(EvaluateAt(2, 1, 65), IsOk());
  EXPECT_EQ(Record(2).rungs_passed(), 1) << "the first had 60 there";
}

TEST_F(DecideSearchTest, KeepsAPrunedTrialOutOfTheRankingWhateverItsValue) {
  SubmitAsha(9);
  for (int64_t trial = 1; trial <= 2; ++trial) BeginOn(trial);
  ASSERT_THAT(EvaluateAt(1, 1, 60), IsOk());
  ASSERT_THAT(EvaluateAt(2, 1, 50), IsOk());
  // It went on until its worker heard of it.
  ASSERT_THAT(EvaluateAt(2, 2, 99), IsOk());
  driver_.End(1, 2, "w1", "FINISHED");
  EXPECT_EQ(driver_.StateOf(1, 2), kSucceeded);
  EXPECT_THAT(driver_.Experiment(1).ranking, SizeIs(1));
  CheckReplay();
}

TEST_F(DecideSearchTest, EndsAPrunedTrialWhoseWorkerIsLost) {
  SubmitAsha(9);
  for (int64_t trial = 1; trial <= 2; ++trial) BeginOn(trial);
  ASSERT_THAT(EvaluateAt(1, 1, 60), IsOk());
  ASSERT_THAT(EvaluateAt(2, 1, 50), IsOk());
  ASSERT_THAT(driver_.Lose("w1"), IsOk());
  EXPECT_EQ(driver_.StateOf(1, 1), kQueued);
  EXPECT_EQ(driver_.StateOf(1, 2), kSucceeded) << "nobody runs it again";
  CheckReplay();
}

// The evaluation that stops it comes with its end, so there is nothing left to stop.
TEST_F(DecideSearchTest, EndsATrialThatFailedInTheReportThatStopsIt) {
  SubmitAsha(9);
  for (int64_t trial = 1; trial <= 2; ++trial) BeginOn(trial);
  ASSERT_THAT(EvaluateAt(1, 1, 60), IsOk());
  ASSERT_THAT(
      driver_.Facts(1, 2, "w1",
                    {"evaluation { step: 10 epoch: 1 metrics { key: 'val/top1' value: 5 } }",
                     "ended { cause: CAUSE_INTERNAL message: 'oh' end_step: 10 }"}),
      IsOk());
  EXPECT_EQ(driver_.StateOf(1, 2), kSucceeded);
  CheckReplay();
}

TEST_F(DecideSearchTest, EndsTheExperimentWithTheLastTrial) {
  SubmitAsha(3);
  for (int64_t trial = 1; trial <= 3; ++trial) {
    BeginOn(trial);
    ASSERT_THAT(EvaluateAt(trial, 1, 60 - static_cast<double>(trial)), IsOk());
    if (trial > 1) driver_.End(1, trial, "w1", "PRUNED");
  }
  EXPECT_EQ(ExperimentState(), v1::Experiment::STATE_ACTIVE);
  EXPECT_FALSE(driver_.Experiment(1).record.search_done()) << "rungs are still to be judged";
  ASSERT_THAT(EvaluateAt(1, 9, 80), IsOk());
  driver_.End(1, 1, "w1", "FINISHED");
  EXPECT_EQ(ExperimentState(), v1::Experiment::STATE_SUCCEEDED);
  CheckReplay();
}

// --- Budgets ---

constexpr char kGridOfFive[] =
    "grid { parameters { parameter: 'recipe.synthetic.final_metric' values: '1' values: '2' "
    "values: '3' values: '4' values: '5' } } max_parallel_trials: 2 ";

TEST_F(DecideSearchTest, MakesNoMoreTrialsThanItsBudget) {
  Submit(absl::StrCat(kGridOfFive, "budget { trials: 3 }"));
  EXPECT_THAT(driver_.Experiment(1).trials, SizeIs(3));
  EXPECT_EQ(driver_.Experiment(1).record.trials_left(), 0);
  for (int64_t trial = 1; trial <= 3; ++trial) driver_.Run(1, trial, "w1", 50);
  EXPECT_EQ(ExperimentState(), v1::Experiment::STATE_SUCCEEDED);
  CheckReplay();
}

TEST_F(DecideSearchTest, TakesBackWhatHasNotBegunWhenItsSlotHoursAreUsed) {
  Submit(absl::StrCat(kGridOfFive, "budget { slot_hours: 3 }"));
  EXPECT_THAT(driver_.Experiment(1).trials, SizeIs(5));
  BeginOn(1);
  BeginOn(2);
  driver_.now += absl::Hours(2);
  driver_.End(1, 1, "w1", "FINISHED");  // four slot-hours by now
  EXPECT_EQ(driver_.StateOf(1, 2), kRunning) << "what runs goes on";
  for (int64_t trial = 3; trial <= 5; ++trial) {
    EXPECT_EQ(driver_.StateOf(1, trial), kCancelled);
    EXPECT_THAT(Record(trial).reason(), HasSubstr("budget of slot_hours: 3"));
  }
  EXPECT_EQ(ExperimentState(), v1::Experiment::STATE_ACTIVE);
  driver_.End(1, 2, "w1", "FINISHED");
  EXPECT_EQ(ExperimentState(), v1::Experiment::STATE_SUCCEEDED);
  CheckReplay();
}

TEST_F(DecideSearchTest, CountsFlopsAndHours) {
  for (const char* budget : {"flops: 1000", "hours: 1.5"}) {
    driver_ = StateDriver();
    Submit(absl::StrCat(kGridOfFive, "budget { ", budget, " }"));
    BeginOn(1);
    driver_.now += absl::Hours(2);
    ASSERT_THAT(driver_.Facts(1, 1, "w1", {"ended { cause: CAUSE_FINISHED flops: 1000 }"}), IsOk());
    EXPECT_EQ(ExperimentState(), v1::Experiment::STATE_SUCCEEDED) << budget;
    EXPECT_EQ(driver_.StateOf(1, 5), kCancelled);
  }
}

// --- Replicates ---

TEST_F(DecideSearchTest, MakesReplicatesWithTheirSeedsAndPoints) {
  Submit(absl::StrCat(kGridOfFive, "replicates: 2"));
  ASSERT_THAT(driver_.Experiment(1).trials, SizeIs(10));
  EXPECT_EQ(Record(4).point(), 1);
  EXPECT_EQ(Record(4).replicate(), 1);
  v1::Recipe recipe;
  ASSERT_TRUE(recipe.ParseFromString(Record(4).recipe()));
  EXPECT_EQ(recipe.seed(), 1u);
  EXPECT_EQ(recipe.synthetic().final_metric(), 2);
  CheckReplay();
}

// --- Killed after any write ---

// Each method, over the final value of a curve.
class RestartTest : public ::testing::TestWithParam<const char*> {
 protected:
  // Runs a search to its end, two trials at a time. With `restarts`, every event is followed by a
  // coordinator that knows the snapshot and nothing else.
  static std::vector<storage::v1::Event> Run(const std::string& search, bool restarts) {
    StateDriver driver;
    const auto restart = [&] {
      if (restarts) driver.state = *ClusterState::FromSnapshot(driver.state.ToSnapshot());
    };
    driver.Register("w1", 2);
    v1::ExperimentSpec spec = SyntheticSpec(
        "sweep", absl::StrCat("search { ", search, " ", kMetric, " max_parallel_trials: 2 }"));
    spec.mutable_recipe()->mutable_synthetic()->set_steps(90);
    spec.mutable_recipe()->mutable_synthetic()->set_steps_per_epoch(10);
    EXPECT_THAT(driver.Create(spec), IsOk());
    restart();
    for (int round = 0; round < 1000 && !driver.Experiment(1).queued.empty(); ++round) {
      std::vector<int64_t> running;
      while (running.size() < 2 && !driver.Experiment(1).queued.empty()) {
        running.push_back(*driver.Experiment(1).queued.begin());
        EXPECT_THAT(
            driver.Allocate(1, running.back(), {{"w1", static_cast<int>(running.size()) - 1}}),
            IsOk());
        driver.Start(1, running.back(), "w1");
        restart();
      }
      for (int epoch = 1; epoch <= 9; ++epoch) {
        for (const int64_t trial : running) Step(driver, trial, epoch, restart);
      }
    }
    EXPECT_EQ(driver.Experiment(1).record.state(), v1::Experiment::STATE_SUCCEEDED) << search;
    return driver.events;
  }

  // An epoch of a trial that runs; its end, if it was stopped or this was the last one.
  static void Step(StateDriver& driver, int64_t trial, int epoch,
                   const std::function<void()>& restart) {
    if (driver.StateOf(1, trial) != kRunning) return;
    const storage::v1::TrialRecord& record = driver.Trial(1, trial).record;
    const double top1 = std::stod(record.parameters().at(kValue)) * epoch / 9;
    EXPECT_THAT(driver.Facts(1, trial, "w1",
                             {absl::StrCat("evaluation { step: ", 10 * epoch, " epoch: ", epoch,
                                           " metrics { key: 'val/top1' value: ", top1, " } }")}),
                IsOk());
    restart();
    const bool stopped = driver.Trial(1, trial).record.attempts(0).has_stop();
    if (!stopped && epoch < 9) return;
    driver.End(1, trial, "w1", stopped ? "PRUNED" : "FINISHED");
    restart();
  }
};

TEST_P(RestartTest, ProposesAndDecidesTheSame) {
  const std::vector<storage::v1::Event> whole = Run(GetParam(), /*restarts=*/false);
  const std::vector<storage::v1::Event> cut = Run(GetParam(), /*restarts=*/true);
  ASSERT_EQ(whole.size(), cut.size());
  for (size_t i = 0; i < whole.size(); ++i) {
    EXPECT_THAT(cut[i], EqualsProto(whole[i])) << "event " << i + 1;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Searches, RestartTest,
    ::testing::Values(
        "golden { over { parameter: 'recipe.synthetic.final_metric' min: 1 max: 20 step: 1 } }",
        "bisect { target: 7.2 over { parameter: 'recipe.synthetic.final_metric' min: 1 max: 20 "
        "step: 1 } }",
        "secant { target: 7.2 over { parameter: 'recipe.synthetic.final_metric' min: 1 max: 20 "
        "tolerance: 0.1 } }",
        "monotone_threshold { margin: 5 over { parameter: 'recipe.synthetic.final_metric' min: 1 "
        "max: 20 step: 1 } }",
        "sobol { trials: 8 parameters { parameter: 'recipe.synthetic.final_metric' uniform { min: "
        "1 max: 20 } } }",
        "tpe { trials: 20 startup_trials: 4 parameters { parameter: "
        "'recipe.synthetic.final_metric' uniform { min: 1 max: 20 } } }",
        "asha { trials: 12 reduction_factor: 3 parameters { parameter: "
        "'recipe.synthetic.final_metric' uniform { min: 1 max: 20 } } }",
        "hyperband { trials: 12 reduction_factor: 3 parameters { parameter: "
        "'recipe.synthetic.final_metric' uniform { min: 1 max: 20 } } }",
        "random { trials: 4 parameters { parameter: 'recipe.synthetic.final_metric' uniform { min: "
        "1 max: 20 } } } replicates: 4 racing { min_replicates: 2 }",
        "random { trials: 9 parameters { parameter: 'recipe.synthetic.final_metric' uniform { min: "
        "1 max: 20 } } } budget { trials: 5 }"));

// --- What is refused, with nothing changed ---

TEST_F(DecideSearchTest, RefusesASearchThatCannotWork) {
  const auto refuse = [&](const std::string& search, const std::string& message) {
    EXPECT_THAT(
        driver_.Create(SyntheticSpec("bad", absl::StrCat("search { ", search, kMetric, "}"))),
        StatusIs(absl::StatusCode::kInvalidArgument, Reason("RECIPE_INVALID"),
                 Message(HasSubstr(message))));
    EXPECT_EQ(driver_.state.revision(), 0);
  };
  refuse(
      "asha { trials: 5 parameters { parameter: 'recipe.synthetic.final_metric' uniform { min: 0 "
      "max: 1 } } } ",
      "has no room for a rung in 1 epoch");
  refuse(
      "bisect { target: 1 over { parameter: 'recipe.synthetic.final_metric' min: 5 max: 5 step: 1 "
      "} } ",
      "max: must be above min");
  refuse(
      "tpe { trials: 5 parameters { parameter: 'recipe.synthetic.finalmetric' uniform { min: 0 "
      "max: 1 } } } ",
      "did you mean final_metric");
}

}  // namespace
}  // namespace cvtrain::coordinator
