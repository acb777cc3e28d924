#include "coordinator/engine/search_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/coordinator/state/state_driver.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::IsOk;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kValue[] = "recipe.synthetic.final_metric";

class SearchStatusTest : public ::testing::Test {
 protected:
  void Submit(const std::string& search) {
    driver_.Register("w1", 1);
    ASSERT_THAT(
        driver_.Create(SyntheticSpec("sweep", absl::StrCat("search { ", search,
                                                           " objective { metric: 'val/top1' "
                                                           "mode: MODE_MAX } }"))),
        IsOk());
  }
  v1::SearchStatus Status() const { return SearchStatusOf(driver_.Experiment(1), driver_.now); }
  double ValueOf(int64_t trial) const {
    return std::stod(driver_.Trial(1, trial).record.parameters().at(kValue));
  }

  StateDriver driver_;
};

TEST_F(SearchStatusTest, ReportsTheBracketOnTheWayAndTheAnswerAtTheEnd) {
  Submit(absl::StrCat("bisect { target: 42 over { parameter: '", kValue,
                      "' min: 0 max: 100 step: 1 } } max_parallel_trials: 1"));
  EXPECT_EQ(Status().bracket().low(), 0);
  EXPECT_EQ(Status().bracket().high(), 100);
  EXPECT_FALSE(Status().bracket().has_low_objective());
  for (int64_t trial = 1; trial <= 3; ++trial) driver_.Run(1, trial, "w1", ValueOf(trial));
  EXPECT_EQ(Status().bracket().low(), 0);
  EXPECT_EQ(Status().bracket().high(), 50);
  EXPECT_EQ(Status().bracket().high_objective(), 50);
  EXPECT_FALSE(Status().has_answer());
  for (int64_t trial = 4; driver_.Experiment(1).trials.contains(trial); ++trial) {
    driver_.Run(1, trial, "w1", ValueOf(trial));
  }
  EXPECT_EQ(driver_.Experiment(1).record.state(), v1::Experiment::STATE_SUCCEEDED);
  EXPECT_EQ(Status().answer(), 42);
  EXPECT_EQ(Status().used().trials(), static_cast<int>(driver_.Experiment(1).trials.size()));
}

TEST_F(SearchStatusTest, GoesByMeansOfReplicates) {
  Submit(absl::StrCat("grid { parameters { parameter: '", kValue,
                      "' values: '10' values: '20' } } replicates: 2 max_parallel_trials: 1"));
  EXPECT_FALSE(Status().has_best());
  // The single best trial is of the point that is worse.
  for (const auto& [trial, value] : {std::pair{1, 90}, {2, 50}, {3, 80}, {4, 76}}) {
    driver_.Run(1, trial, "w1", value);
  }
  const v1::SearchPoint best = Status().best();
  EXPECT_THAT(best.objectives(), ElementsAre(78));
  EXPECT_EQ(best.replicates(), 2);
  EXPECT_NEAR(best.standard_deviation(), 2.8284, 1e-3);
  EXPECT_EQ(best.trial(), "experiments/1/trials/3");
  EXPECT_EQ(best.parameters().at(kValue), "20");
  EXPECT_THAT(best.parameters(), SizeIs(1)) << "without the seed";
  EXPECT_THAT(Status().front(), IsEmpty()) << "one objective has no front";
}

TEST_F(SearchStatusTest, ReportsTheFrontOfSeveralObjectives) {
  Submit(absl::StrCat("grid { parameters { parameter: '", kValue,
                      "' values: '1' values: '2' values: '3' values: '4' values: '5' } } "
                      "max_parallel_trials: 1"));
  // The synthetic task has one metric; what is reported beside it is judged all the same.
  v1::ExperimentSpec spec = driver_.Experiment(1).record.spec();
  v1::Objective& loss = *spec.mutable_search()->add_tradeoffs();
  loss.set_metric("val/loss");
  loss.set_mode(v1::Objective::MODE_MIN);
  const std::vector<std::pair<int, int>> values = {{70, 5}, {60, 3}, {65, 4}, {60, 4}, {70, 6}};
  for (size_t i = 0; i < values.size(); ++i) {
    const int64_t trial = static_cast<int64_t>(i) + 1;
    ASSERT_THAT(driver_.Allocate(1, trial, {{"w1", 0}}), IsOk());
    ASSERT_THAT(driver_.Facts(
                    1, trial, "w1",
                    {absl::StrCat("evaluation { step: 100 metrics { key: 'val/top1' value: ",
                                  values[i].first,
                                  " } metrics { key: 'val/loss' value: ", values[i].second, " } }"),
                     "ended { cause: CAUSE_FINISHED end_step: 100 }"}),
                IsOk());
  }
  ClusterState::Experiment experiment = driver_.Experiment(1);
  *experiment.record.mutable_spec() = spec;
  const v1::SearchStatus status = SearchStatusOf(experiment, driver_.now);
  std::vector<std::string> front;
  for (const v1::SearchPoint& point : status.front()) {
    front.push_back(point.trial());
    EXPECT_THAT(point.objectives(), SizeIs(2));
  }
  EXPECT_THAT(front, ElementsAre("experiments/1/trials/1", "experiments/1/trials/3",
                                 "experiments/1/trials/2"));
}

TEST_F(SearchStatusTest, SaysThatTrialsHaveNoObjective) {
  Submit(absl::StrCat("grid { parameters { parameter: '", kValue,
                      "' values: '10' values: '20' } } max_parallel_trials: 1"));
  ASSERT_THAT(driver_.Allocate(1, 1, {{"w1", 0}}), IsOk());
  ASSERT_THAT(driver_.Facts(1, 1, "w1",
                            {"evaluation { step: 100 metrics { key: 'val/top1' value: nan } }",
                             "ended { cause: CAUSE_FINISHED end_step: 100 }"}),
              IsOk());
  EXPECT_THAT(Status().message(),
              HasSubstr("1 of 2 trials ended without a finite value of val/top1"));
  EXPECT_FALSE(Status().has_best());
}

TEST_F(SearchStatusTest, SaysThatTheBudgetIsUsedUp) {
  Submit(absl::StrCat("grid { parameters { parameter: '", kValue,
                      "' values: '10' values: '20' } } budget { trials: 1 }"));
  EXPECT_THAT(Status().message(), HasSubstr("budget is used up: trials: 1"));
}

}  // namespace
}  // namespace cvtrain::coordinator
