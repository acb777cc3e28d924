#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "coordinator/search/paired_test.h"
#include "tests/support/seed.h"
#include "tests/unit/coordinator/search/search_driver.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::TestSeed;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::Pair;
using ::testing::SizeIs;

constexpr char kGrid[] =
    "grid { parameters { parameter: 'a' values: '1' values: '2' values: '3' } } "
    "objective { metric: 'val/top1' mode: MODE_MAX } ";

// Ten for each unit of `a`, and noise of a few points that the seed decides alone.
double Noisy(const Parameters& parameters) {
  const uint64_t seed = std::stoull(parameters.at("recipe.seed"));
  return 10 * std::stod(parameters.at("a")) + KeyedStream("test/v1", {seed}).Normal();
}

TEST(PairedTestTest, KnowsStudentsDistribution) {
  // Quantiles of the usual tables.
  EXPECT_THAT(StudentUpperTail(6.314, 1), DoubleNear(0.05, 1e-4));
  EXPECT_THAT(StudentUpperTail(2.920, 2), DoubleNear(0.05, 1e-4));
  EXPECT_THAT(StudentUpperTail(2.353, 3), DoubleNear(0.05, 1e-4));
  EXPECT_THAT(StudentUpperTail(3.365, 5), DoubleNear(0.01, 1e-4));
  EXPECT_THAT(StudentUpperTail(1.812, 10), DoubleNear(0.05, 1e-4));
  EXPECT_THAT(StudentUpperTail(2.462, 29), DoubleNear(0.01, 1e-4));
  EXPECT_THAT(StudentUpperTail(0, 4), DoubleNear(0.5, 1e-12));
  EXPECT_THAT(StudentUpperTail(-2.353, 3), DoubleNear(0.95, 1e-4));
}

TEST(PairedTestTest, IsClearOnlyWithConfidence) {
  EXPECT_TRUE(IsClearlyPositive({5.0, 5.5, 4.5}, 0.95));
  EXPECT_FALSE(IsClearlyPositive({5.0, -4.0, 3.0}, 0.95));
  EXPECT_TRUE(IsClearlyPositive({5.0, -1.0, 3.0}, 0.8));
  EXPECT_FALSE(IsClearlyPositive({-5.0, -5.5, -4.5}, 0.95));
  EXPECT_FALSE(IsClearlyPositive({5.0}, 0.95)) << "one says nothing of the spread";
  EXPECT_TRUE(IsClearlyPositive({2.0, 2.0}, 0.95));
  EXPECT_FALSE(IsClearlyPositive({0.0, 0.0}, 0.95));
}

TEST(ReplicatedSearchTest, MakesEachPointWithSeedsThatDiffer) {
  SearchDriver driver(SearchSpec(std::string(kGrid) + "replicates: 2"), 100);
  const SearchAdvance advance = driver.Advance();
  ASSERT_THAT(advance.created, SizeIs(6));
  EXPECT_THAT(advance.created[0], ElementsAre(Pair("a", "1"), Pair("recipe.seed", "7")));
  EXPECT_THAT(advance.created[1], ElementsAre(Pair("a", "1"), Pair("recipe.seed", "8")));
  EXPECT_THAT(advance.created[2], ElementsAre(Pair("a", "2"), Pair("recipe.seed", "7")));
  EXPECT_EQ(advance.places[3].point, 1);
  EXPECT_EQ(advance.places[3].replicate, 1);
  EXPECT_TRUE(advance.done);
  EXPECT_EQ(driver.searcher().TrialTotal(), 6);
}

TEST(ReplicatedSearchTest, GoesOnWhereThereWasNoRoom) {
  SearchDriver driver(SearchSpec(std::string(kGrid) + "replicates: 2"), 1);
  SearchAdvance advance = driver.Advance();
  EXPECT_THAT(advance.created, SizeIs(1));
  EXPECT_EQ(advance.left, 5);
  EXPECT_FALSE(advance.done);
  ASSERT_TRUE(driver.Run(Noisy));
  ASSERT_THAT(driver.results(), SizeIs(6));
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(driver.results()[i].point, static_cast<int64_t>(i / 2));
    EXPECT_EQ(driver.results()[i].replicate, static_cast<int32_t>(i % 2));
  }
}

