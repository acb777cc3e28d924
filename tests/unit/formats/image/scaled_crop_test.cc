#include "formats/image/scaled_crop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cvtrain::formats {
namespace {

Resizer::Span Pixels(int64_t from, int64_t length) {
  return {.from = from, .length = length, .unit = 1};
}

TEST(ScaledCropTest, TakesTheSmallestScaleAtWhichThePartIsLargeEnough) {
  const auto denominator = [](int64_t part, int side, int most = 8) {
    return PlanScaledCrop(Pixels(0, part), Pixels(0, part), side, side, most).scale_denominator;
  };
  EXPECT_EQ(denominator(100, 101), 1);
  EXPECT_EQ(denominator(199, 100), 1);
  EXPECT_EQ(denominator(200, 100), 2);
  EXPECT_EQ(denominator(400, 100), 4);
  EXPECT_EQ(denominator(2'000, 100), 8);
  EXPECT_EQ(denominator(2'000, 100, /*most=*/1), 1);
}

TEST(ScaledCropTest, BothSidesMustBeLargeEnough) {
  EXPECT_EQ(PlanScaledCrop(Pixels(0, 800), Pixels(0, 150), 100, 100).scale_denominator, 1);
  EXPECT_EQ(PlanScaledCrop(Pixels(0, 150), Pixels(0, 800), 100, 100).scale_denominator, 1);
}

TEST(ScaledCropTest, DecodesThePixelsThatItTouchesAndCutsWithinThem) {
  // 13 to 413 at a half: pixels 6 to 206, of which the first and the last are touched by half.
  const ScaledCrop crop = PlanScaledCrop(Pixels(13, 400), Pixels(8, 400), 200, 200);
  ASSERT_EQ(crop.scale_denominator, 2);
  EXPECT_EQ(crop.rect.x, 6);
  EXPECT_EQ(crop.rect.width, 201);
  EXPECT_EQ(crop.x.from, 1);
  EXPECT_EQ(crop.x.length, 400);
  EXPECT_EQ(crop.x.unit, 2);
  EXPECT_EQ(crop.rect.y, 4);
  EXPECT_EQ(crop.rect.height, 200);
  EXPECT_EQ(crop.y.from, 0);
}

TEST(ScaledCropTest, KnowsPartsOfPixels) {
  // From 2.5 to 7.25 pixels.
  const Resizer::Span side = {.from = 10, .length = 19, .unit = 4};
  const ScaledCrop crop = PlanScaledCrop(side, side, 5, 5);
  EXPECT_EQ(crop.scale_denominator, 1);
  EXPECT_EQ(crop.rect.x, 2);
  EXPECT_EQ(crop.rect.width, 6);
  EXPECT_EQ(crop.x.from, 2);
  EXPECT_EQ(crop.x.unit, 4);
}

}  // namespace
}  // namespace cvtrain::formats
