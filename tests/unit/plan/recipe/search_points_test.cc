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
