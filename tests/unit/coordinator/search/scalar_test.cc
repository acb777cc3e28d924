#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/seed.h"
#include "tests/unit/coordinator/search/search_driver.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::TestSeed;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

v1::ExperimentSpec Scalar(const std::string& method, const std::string& over,
                          const std::string& more = "", int parallel = 1,
                          const std::string& mode = "MODE_MAX") {
  return SearchSpec(absl::StrCat(method, " { over { parameter: 'a' ", over, " } ", more,
                                 " } objective { metric: 'val/top1' mode: ", mode,
                                 " } max_parallel_trials: ", parallel));
}

SearchDriver::Measure Of(const std::function<double(double)>& f) {
  return [f](const Parameters& parameters) { return f(std::stod(parameters.at("a"))); };
}

// A function with its peak at `peak`.
std::function<double(double)> Hill(double peak) {
  return [peak](double x) { return 100 - std::abs(x - peak); };
}

// --- golden ---

TEST(GoldenSearchTest, FindsThePeakWhereverItIsTheEndsIncluded) {
  for (int peak = 0; peak <= 20; ++peak) {
    SearchDriver driver(Scalar("golden", "min: 0 max: 20 step: 1"));
    ASSERT_TRUE(driver.Run(Of(Hill(peak))));
    EXPECT_EQ(driver.Findings().answer, peak);
    // Of 21 points: F(8) = 21 is less than 22, so the bracket is F(9) = 34 long.
    EXPECT_LE(driver.results().size(), 7u) << peak;
    EXPECT_THAT(driver.Findings().message, IsEmpty());
  }
}

TEST(GoldenSearchTest, FindsTheDipOfAnObjectiveThatIsToBeSmall) {
  SearchDriver driver(Scalar("golden", "min: -1 max: 1 tolerance: 0.001", "", 1, "MODE_MIN"));
  ASSERT_TRUE(driver.Run(Of([](double x) { return (x - 0.3) * (x - 0.3); })));
  const SearchFindings findings = driver.Findings();
  EXPECT_THAT(*findings.answer, DoubleNear(0.3, 0.001));
  EXPECT_LE(findings.bracket->low, 0.3);
  EXPECT_GE(findings.bracket->high, 0.3);
  EXPECT_LE(findings.bracket->high - findings.bracket->low, 0.0021);
  // 2,001 points: as many probes as the golden section takes, log(2001) / log(1.618) = 15.8.
  EXPECT_LE(driver.results().size(), 17u);
}

TEST(GoldenSearchTest, TakesAPointWithoutAnObjectiveForAWorseOne) {
  SearchDriver driver(Scalar("golden", "min: 0 max: 20 step: 1"));
  ASSERT_TRUE(driver.Run([](const Parameters& parameters) -> std::optional<double> {
    const double x = std::stod(parameters.at("a"));
    if (x > 12) return std::nullopt;  // does not fit in memory
    return x;
  }));
  EXPECT_EQ(driver.Findings().answer, 12);
}

TEST(GoldenSearchTest, EndsWhereNeitherProbeHasAnObjective) {
  SearchDriver driver(Scalar("golden", "min: 0 max: 20 step: 1"));
  ASSERT_TRUE(driver.Run([](const Parameters&) { return std::nullopt; }));
  EXPECT_THAT(driver.results(), SizeIs(2));
  EXPECT_EQ(driver.Findings().answer, std::nullopt);
  EXPECT_THAT(driver.Findings().message, HasSubstr("neither probe"));
}

// --- bisect, secant ---

class CrossingTest : public ::testing::TestWithParam<const char*> {};

TEST_P(CrossingTest, FindsWhereARisingOrFallingObjectiveCrossesTheTarget) {
  for (const double sign : {1.0, -1.0}) {
    for (const double at : {0.0, 0.01, 1.0 / 3, 0.5, 0.99, 1.0}) {
      SearchDriver driver(Scalar(GetParam(), "min: 0 max: 1 tolerance: 0.001", "target: 50"));
      ASSERT_TRUE(
          driver.Run(Of([&](double x) { return 50 + sign * 30 * (std::exp(x) - std::exp(at)); }),
                     nullptr, 60));
      const SearchFindings findings = driver.Findings();
      EXPECT_THAT(*findings.answer, DoubleNear(at, 0.001)) << sign << " " << at;
      EXPECT_LE(findings.bracket->low, at + 1e-12);
      EXPECT_GE(findings.bracket->high, at - 1e-12);
      EXPECT_LE(findings.bracket->high - findings.bracket->low, 0.0011);
      ASSERT_TRUE(findings.bracket->low_objective && findings.bracket->high_objective);
    }
  }
}

