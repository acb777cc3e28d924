#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/unit/coordinator/search/search_driver.h"

namespace cvtrain::coordinator {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kRecipe[] = "task: TASK_SYNTHETIC synthetic { steps: 27 steps_per_epoch: 1 }";
constexpr char kParameters[] = "parameters { parameter: 'a' uniform { min: 0 max: 1 } } seed: 3";
constexpr char kObjective[] = " objective { metric: 'val/top1' mode: MODE_MAX }";

v1::ExperimentSpec Asha(int trials, int factor = 3) {
  return SearchSpec(absl::StrCat("asha { trials: ", trials, " min_epochs: 1 reduction_factor: ",
                                 factor, " ", kParameters, " }", kObjective),
                    kRecipe);
}

class AshaTest : public ::testing::Test {
 protected:
  // All trials are open at once.
  explicit AshaTest(int trials = 9) : driver_(Asha(trials), 100) { driver_.Advance(); }

  SearchAdvance Report(size_t trial, int epoch, double value) {
    driver_.Report(trial, epoch, value, 27);
    return driver_.Advance();
  }

  SearchDriver driver_;
};

TEST_F(AshaTest, LetsTheFirstPassAndStopsWhatIsWorse) {
  SearchAdvance advance = Report(4, 1, 50);
  ASSERT_THAT(advance.passed, SizeIs(1));
  EXPECT_EQ(advance.passed[0].trial, 4u);
  EXPECT_EQ(advance.passed[0].rungs, 1);
  advance = Report(2, 1, 40);
  EXPECT_THAT(advance.passed, IsEmpty());
  ASSERT_THAT(advance.pruned, SizeIs(1));
  EXPECT_EQ(advance.pruned[0].trial, 2u);
  EXPECT_EQ(advance.pruned[0].epoch, 1);
  EXPECT_THAT(advance.pruned[0].reason, HasSubstr("stopped after epoch 1: 1 of 2 trials"));
}

TEST_F(AshaTest, LetsTheBestThirdPass) {
  const double values[] = {50, 60, 70, 40, 65, 68};
  std::string decided;
  for (size_t i = 0; i < 6; ++i) {
    decided += Report(i, 1, values[i]).passed.empty() ? '-' : '+';
  }
  // The sixth is the second of six, of whom two pass; the fifth was the second of five.
  EXPECT_EQ(decided, "+++--+");
}

TEST_F(AshaTest, DoesNotChangeItsMind) {
  Report(0, 1, 50);
  Report(1, 1, 60);
  Report(2, 1, 70);
  // Trial 0 is the last of three now, but passed.
  EXPECT_THAT(driver_.Advance().pruned, IsEmpty());
  const SearchAdvance advance = Report(0, 3, 90);
  ASSERT_THAT(advance.passed, SizeIs(1));
  EXPECT_EQ(advance.passed[0].rungs, 2);
}

TEST_F(AshaTest, StopsATrialWhoseObjectiveIsNoNumber) {
  const SearchAdvance advance = Report(0, 1, std::numeric_limits<double>::quiet_NaN());
  ASSERT_THAT(advance.pruned, SizeIs(1));
  EXPECT_THAT(advance.pruned[0].reason, HasSubstr("no finite number"));
  EXPECT_THAT(Report(1, 1, 10).passed, SizeIs(1)) << "it is compared with nobody";
}

TEST_F(AshaTest, GoesOnDecidingAfterAllTrialsAreMade) {
  EXPECT_EQ(driver_.results().size(), 9u);
  EXPECT_FALSE(driver_.done());
  EXPECT_EQ(driver_.Advance().left, 0);
}

TEST_F(AshaTest, TrainsTheBestToTheEndAndMostOfTheOthersALittle) {
  SearchDriver driver(Asha(81), 8);
  const int epochs = driver.RunCurves(
      [](const Parameters& parameters, int epoch) {
        return 100 * std::stod(parameters.at("a")) * (1 - std::exp(-0.3 * epoch));
      },
      27);
  EXPECT_TRUE(driver.done());
  size_t finished = 0;
  size_t best = 0;
  for (size_t i = 0; i < 81; ++i) {
    if (driver.Number(i) > driver.Number(best)) best = i;
    finished += driver.results()[i].pruned ? 0 : 1;
  }
  EXPECT_FALSE(driver.results()[best].pruned);
  EXPECT_LT(finished, 20u);
  EXPECT_LT(epochs, 81 * 27 / 3);
}

TEST(HyperbandTest, DealsTrialsToBracketsInItsProportions) {
  const v1::ExperimentSpec spec =
      SearchSpec(absl::StrCat("hyperband { trials: 2000 min_epochs: 1 reduction_factor: 3 ",
                              kParameters, " }", kObjective),
                 kRecipe);
  SearchDriver driver(spec, 5000);
  driver.Advance();
  // Everybody is worse than the one before: each is stopped at the first rung of its bracket but
  // the first of the bracket, which never ends.
  std::map<int, int> stopped;
  for (size_t i = 0; i < 2000; ++i) {
    for (const int epoch : {1, 3, 9}) {
      driver.Report(i, epoch, -static_cast<double>(i), 27);
      const SearchAdvance advance = driver.Advance();
      if (!advance.pruned.empty()) ++stopped[advance.pruned[0].epoch];
      if (!advance.pruned.empty()) break;
    }
    if (driver.results()[i].state == TrialResult::State::kOpen) driver.End(i, 0);
  }
  // Four brackets with 27, 12, 6 and 4 of 49 trials: 3^s * 4 / (s + 1), rounded up.
  EXPECT_NEAR(stopped[1], 2000 * 27 / 49, 80);
  EXPECT_NEAR(stopped[3], 2000 * 12 / 49, 70);
  EXPECT_NEAR(stopped[9], 2000 * 6 / 49, 60);
  EXPECT_NEAR(2000 - stopped[1] - stopped[3] - stopped[9], 2000 * 4 / 49, 50);
}

}  // namespace
}  // namespace cvtrain::coordinator
