#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/search/parzen.h"
#include "coordinator/search/sobol_sequence.h"
#include "tests/support/seed.h"
#include "tests/unit/coordinator/search/search_driver.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::TestSeed;
using ::testing::DoubleNear;
using ::testing::Each;
using ::testing::SizeIs;

// --- Sobol ---

TEST(SobolSequenceTest, IsThatOfJoeAndKuo) {
  // Points 4 to 7 of torch.quasirandom.SobolEngine(16), without scrambling, times 64.
  constexpr std::array<std::array<uint32_t, 16>, 4> kExpected = {
      {{24, 24, 40, 56, 24, 8, 24, 56, 56, 40, 56, 24, 24, 40, 24, 56},
       {56, 56, 8, 24, 56, 40, 56, 24, 24, 8, 24, 56, 56, 8, 56, 24},
       {40, 8, 56, 40, 40, 56, 8, 8, 8, 24, 8, 40, 8, 56, 40, 40},
       {8, 40, 24, 8, 8, 24, 40, 40, 40, 56, 40, 8, 40, 24, 8, 8}}};
  for (uint32_t index = 0; index < 4; ++index) {
    for (int dimension = 0; dimension < 16; ++dimension) {
      EXPECT_EQ(SobolPoint(index + 4, dimension) >> 26,
                kExpected[index][static_cast<size_t>(dimension)])
          << index << " " << dimension;
    }
  }
}

TEST(SobolSequenceTest, PutsOnePointInEachCellOfEveryDimension) {
  for (int dimension = 0; dimension < kSobolDimensionsMax; ++dimension) {
    std::set<uint32_t> cells;
    for (uint32_t index = 0; index < 1024; ++index)
      cells.insert(SobolPoint(index, dimension) >> 22);
    EXPECT_THAT(cells, SizeIs(1024)) << dimension;
  }
}

constexpr char kPlane[] =
    "trials: 64 seed: 5 parameters { parameter: 'a' uniform { min: 0 max: 1 } } "
    "parameters { parameter: 'b' uniform { min: 0 max: 1 } } ";

TEST(SobolSearchTest, CoversThePlaneEvenly) {
  SearchDriver driver(SearchSpec(absl::StrCat("sobol { ", kPlane, " }")), 64);
  driver.Advance();
  ASSERT_THAT(driver.results(), SizeIs(64));
  std::set<std::pair<int, int>> cells;
  for (size_t i = 0; i < 64; ++i) {
    cells.insert(
        {static_cast<int>(8 * driver.Number(i)), static_cast<int>(8 * driver.Number(i, "b"))});
  }
  EXPECT_THAT(cells, SizeIs(64)) << "one point in each of 8 x 8 cells";
}

TEST(SobolSearchTest, KeepsConstraintsAndDrawsNoPointTwice) {
  SearchDriver driver(
      SearchSpec(absl::StrCat("sobol { ", kPlane,
                              " constraints { terms { parameter: 'a' } terms { parameter: 'b' "
                              "factor: -1 } min: 0 } }")),
      64);
  driver.Advance();
  std::set<std::pair<double, double>> points;
  for (size_t i = 0; i < 64; ++i) {
    EXPECT_GE(driver.Number(i), driver.Number(i, "b"));
    points.insert({driver.Number(i), driver.Number(i, "b")});
  }
  EXPECT_THAT(points, SizeIs(64));
}

// --- Parzen ---