TEST_P(CrossingTest, FindsAJumpInFewProbes) {
  SearchDriver driver(Scalar(GetParam(), "min: 0 max: 1000 step: 1", "target: 50"));
  ASSERT_TRUE(driver.Run(Of([](double x) { return x < 700 ? 0.0 : 50.1; }), nullptr, 60));
  EXPECT_EQ(driver.Findings().answer, 700);
  EXPECT_EQ(driver.Findings().bracket->low, 699);
  EXPECT_LE(driver.results().size(), 32u) << "a bracket that does not shrink";
}

TEST_P(CrossingTest, SaysThatTheEndsAreOnOneSide) {
  SearchDriver driver(Scalar(GetParam(), "min: 0 max: 10 step: 1", "target: 50"));
  ASSERT_TRUE(driver.Run(Of([](double x) { return 60 + x; })));
  EXPECT_THAT(driver.Findings().message, HasSubstr("both ends are above the target of 50"));
  EXPECT_EQ(driver.Findings().answer, std::nullopt);
  EXPECT_THAT(driver.Counted(), UnorderedElementsAre(0, 10));
}

TEST_P(CrossingTest, EndsAtAProbeWhoseSideIsNotKnown) {
  SearchDriver driver(Scalar(GetParam(), "min: 0 max: 10 step: 1", "target: 50"));
  ASSERT_TRUE(driver.Run([](const Parameters& parameters) -> std::optional<double> {
    const double x = std::stod(parameters.at("a"));
    if (x == 0 || x == 10) return x * 10;
    return std::nullopt;
  }));
  EXPECT_THAT(driver.Findings().message, HasSubstr("no objective"));
  EXPECT_EQ(driver.Findings().bracket->low, 0);
  EXPECT_EQ(driver.Findings().bracket->high, 10);
}

TEST_P(CrossingTest, EndsAtAnEndWithoutAnObjective) {
  SearchDriver driver(Scalar(GetParam(), "min: 0 max: 10 step: 1", "target: 50"));
  ASSERT_TRUE(driver.Run([](const Parameters& parameters) -> std::optional<double> {
    if (parameters.at("a") == "10") return std::nullopt;
    return 0.0;
  }));
  EXPECT_THAT(driver.Findings().message, HasSubstr("the upper end has no objective"));
}

INSTANTIATE_TEST_SUITE_P(Methods, CrossingTest, ::testing::Values("bisect", "secant"));

TEST(SecantSearchTest, NeedsFewerProbesThanHalvesOnASmoothCurve) {
  const auto probes = [](const char* method) {
    SearchDriver driver(Scalar(method, "min: 0 max: 1 tolerance: 0.00001", "target: 0"));
    EXPECT_TRUE(driver.Run(Of([](double x) { return std::log(0.2 + x) - std::log(0.55); })));
    return driver.results().size();
  };
  EXPECT_LT(probes("secant") + 4, probes("bisect"));
}

// --- monotone_threshold ---

TEST(MonotoneThresholdSearchTest, FindsTheSmallestValueThatKeepsTheObjective) {
  // Top-1 over resolution: flat, then falling.
  const auto top1 = [](double x) { return x >= 128 ? 75.0 - 0.001 * (224 - x) : 60.0; };
  SearchDriver driver(
      Scalar("monotone_threshold", "values: [96, 112, 128, 160, 192, 224]", "margin: 0.2"));
  ASSERT_TRUE(driver.Run(Of(top1)));
  const SearchFindings findings = driver.Findings();
  EXPECT_EQ(findings.answer, 128);
  EXPECT_EQ(findings.bracket->low, 112);
  EXPECT_EQ(findings.bracket->high, 128);
  EXPECT_EQ(findings.bracket->low_objective, 60);
  EXPECT_LE(driver.results().size(), 4u);
}

