#include "plan/augment/crop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>

#include "cvtrain/v1/recipe.pb.h"

namespace cvtrain::plan {
namespace {

KeyedStream Stream(uint64_t n) { return KeyedStream("test/crop/v1", {n}); }

v1::RandomResizedCrop Spec(double scale_min, double scale_max, double ratio_min = 0.75,
                           double ratio_max = 4.0 / 3) {
  v1::RandomResizedCrop spec;
  spec.set_scale_min(scale_min);
  spec.set_scale_max(scale_max);
  spec.set_ratio_min(ratio_min);
  spec.set_ratio_max(ratio_max);
  return spec;
}

TEST(DrawResizedCropTest, LiesInsideWithTheAreaAndRatioThatWereAskedFor) {
  const auto spec = Spec(0.08, 1);
  double area_sum = 0;
  constexpr int kCrops = 4'000;
  for (uint64_t i = 0; i < kCrops; ++i) {
    const CropRect crop = DrawResizedCrop(200, 160, spec, Stream(i));
    ASSERT_GE(crop.x, 0);
    ASSERT_GE(crop.y, 0);
    ASSERT_LE(crop.x + crop.width, 200);
    ASSERT_LE(crop.y + crop.height, 160);
    ASSERT_EQ(crop.x, std::floor(crop.x)) << "whole pixels";
    const double ratio = crop.width / crop.height;
    // Sides are rounded to pixels: of a crop of 45 pixels by 1 %.
    EXPECT_GT(ratio, 0.75 * 0.97);
    EXPECT_LT(ratio, 4.0 / 3 * 1.03);
    area_sum += crop.width * crop.height / (200 * 160);
  }
  // Uniform in [0.08, 1] has mean 0.54; draws that do not fit, mostly large ones, are repeated. The
  // mean of 200,000 draws by torchvision's rule is 0.4546.
  EXPECT_NEAR(area_sum / kCrops, 0.4546, 0.015);
}

TEST(DrawResizedCropTest, IsAFunctionOfItsStream) {
  const auto spec = Spec(0.08, 1);
  const CropRect one = DrawResizedCrop(200, 160, spec, Stream(1));
  const CropRect again = DrawResizedCrop(200, 160, spec, Stream(1));
  const CropRect other = DrawResizedCrop(200, 160, spec, Stream(2));
  EXPECT_EQ(one.x, again.x);
  EXPECT_EQ(one.width, again.width);
  EXPECT_FALSE(one.x == other.x && one.y == other.y && one.width == other.width);
}

TEST(DrawResizedCropTest, FallsBackToTheLargestCentredCropOfAnAllowedRatio) {
  // Ten times as wide as high: no crop of its whole area has a ratio below 4/3.
  const CropRect wide = DrawResizedCrop(1000, 100, Spec(1, 1), Stream(1));
  EXPECT_EQ(wide.height, 100);
  EXPECT_EQ(wide.width, 133);
  EXPECT_EQ(wide.x, 433);
  EXPECT_EQ(wide.y, 0);
  const CropRect high = DrawResizedCrop(100, 1000, Spec(1, 1), Stream(1));
  EXPECT_EQ(high.width, 100);
  EXPECT_EQ(high.height, 133);
  EXPECT_EQ(high.y, 433);
}

TEST(DrawResizedCropTest, APictureOfOnePixelIsItsOwnCrop) {
  const CropRect crop = DrawResizedCrop(1, 1, Spec(0.08, 1), Stream(1));
  EXPECT_EQ(crop.x, 0);
  EXPECT_EQ(crop.y, 0);
  EXPECT_EQ(crop.width, 1);
  EXPECT_EQ(crop.height, 1);
}

TEST(CentreCropTest, IsTheCentreAfterTheShortSideWasResized) {
  // 232 / 224 on a picture of 464 x 580: the crop is 448 source pixels wide.
  const CropRect crop = CentreCrop(464, 580, 232, 224);
  EXPECT_DOUBLE_EQ(crop.width, 448);
  EXPECT_DOUBLE_EQ(crop.height, 448);
  EXPECT_DOUBLE_EQ(crop.x, 8);
  EXPECT_DOUBLE_EQ(crop.y, 66);
}

TEST(CentreCropTest, ACropThatIsLargerThanThePictureTakesItsShortSide) {
  const CropRect crop = CentreCrop(100, 60, 100, 120);
  EXPECT_DOUBLE_EQ(crop.width, 60);
  EXPECT_DOUBLE_EQ(crop.height, 60);
  EXPECT_DOUBLE_EQ(crop.x, 20);
  EXPECT_DOUBLE_EQ(crop.y, 0);
}

TEST(WholePictureTest, IsAllOfIt) {
  EXPECT_EQ(WholePicture({.width = 50, .height = 31}), (CropRect{0, 0, 50, 31}));
}

TEST(CentreCropOfRatioTest, OfASquareStepIsTheCropOfTheEvaluation) {
  const CropRect crop =
      CentreCropOfRatio({.width = 464, .height = 580}, {.width = 224, .height = 224}, 232.0 / 224);
  const CropRect evaluation = CentreCrop(464, 580, 232, 224);
  EXPECT_NEAR(crop.x, evaluation.x, 1e-9);
  EXPECT_NEAR(crop.y, evaluation.y, 1e-9);
  EXPECT_NEAR(crop.width, evaluation.width, 1e-9);
  EXPECT_NEAR(crop.height, evaluation.height, 1e-9);
}

TEST(CentreCropOfRatioTest, HasTheRatioOfTheStepAndTouchesTheNearerEdges) {
  const CropRect wide =
      CentreCropOfRatio({.width = 300, .height = 300}, {.width = 80, .height = 40}, 1);
  EXPECT_EQ(wide, (CropRect{0, 75, 300, 150}));
  const CropRect high =
      CentreCropOfRatio({.width = 300, .height = 200}, {.width = 40, .height = 80}, 2);
  EXPECT_EQ(high, (CropRect{125, 50, 50, 100}));
}

}  // namespace
}  // namespace cvtrain::plan