// A scalar search over a noisy objective goes by means: the noise of single trials would mislead
// it.
TEST(ReplicatedSearchTest, ShowsTheSearchTheMeanOfEachPoint) {
  const v1::ExperimentSpec spec = SearchSpec(
      "bisect { over { parameter: 'a' min: 0 max: 64 step: 1 } target: 20 } replicates: 2 "
      "objective { metric: 'val/top1' mode: MODE_MAX } max_parallel_trials: 1");
  SearchDriver driver(spec);
  ASSERT_TRUE(driver.Run([](const Parameters& parameters) {
    const bool first = parameters.at("recipe.seed") == "7";
    return std::stod(parameters.at("a")) + (first ? 15 : -15);
  }));
  EXPECT_EQ(driver.Findings().answer, 20);
  EXPECT_EQ(driver.results().size() % 2, 0u);
}

TEST(ReplicatedSearchTest, TakesAPointWithAFailedTrialForFailed) {
  const v1::ExperimentSpec spec = SearchSpec(
      "monotone_threshold { over { parameter: 'a' values: [1, 2, 3] } margin: 0 } replicates: 2 "
      "objective { metric: 'val/top1' mode: MODE_MAX } max_parallel_trials: 1");
  SearchDriver driver(spec);
  ASSERT_TRUE(driver.Run([](const Parameters& parameters) -> std::optional<double> {
    if (parameters.at("a") != "3" && parameters.at("recipe.seed") == "8") return std::nullopt;
    return 70.0;
  }));
  EXPECT_EQ(driver.Findings().answer, 3);
}

class RacingTest : public ::testing::Test {
 protected:
  static v1::ExperimentSpec Spec() {
    return SearchSpec(std::string(kGrid) +
                      "replicates: 8 racing { confidence: 0.99 min_replicates: 3 }");
  }
  static std::map<double, int> TrialsOf(const SearchDriver& driver, size_t count) {
    std::map<double, int> trials;
    for (size_t i = 0; i < count; ++i) ++trials[driver.Number(i)];
    return trials;
  }
};

TEST_F(RacingTest, StopsClearLosersAndFinishesTheBest) {
  SearchDriver driver(Spec(), 4);
  KeyedStream stream("test/v1", {TestSeed()});
  ASSERT_TRUE(driver.Run(Noisy, &stream));
  EXPECT_THAT(TrialsOf(driver, driver.results().size()),
              ElementsAre(Pair(1, 3), Pair(2, 3), Pair(3, 8)));
  EXPECT_EQ(driver.Findings().raced_out, 2);
  EXPECT_EQ(driver.searcher().TrialTotal(), std::nullopt);
}

TEST_F(RacingTest, KeepsPointsThatCannotBeToldApart) {
  SearchDriver driver(Spec(), 4);
  ASSERT_TRUE(driver.Run([](const Parameters& parameters) {
    const uint64_t seed = std::stoull(parameters.at("recipe.seed"));
    const uint64_t a = std::stoull(parameters.at("a"));
    return 50 + 0.001 * static_cast<double>(a) + KeyedStream("test/v1", {seed, a}).Normal();
  }));
  EXPECT_EQ(driver.results().size(), 24u);
}

TEST_F(RacingTest, WaitsForAllBeforeItIsDone) {
  SearchDriver driver(Spec(), 100);
  SearchAdvance advance = driver.Advance();
  EXPECT_THAT(advance.created, SizeIs(9)) << "the first three of each";
  for (size_t i = 0; i < 8; ++i) driver.End(i, Noisy(driver.ParametersOf(i)));
  advance = driver.Advance();
  EXPECT_FALSE(advance.done);
}

}  // namespace
}  // namespace cvtrain::coordinator