TEST(ParzenTest, IsADensityThatDrawsAgreeWith) {
  const plan::Axis axis{plan::Axis::Kind::kNumber, -1, 3, 0, 0};
  const Parzen parzen(axis, {0.0, 0.1, 2.9}, {1.0, 0.5, 1.0});
  constexpr int kCells = 400;
  std::vector<double> mass(kCells);
  for (int i = 0; i < kCells; ++i) {
    mass[static_cast<size_t>(i)] = std::exp(parzen.LogDensity(-1 + (i + 0.5) * 0.01)) * 0.01;
  }
  EXPECT_THAT(std::accumulate(mass.begin(), mass.end(), 0.0), DoubleNear(1, 1e-3));
  KeyedStream stream("test/v1", {TestSeed()});
  int below = 0;
  for (int i = 0; i < 20'000; ++i) {
    const double drawn = parzen.Draw(stream);
    ASSERT_GE(drawn, -1);
    ASSERT_LE(drawn, 3);
    below += drawn < 1 ? 1 : 0;
  }
  EXPECT_NEAR(below / 20'000.0, std::accumulate(mass.begin(), mass.begin() + 200, 0.0), 0.02);
}

TEST(ParzenTest, GivesPointsOfAGridTheirMass) {
  const plan::Axis axis{plan::Axis::Kind::kNumber, 0.5, 8.5, 1, 0};
  const Parzen parzen(axis, {2.0, 3.0}, {1.0, 1.0});
  double sum = 0;
  for (int i = 1; i <= 8; ++i) sum += std::exp(parzen.LogDensity(i));
  EXPECT_THAT(sum, DoubleNear(1, 1e-9));
  EXPECT_GT(parzen.LogDensity(2), parzen.LogDensity(7));
}

TEST(ParzenTest, CountsChoicesOnTopOfAPrior) {
  const plan::Axis axis{plan::Axis::Kind::kChoice, 0, 3, 0, 3};
  const Parzen parzen(axis, {1.0, 1.0, 2.0}, {1.0, 1.0, 1.0});
  double sum = 0;
  for (int i = 0; i < 3; ++i) sum += std::exp(parzen.LogDensity(i));
  EXPECT_THAT(sum, DoubleNear(1, 1e-12));
  // Each kernel: a quarter for all choices and one for its own, over 1.75; the prior: a third.
  EXPECT_THAT(std::exp(parzen.LogDensity(0)), DoubleNear(3 * 0.25 / 1.75 / 4 + 1.0 / 12, 1e-12));
  EXPECT_GT(parzen.LogDensity(1), parzen.LogDensity(2));
}

// --- TPE ---

constexpr char kMixed[] =
    "trials: 60 seed: 11 startup_trials: 10 candidates: 24 "
    "parameters { parameter: 'a' log_uniform { min: 0.0001 max: 1 } } "
    "parameters { parameter: 'n' log_integer { min: 1 max: 64 } } "
    "parameters { parameter: 'kind' choice { values: 'x' values: 'y' values: 'z' } } "
    "parameters { parameter: 'm' uniform { min: 0 max: 0.9 step: 0.1 } "
    "             when { parameter: 'kind' values: 'y' values: 'z' } } ";

double MixedObjective(const Parameters& parameters) {
  const double a = std::log10(std::stod(parameters.at("a"))) + 2;
  const double n = std::log2(std::stod(parameters.at("n"))) - 3;
  double value = -a * a - 0.2 * n * n;
  const auto m = parameters.find("m");
  if (m != parameters.end()) value += 1 - 4 * std::pow(std::stod(m->second) - 0.3, 2);
  return value;
}

v1::ExperimentSpec Mixed(const std::string& method, const std::string& more = "") {
  return SearchSpec(absl::StrCat(method, " { ", kMixed, more,
                                 " } objective { metric: 'val/top1' mode: MODE_MAX }"));
}

TEST(TpeSearchTest, LearnsInASpaceOfAllKindsWithConditions) {
  const v1::ExperimentSpec random = [] {
    v1::ExperimentSpec spec = Mixed("tpe");
    v1::RandomSearch plain;
    plain.set_trials(60);
    plain.set_seed(11);
    *plain.mutable_parameters() = spec.search().tpe().parameters();
    *spec.mutable_search()->mutable_random() = plain;
    return spec;
  }();
  double of_tpe = 0;
  double of_random = 0;
  for (int seed = 0; seed < 10; ++seed) {
    v1::ExperimentSpec spec = Mixed("tpe");
    spec.mutable_search()->mutable_tpe()->set_seed(static_cast<uint64_t>(seed));
    SearchDriver tpe(spec);
    ASSERT_TRUE(tpe.Run(MixedObjective));
    of_tpe += tpe.Best() / 10;
    v1::ExperimentSpec plain = random;
    plain.mutable_search()->mutable_random()->set_seed(static_cast<uint64_t>(seed));
    SearchDriver drawn(plain);
    ASSERT_TRUE(drawn.Run(MixedObjective));
    of_random += drawn.Best() / 10;
    for (size_t i = 0; i < 60; ++i) {
      const Parameters parameters = tpe.ParametersOf(i);
      EXPECT_EQ(parameters.contains("m"), parameters.at("kind") != "x");
      EXPECT_THAT(tpe.Number(i, "n"), ::testing::AllOf(::testing::Ge(1), ::testing::Le(64)));
    }
  }
  // The optimum is 1. The distance that is left is less than half that of independent draws.
  EXPECT_LT(1 - of_tpe, (1 - of_random) / 2);
}

TEST(TpeSearchTest, ProposesTheSameAfterAnyInterruption) {
  SearchDriver whole(Mixed("tpe"));
  ASSERT_TRUE(whole.Run(MixedObjective));
  // Another process knows the results and nothing else.
  for (const size_t made : {0u, 1u, 10u, 11u, 35u, 59u}) {
    const auto other = MakeSearcher(Mixed("tpe"));
    const SearchAdvance advance =
        other->Advance(absl::MakeSpan(whole.results()).subspan(0, made), 1);
    ASSERT_THAT(advance.created, SizeIs(1));
    EXPECT_EQ(advance.created[0], whole.ParametersOf(made));
  }
}

TEST(TpeSearchTest, KeepsConstraints) {
  SearchDriver driver(
      Mixed("tpe",
            "constraints { terms { parameter: 'n' } terms { parameter: 'a' factor: 100 } "
            "max: 20 } "),
      4);
  ASSERT_TRUE(driver.Run(MixedObjective));
  for (size_t i = 0; i < 60; ++i) {
    EXPECT_LE(driver.Number(i, "n") + 100 * driver.Number(i, "a"), 20 + 1e-9);
  }
}

TEST(TpeSearchTest, DrawsApartWhatRunsAtTheSameTime) {
  SearchDriver driver(Mixed("tpe"), 16);
  ASSERT_TRUE(driver.Run(MixedObjective));
  std::set<std::string> distinct;
  for (size_t i = 0; i < 60; ++i) distinct.insert(driver.ParametersOf(i).at("a"));
  EXPECT_THAT(distinct, SizeIs(60));
}

TEST(TpeSearchTest, LearnsFromFailuresToo) {
  SearchDriver driver(Mixed("tpe"));
  ASSERT_TRUE(driver.Run([](const Parameters& parameters) -> std::optional<double> {
    if (std::stod(parameters.at("n")) > 8) return std::nullopt;
    return MixedObjective(parameters);
  }));
  int failed_early = 0;
  int failed_late = 0;
  for (size_t i = 0; i < 60; ++i) {
    const bool failed = driver.Number(i, "n") > 8;
    (i < 30 ? failed_early : failed_late) += failed ? 1 : 0;
  }
  EXPECT_LT(failed_late, failed_early);
}

// --- Random ---

TEST(RandomSearchTest, DrawsStepsAndLogarithmsOfIntegersAndOnlyWhatApplies) {
  v1::ExperimentSpec spec = Mixed("tpe");
  v1::RandomSearch random;
  random.set_trials(2000);
  random.set_seed(1);
  *random.mutable_parameters() = spec.search().tpe().parameters();
  *spec.mutable_search()->mutable_random() = random;
  SearchDriver driver(spec, 2000);
  driver.Advance();
  std::set<std::string> steps;
  int small = 0;
  for (size_t i = 0; i < 2000; ++i) {
    const Parameters parameters = driver.ParametersOf(i);
    EXPECT_EQ(parameters.contains("m"), parameters.at("kind") != "x");
    if (parameters.contains("m")) steps.insert(parameters.at("m"));
    small += driver.Number(i, "n") <= 8 ? 1 : 0;
  }
  EXPECT_THAT(steps, ::testing::ElementsAre("0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7",
                                            "0.8", "0.9"));
  // log(8.5 / 0.5) / log(64.5 / 0.5) of them.
  EXPECT_NEAR(small / 2000.0, std::log(17.0) / std::log(129.0), 0.04);
}

}  // namespace
}  // namespace cvtrain::coordinator