TEST(MonotoneThresholdSearchTest, FindsTheLargestValueOfALossThatKeeps) {
  SearchDriver driver(Scalar("monotone_threshold", "min: 0 max: 15 step: 1",
                             "seek: SEEK_LARGEST margin: 0.5", 1, "MODE_MIN"));
  ASSERT_TRUE(driver.Run(Of([](double x) { return 1 + 0.1 * x; })));
  // 1.5 is 0.5 above 1.0, whatever the last bit says.
  EXPECT_EQ(driver.Findings().answer, 5);
  EXPECT_EQ(driver.Number(0), 0) << "the baseline comes first";
}

TEST(MonotoneThresholdSearchTest, FindsEveryThresholdOfARow) {
  for (int keeps_from = 0; keeps_from <= 9; ++keeps_from) {
    for (const bool largest : {false, true}) {
      SearchDriver driver(
          Scalar("monotone_threshold", "min: 0 max: 9 step: 1",
                 absl::StrCat("margin: 1 seek: ", largest ? "SEEK_LARGEST" : "SEEK_SMALLEST")));
      ASSERT_TRUE(driver.Run(Of([&](double x) {
        const double from_baseline = largest ? x : 9 - x;
        return from_baseline <= 9 - keeps_from ? 80.0 : 20.0;
      })));
      EXPECT_EQ(driver.Findings().answer, largest ? 9 - keeps_from : keeps_from);
    }
  }
}

TEST(MonotoneThresholdSearchTest, GoesByABaselineThatIsGiven) {
  const char* range = "min: 1 max: 10 step: 1";
  SearchDriver driver(Scalar("monotone_threshold", range, "margin: 0.2 baseline: 70"));
  ASSERT_TRUE(driver.Run(Of([](double x) { return 60 + x; })));
  EXPECT_EQ(driver.Findings().answer, 10);
  SearchDriver none(Scalar("monotone_threshold", range, "margin: 0.2 baseline: 90"));
  ASSERT_TRUE(none.Run(Of([](double x) { return 60 + x; })));
  EXPECT_EQ(none.Findings().answer, std::nullopt);
  EXPECT_THAT(none.Findings().message, HasSubstr("no value of the range"));
}

TEST(MonotoneThresholdSearchTest, TakesATrialThatFailedForOneThatDoesNotKeep) {
  SearchDriver driver(Scalar("monotone_threshold", "min: 0 max: 9 step: 1", "margin: 0"));
  ASSERT_TRUE(driver.Run([](const Parameters& parameters) -> std::optional<double> {
    if (std::stod(parameters.at("a")) < 4) return std::nullopt;
    return 80.0;
  }));
  EXPECT_EQ(driver.Findings().answer, 4);
}

TEST(MonotoneThresholdSearchTest, EndsWithoutABaseline) {
  SearchDriver driver(Scalar("monotone_threshold", "min: 0 max: 9 step: 1", "margin: 0"));
  ASSERT_TRUE(driver.Run([](const Parameters&) { return std::nullopt; }));
  EXPECT_THAT(driver.Findings().message, HasSubstr("the baseline has no objective"));
  EXPECT_THAT(driver.results(), SizeIs(1));
}

TEST(MonotoneThresholdSearchTest, MovesSeveralFieldsTogether) {
  SearchDriver driver(
      Scalar("monotone_threshold", "also: 'b' also: 'c' values: [96, 128]", "margin: 0"));
  driver.Advance();
  EXPECT_THAT(driver.ParametersOf(0),
              ElementsAre(::testing::Pair("a", "128"), ::testing::Pair("b", "128"),
                          ::testing::Pair("c", "128")));
}

// --- Probes ahead ---

struct AheadCase {
  const char* method;
  const char* more;
};

class AheadTest : public ::testing::TestWithParam<AheadCase> {
 protected:
  static double Measured(double x) {
    const std::string method = GetParam().method;
    if (method == "golden") return Hill(37)(x);
    return x / 2;
  }
  static v1::ExperimentSpec Spec(int parallel) {
    return Scalar(GetParam().method, "min: 0 max: 100 step: 1", GetParam().more, parallel);
  }
};

