#include "plan/curriculum/psnr_target.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "cvtrain/v1/recipe.pb.h"
#include "tests/support/status_matchers.h"

// Reference vectors of the released augmentor (range-augment, G.1 to G.3).
namespace cvtrain::plan {
namespace {

using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;

TEST(SoftClipTest, GivesTheReleasedStartRanges) {
  EXPECT_NEAR(SoftClip(kBrightnessRange.raw_low, kBrightnessRange.low), 0.59796751, 5e-8);
  EXPECT_NEAR(SoftClip(kContrastRange.raw_high, kContrastRange.high), 8.37641239, 5e-7);
  EXPECT_NEAR(SoftClip(kNoiseRange.raw_low, kNoiseRange.low), 0.00002500, 5e-9);
  EXPECT_NEAR(SoftClip(kNoiseRange.raw_high, kNoiseRange.high), 0.52502668, 5e-7);
}

TEST(SoftClipTest, HasAnInverse) {
  EXPECT_NEAR(InverseSoftClip(0.5, kBrightnessRange.low), 0.0, 1e-12);
  EXPECT_NEAR(InverseSoftClip(1.5, kBrightnessRange.high), -3.0563569, 5e-8);
  EXPECT_NEAR(InverseSoftClip(0.1, kNoiseRange.high), -2.1982251, 5e-8);
  for (double raw : {-3.0, -0.5, 0.0, 1.25, 4.0}) {
    EXPECT_NEAR(InverseSoftClip(SoftClip(raw, kNoiseRange.high), kNoiseRange.high), raw, 1e-9);
  }
}

TEST(MseFromPsnrTest, IsThatOfEightBitImages) {
  const std::vector<std::pair<double, double>> cases = {{40, 6.5025}, {30, 65.025},    {20, 650.25},
                                                        {10, 6502.5}, {5, 20562.7105}, {0, 65025}};
  for (const auto& [psnr, mse] : cases) {
    EXPECT_NEAR(MseFromPsnr(psnr), mse, 5e-5) << psnr;
    EXPECT_NEAR(PsnrFromMse(mse), psnr, 1e-8) << mse;
  }
}

TEST(PsnrTargetTableTest, AnnealsAlongACosineInMse) {
  const PsnrTargetTable table({.start_db = 40, .end_db = 20, .epochs = 10});
  const std::vector<double> mse = {6.5025,   19.5406,  57.5988,  117.5938, 194.6651, 282.5688,
                                   374.1837, 462.0874, 539.1588, 599.1537, 637.2119};
  const std::vector<double> db = {40.000, 35.221, 30.527, 27.427, 25.238, 23.620,
                                  22.400, 21.484, 20.814, 20.355, 20.088};
  for (int i = 0; i <= 10; ++i) {
    EXPECT_NEAR(table.MseAt(i), mse[static_cast<size_t>(i)], 1e-4) << i;
    EXPECT_NEAR(table.PsnrAt(i), db[static_cast<size_t>(i)], 6e-4) << i;
  }
}

TEST(PsnrTargetTableTest, AnnealsAlongALine) {
  const PsnrTargetTable table(
      {.start_db = 40, .end_db = 20, .curve = PsnrTargetTable::Curve::kLinear, .epochs = 10});
  const std::vector<double> mse = {6.5025,   70.8773,  135.2520, 199.6267, 264.0015, 328.3763,
                                   392.7510, 457.1258, 521.5005, 585.8752, 650.2500};
  for (int i = 0; i <= 10; ++i) {
    EXPECT_NEAR(table.MseAt(i), mse[static_cast<size_t>(i)], 1e-4) << i;
  }
}

TEST(PsnrTargetTableTest, IsThatOfTheReleasedRecipes) {
  const std::vector<int> at = {0, 30, 150, 299, 300};
  const std::vector<std::pair<double, std::vector<double>>> cases = {
      {30, {6.5025, 7.9252, 35.6110, 65.0186, 65.0234}},
      {20, {6.5025, 22.1525, 326.6965, 650.1799, 650.2325}},
      {10, {6.5025, 164.4250, 3237.5513, 6501.7925, 6502.3232}},
      {5, {6.5025, 506.2391, 10230.9697, 20560.4707, 20562.1504}}};
  for (const auto& [end, mse] : cases) {
    const PsnrTargetTable table({.start_db = 40, .end_db = end, .epochs = 300});
    for (size_t i = 0; i < at.size(); ++i) {
      EXPECT_NEAR(table.MseAt(at[i]), mse[i], 1e-4 * mse[i]) << end << " at " << at[i];
    }
  }
}

TEST(PsnrTargetTableTest, StaysAtItsLastEntry) {
  const PsnrTargetTable table({.start_db = 40, .end_db = 20, .epochs = 10});
  EXPECT_EQ(table.MseAt(11), table.MseAt(10));
  EXPECT_EQ(table.MseAt(1000), table.MseAt(10));
}

TEST(PsnrTargetTableTest, IsConstantBetweenEqualEnds) {
  const PsnrTargetTable table({.start_db = 10, .end_db = 10, .epochs = 10});
  EXPECT_DOUBLE_EQ(table.MseAt(0), table.MseAt(7));
}

TEST(PsnrTargetTableTest, ReadsARecipe) {
  v1::Recipe recipe;
  recipe.set_epochs(10);
  EXPECT_THAT(PsnrTargetTable::Create(recipe),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("RECIPE_INVALID")));
  recipe.mutable_augmentation()->mutable_range_augment()->mutable_target_psnr();
  EXPECT_NEAR(PsnrTargetTable::Create(recipe)->MseAt(1), 19.5406, 1e-4);
  recipe.mutable_augmentation()->mutable_range_augment()->mutable_target_psnr()->set_curve(
      v1::PsnrTarget::CURVE_LINEAR);
  EXPECT_NEAR(PsnrTargetTable::Create(recipe)->MseAt(1), 70.8773, 1e-4);
}

TEST(StartRangesOfTest, AreTheReleasedOnesWithoutWish) {
  const StartRanges ranges = StartRangesOf(v1::RangeAugment());
  EXPECT_EQ(ranges.brightness.raw_low, 0.5);
  EXPECT_EQ(ranges.brightness.raw_high, 1.5);
  EXPECT_EQ(ranges.noise.raw_low, 0.0);
  EXPECT_EQ(ranges.noise.raw_high, 0.1);
}

TEST(StartRangesOfTest, ComeFromEffectiveValues) {
  v1::RangeAugment augment;
  augment.mutable_start()->mutable_brightness()->set_low(0.5);
  augment.mutable_start()->mutable_brightness()->set_high(1.5);
  const StartRanges ranges = StartRangesOf(augment);
  EXPECT_NEAR(ranges.brightness.raw_low, 0.0, 1e-9);
  EXPECT_NEAR(ranges.brightness.raw_high, -3.0563569, 5e-8);
  EXPECT_EQ(ranges.contrast.raw_low, 0.5);
}

TEST(StartRangesOfTest, GiveBackTheRawValuesThatAResolvedRecipeWasComputedFrom) {
  v1::RangeAugment augment;
  augment.mutable_start()->mutable_noise()->set_low(SoftClip(kNoiseRange.raw_low, kNoiseRange.low));
  augment.mutable_start()->mutable_noise()->set_high(
      SoftClip(kNoiseRange.raw_high, kNoiseRange.high));
  EXPECT_EQ(StartRangesOf(augment).noise.raw_low, kNoiseRange.raw_low);
  EXPECT_EQ(StartRangesOf(augment).noise.raw_high, kNoiseRange.raw_high);
}

TEST(StartRangesOfTest, KeepAGradientAtTheEndsOfTheInterval) {
  v1::RangeAugment augment;
  augment.mutable_start()->mutable_noise()->set_low(0);
  augment.mutable_start()->mutable_noise()->set_high(1);
  EXPECT_EQ(StartRangesOf(augment).noise.raw_low, -4);
  EXPECT_EQ(StartRangesOf(augment).noise.raw_high, 4);
}

}  // namespace
}  // namespace cvtrain::plan
