#include "plan/recipe/search_points.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "cvtrain/v1/recipe.pb.h"

namespace cvtrain::plan {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

v1::LinearSearch LinearSearch(double start, double stop, double step) {
  v1::LinearSearch search;
  search.set_start(start);
  search.set_stop(stop);
  search.set_step(step);
  return search;
}

TEST(LinearPointsTest, IncludesBothEndsWhereTheStepMeetsThem) {
  EXPECT_THAT(LinearPoints(LinearSearch(40, 10, -10)), ElementsAre(40, 30, 20, 10));
  EXPECT_THAT(LinearPoints(LinearSearch(40, 15, -10)), ElementsAre(40, 30, 20));
  EXPECT_THAT(LinearPoints(LinearSearch(5, 5, 1)), ElementsAre(5));
  EXPECT_THAT(LinearPoints(LinearSearch(0, 0.3, 0.1)), SizeIs(4));
}

TEST(LinearPointsTest, PrefersExplicitValues) {
  v1::LinearSearch search;
  for (double value : {40, 20, 10, 5}) search.add_values(value);
  EXPECT_THAT(LinearPoints(search), ElementsAre(40, 20, 10, 5));
}

TEST(LinearPointsTest, IsEmptyForAStepThatLeadsAway) {
  EXPECT_THAT(LinearPoints(LinearSearch(40, 10, 10)), IsEmpty());
  EXPECT_THAT(LinearPoints(LinearSearch(40, 10, 0)), IsEmpty());
  EXPECT_THAT(LinearPoints(LinearSearch(0, 0, 0)), IsEmpty());
}

TEST(LinearPointsTest, EndsAfterOneTooMany) {
  EXPECT_THAT(LinearPoints(LinearSearch(0, 1e300, 1e-3)), SizeIs(10'001));
}

TEST(SearchTrialCountTest, CountsEachMethod) {
  v1::Search search;
  EXPECT_EQ(SearchTrialCount(search), 1);
  *search.mutable_linear() = LinearSearch(40, 10, -10);
  EXPECT_EQ(SearchTrialCount(search), 4);
  search.mutable_random()->set_trials(7);
  EXPECT_EQ(SearchTrialCount(search), 7);
  for (int values : {2, 3}) {
    v1::GridParameter& parameter = *search.mutable_grid()->add_parameters();
    for (int i = 0; i < values; ++i) parameter.add_values("1");
  }
  EXPECT_EQ(SearchTrialCount(search), 6);
}

TEST(SearchTrialCountTest, CountsReplicatesAndSaysWhereItDependsOnResults) {
  v1::Search search;
  search.mutable_sobol()->set_trials(8);
  EXPECT_EQ(SearchTrialCount(search), 8);
  search.set_replicates(3);
  EXPECT_EQ(SearchTrialCount(search), 24);
  search.mutable_racing();
  EXPECT_EQ(SearchTrialCount(search), -1);
  search.clear_racing();
  search.mutable_golden();
  EXPECT_EQ(SearchTrialCount(search), -1);
}

v1::ScalarRange Range(double min, double max) {
  v1::ScalarRange range;
  range.set_min(min);
  range.set_max(max);
  return range;
}

TEST(ScalarPointsTest, GoesByStepsToleranceOrValues) {
  v1::ScalarRange range = Range(1, 2.05);
  range.set_step(0.1);
  EXPECT_EQ(ScalarPoints(range).size(), 11);
  EXPECT_EQ(PointText(ScalarPoints(range).At(3)), "1.3");
  range = Range(-1, 1);
  range.set_tolerance(0.3);
  const ScalarPoints points(range);
  EXPECT_EQ(points.size(), 8) << "no farther apart than the tolerance";
  EXPECT_EQ(points.At(0), -1);
  EXPECT_EQ(PointText(points.At(7)), "1");
  range.Clear();
  for (const double value : {96, 128, 224}) range.add_values(value);
  EXPECT_EQ(ScalarPoints(range).size(), 3);
  EXPECT_EQ(ScalarPoints(range).At(2), 224);
}

TEST(ScalarPointsTest, HasABound) {
  v1::ScalarRange range = Range(0, 1e300);
  range.set_tolerance(1e-300);
  EXPECT_EQ(ScalarPoints(range).size(), kScalarPointsMax);
}

class SearchRungsTest : public ::testing::Test {
 protected:
  SearchRungsTest() {
    spec_.mutable_recipe()->set_epochs(30);
    spec_.mutable_search()->mutable_asha()->set_min_epochs(1);
    spec_.mutable_search()->mutable_asha()->set_reduction_factor(3);
  }
  v1::ExperimentSpec spec_;
};

TEST_F(SearchRungsTest, ArePowersOfTheFactorBelowTheEpochs) {
  EXPECT_THAT(SearchRungs(spec_), ElementsAre(1, 3, 9, 27));
  spec_.mutable_recipe()->set_epochs(27);
  EXPECT_THAT(SearchRungs(spec_), ElementsAre(1, 3, 9)) << "the end is no rung";
  spec_.mutable_search()->mutable_asha()->set_min_epochs(5);
  EXPECT_THAT(SearchRungs(spec_), ElementsAre(5, 15));
}

TEST_F(SearchRungsTest, MoveOnToEpochsWithAnEvaluation) {
  spec_.mutable_recipe()->mutable_evaluation()->set_every_epochs(4);
  EXPECT_THAT(SearchRungs(spec_), ElementsAre(4, 12, 28));
  spec_.mutable_recipe()->mutable_evaluation()->set_every_epochs(30);
  EXPECT_THAT(SearchRungs(spec_), IsEmpty());
}

TEST_F(SearchRungsTest, HaveDefaultsAndAreForMethodsWithRungsOnly) {
  spec_.mutable_search()->mutable_hyperband();
  EXPECT_THAT(SearchRungs(spec_), ElementsAre(1, 3, 9, 27));
  spec_.mutable_search()->mutable_asha();
  EXPECT_THAT(SearchRungs(spec_), ElementsAre(1, 4, 16));
  spec_.mutable_search()->mutable_grid();
  EXPECT_THAT(SearchRungs(spec_), IsEmpty());
}

TEST_F(SearchRungsTest, CountEpochsOfASyntheticRecipe) {
  spec_.mutable_recipe()->set_task(v1::Recipe::TASK_SYNTHETIC);
  spec_.mutable_recipe()->mutable_synthetic()->set_steps(95);
  spec_.mutable_recipe()->mutable_synthetic()->set_steps_per_epoch(10);
  EXPECT_EQ(EpochsOf(spec_.recipe()), 9);
  EXPECT_THAT(SearchRungs(spec_), ElementsAre(1, 3));
}

TEST(SearchTrialCountTest, DoesNotOverflow) {
  v1::Search search;
  for (int i = 0; i < 16; ++i) {
    v1::GridParameter& parameter = *search.mutable_grid()->add_parameters();
    for (int j = 0; j < 100; ++j) parameter.add_values("1");
  }
  EXPECT_EQ(SearchTrialCount(search), std::numeric_limits<int64_t>::max());
}

}  // namespace
}  // namespace cvtrain::plan