// The path is the same with any number of probes at a time, in whatever order they end.
TEST_P(AheadTest, ChangesNeitherTheAnswerNorWhatCounts) {
  SearchDriver alone(Spec(1));
  ASSERT_TRUE(alone.Run(Of(Measured)));
  const std::vector<double> counted = alone.Counted();
  const std::set<double> expected(counted.begin(), counted.end());
  ASSERT_EQ(counted.size(), alone.results().size()) << "one at a time has nothing to discard";
  KeyedStream stream("test/v1", {TestSeed()});
  for (const int parallel : {2, 3, 7, 16}) {
    for (int round = 0; round < 20; ++round) {
      SearchDriver driver(Spec(parallel), static_cast<size_t>(parallel));
      ASSERT_TRUE(driver.Run(Of(Measured), &stream));
      const std::vector<double> values = driver.Counted();
      EXPECT_EQ(std::set<double>(values.begin(), values.end()), expected);
      EXPECT_EQ(driver.Findings().answer, alone.Findings().answer);
    }
  }
}

// With as many slots as a tree of questions has nodes, several of them are answered at once.
TEST_P(AheadTest, TakesFewerRounds) {
  const auto rounds = [](int parallel) {
    SearchDriver driver(Spec(parallel), static_cast<size_t>(parallel));
    int count = 0;
    driver.Advance();
    while (!driver.OpenTrials().empty()) {
      ++count;
      for (const size_t trial : driver.OpenTrials()) {
        driver.End(trial, Measured(driver.Number(trial)));
      }
      if (!driver.done()) driver.Advance();
    }
    EXPECT_TRUE(driver.done());
    return count;
  };
  if (std::string(GetParam().method) == "secant") {
    EXPECT_LE(rounds(16), rounds(2));
  } else {
    EXPECT_LE(rounds(16), rounds(2) / 2);
  }
}

TEST_P(AheadTest, MakesNoneIfAskedNotTo) {
  v1::ExperimentSpec spec = Spec(16);
  for (v1::ScalarRange* range :
       {spec.mutable_search()->has_golden()
            ? spec.mutable_search()->mutable_golden()->mutable_over()
            : nullptr,
        spec.mutable_search()->has_bisect()
            ? spec.mutable_search()->mutable_bisect()->mutable_over()
            : nullptr,
        spec.mutable_search()->has_secant()
            ? spec.mutable_search()->mutable_secant()->mutable_over()
            : nullptr,
        spec.mutable_search()->has_monotone_threshold()
            ? spec.mutable_search()->mutable_monotone_threshold()->mutable_over()
            : nullptr}) {
    if (range != nullptr) range->set_ahead(0);
  }
  SearchDriver driver(spec, 16);
  ASSERT_TRUE(driver.Run(Of(Measured)));
  EXPECT_EQ(driver.Counted().size(), driver.results().size());
}

TEST_P(AheadTest, DiscardsProbesOutsideOfTheBracketWhileOthersRun) {
  if (std::string(GetParam().method) == "secant") GTEST_SKIP() << "makes none ahead";
  SearchDriver driver(Spec(16), 16);
  driver.Advance();
  size_t discarded = 0;
  while (!driver.OpenTrials().empty() && discarded == 0) {
    // The first open one is what the next answer needs.
    const size_t trial = driver.OpenTrials().front();
    driver.End(trial, Measured(driver.Number(trial)));
    const SearchAdvance advance = driver.Advance();
    discarded = advance.discarded.size();
    for (const SearchAdvance::Discard& discard : advance.discarded) {
      EXPECT_THAT(discard.reason, HasSubstr("discarded"));
    }
  }
  EXPECT_GT(discarded, 0u);
  EXPECT_FALSE(driver.done());
}

INSTANTIATE_TEST_SUITE_P(Methods, AheadTest,
                         ::testing::Values(AheadCase{"golden", ""},
                                           AheadCase{"bisect", "target: 18.25"},
                                           AheadCase{"secant", "target: 18.25"},
                                           AheadCase{"monotone_threshold", "margin: 20.1"}),
                         [](const auto& one) { return std::string(one.param.method); });

}  // namespace
}  // namespace cvtrain::coordinator
