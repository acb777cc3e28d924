#include "formats/picture/operations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "formats/picture/picture_editor.h"
#include "tests/unit/formats/image/image_fixtures.h"

namespace cvtrain::formats {
namespace {

using plan::PictureOperation;
using plan::PictureStep;
using ::testing::Each;
using ::testing::ElementsAre;

Image Pixel(uint8_t red, uint8_t green, uint8_t blue) {
  return {.width = 1, .height = 1, .pixels = {red, green, blue}};
}

// A picture of grey levels, row after row.
Image Grey(int width, const std::vector<int>& levels) {
  Image image;
  image.Resize(width, static_cast<int>(levels.size()) / width);
  for (size_t i = 0; i < image.pixels.size(); ++i) {
    image.pixels[i] = static_cast<uint8_t>(levels[i / 3]);
  }
  return image;
}

std::vector<int> LevelsOf(const Image& image) {
  std::vector<int> levels;
  for (size_t i = 0; i < image.pixels.size(); i += 3) levels.push_back(image.pixels[i]);
  return levels;
}

TEST(LumaTest, CutsToWholeLevels) {
  EXPECT_EQ(Luma(255, 0, 0), 76);   // 76.22
  EXPECT_EQ(Luma(0, 255, 0), 149);  // 149.69
  EXPECT_EQ(Luma(0, 0, 255), 29);   // 29.07
  EXPECT_EQ(Luma(255, 255, 255), 254) << "the weights add up to 0.9999";
}

TEST(ColorTest, AFactorOfOneChangesNothing) {
  const Image picture = testing::MakePicture(37, 23);
  for (const auto adjust : {AdjustBrightness, AdjustContrast, AdjustSaturation}) {
    Image copy = picture;
    adjust(copy, 1);
    EXPECT_EQ(copy.pixels, picture.pixels);
  }
}

TEST(ColorTest, MixesWithBlackWithTheMeanAndWithGrey) {
  Image dark = Pixel(100, 200, 50);
  AdjustBrightness(dark, 0.5);
  EXPECT_THAT(dark.pixels, ElementsAre(50, 100, 25));
  Image bright = Pixel(100, 200, 50);
  AdjustBrightness(bright, 1.5);
  EXPECT_THAT(bright.pixels, ElementsAre(150, 255, 75)) << "clamped";

  Image flat = Grey(2, {0, 255, 255, 0});
  AdjustContrast(flat, 0);
  EXPECT_THAT(flat.pixels, Each(127)) << "the mean of the luma";
  Image grey = Pixel(100, 200, 50);
  AdjustSaturation(grey, 0);
  EXPECT_THAT(grey.pixels, Each(Luma(100, 200, 50)));
}

TEST(ColorTest, TurnsTheColourCircle) {
  for (const double turn : {1.0 / 3, -2.0 / 3 + 0.5}) {
    Image red = Pixel(255, 0, 0);
    AdjustHue(red, turn);
    if (turn > 0) {
      EXPECT_THAT(red.pixels, ElementsAre(0, 255, 0));
    } else {
      EXPECT_THAT(red.pixels, ElementsAre(255, 0, 255));
    }
  }
  Image grey = Pixel(90, 90, 90);
  AdjustHue(grey, 0.3);
  EXPECT_THAT(grey.pixels, Each(90)) << "grey has no colour";
}

// Every colour of a grid stays what it is, or is off by the one level that floats cost.
TEST(ColorTest, AWholeTurnOfTheColourCircleReturns) {
  for (int r = 0; r < 256; r += 15) {
    for (int g = 0; g < 256; g += 15) {
      for (int b = 0; b < 256; b += 15) {
        Image image =
            Pixel(static_cast<uint8_t>(r), static_cast<uint8_t>(g), static_cast<uint8_t>(b));
        AdjustHue(image, 0.5);
        AdjustHue(image, 0.5);
        EXPECT_NEAR(image.pixels[0], r, 1);
        EXPECT_NEAR(image.pixels[1], g, 1);
        EXPECT_NEAR(image.pixels[2], b, 1);
      }
    }
  }
}

TEST(LevelsTest, PosterizeKeepsTheUpperBits) {
  Image image = Pixel(255, 130, 63);
  Posterize(image, 2);
  EXPECT_THAT(image.pixels, ElementsAre(192, 128, 0));
  Posterize(image, 8);
  EXPECT_THAT(image.pixels, ElementsAre(192, 128, 0));
  Posterize(image, 0);
  EXPECT_THAT(image.pixels, Each(0));
}

TEST(LevelsTest, SolarizeInvertsFromTheThresholdOn) {
  Image image = Pixel(127, 128, 200);
  Solarize(image, 128);
  EXPECT_THAT(image.pixels, ElementsAre(127, 127, 55));
}

TEST(LevelsTest, InvertingTwiceChangesNothing) {
  const Image picture = testing::MakePicture(9, 7);
  Image copy = picture;
  Invert(copy);
  EXPECT_NE(copy.pixels, picture.pixels);
  Invert(copy);
  EXPECT_EQ(copy.pixels, picture.pixels);
}

TEST(LevelsTest, AutoContrastUsesTheWholeRangeOfEachChannel) {
  Image image = {.width = 3, .height = 1, .pixels = {50, 0, 9, 100, 128, 9, 75, 255, 9}};
  AutoContrast(image);
  EXPECT_THAT(image.pixels, ElementsAre(0, 0, 9, 255, 128, 9, 127, 255, 9));
}

TEST(LevelsTest, EqualizeEvensOutAHistogramThatIsLargeEnough) {
  Image image;
  image.Resize(64, 64);
  // Half of the values between 100 and 103.
  for (size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = static_cast<uint8_t>(100 + i / 3 % 4);
  Equalize(image);
  EXPECT_THAT(LevelsOf(image), ::testing::IsSupersetOf({0, 85, 171, 255}));
  Image small = Grey(2, {5, 6, 7, 8});
  Equalize(small);
  EXPECT_EQ(LevelsOf(small), (std::vector<int>{5, 6, 7, 8})) << "fewer pixels than levels";
}

TEST(SharpnessTest, BlursAllButTheEdges) {
  std::vector<uint8_t> scratch;
  Image image = Grey(3, {0, 0, 0, 0, 130, 0, 0, 0, 0});
  AdjustSharpness(image, 0, scratch);
  EXPECT_EQ(LevelsOf(image), (std::vector<int>{0, 0, 0, 0, 50, 0, 0, 0, 0}));
  Image thin = Grey(2, {0, 130, 0, 130, 0, 130});
  AdjustSharpness(thin, 0, scratch);
  EXPECT_EQ(LevelsOf(thin), (std::vector<int>{0, 130, 0, 130, 0, 130}));
}

TEST(WarpTest, TranslatesRightAndDown) {
  std::vector<uint8_t> scratch;
  Image image = Grey(3, {1, 2, 3, 4, 5, 6});
  Warp(image, TranslationMap(1, 0), scratch);
  EXPECT_EQ(LevelsOf(image), (std::vector<int>{0, 1, 2, 0, 4, 5}));
  Warp(image, TranslationMap(0, 1), scratch);
  EXPECT_EQ(LevelsOf(image), (std::vector<int>{0, 0, 0, 0, 1, 2}));
  Warp(image, TranslationMap(-200, 0), scratch);
  EXPECT_THAT(image.pixels, Each(0));
}

TEST(WarpTest, RotatesCounterClockwise) {
  std::vector<uint8_t> scratch;
  Image image = Grey(3, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  Warp(image, RotationMap(90), scratch);
  EXPECT_EQ(LevelsOf(image), (std::vector<int>{3, 6, 9, 2, 5, 8, 1, 4, 7}));
  Warp(image, RotationMap(-90), scratch);
  EXPECT_EQ(LevelsOf(image), (std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

TEST(WarpTest, ShearsAboutTheUpperLeftCorner) {
  std::vector<uint8_t> scratch;
  Image image = Grey(4, {1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4});
  Warp(image, ShearXMap(0.9, 3), scratch);
  EXPECT_EQ(LevelsOf(image), (std::vector<int>{1, 2, 3, 4, 2, 3, 4, 0, 3, 4, 0, 0}));
  Image high = Grey(2, {1, 1, 2, 2, 3, 3});
  Warp(high, ShearYMap(0.9, 2), scratch);
  EXPECT_EQ(LevelsOf(high), (std::vector<int>{1, 2, 2, 3, 3, 0}));
}

TEST(PictureEditorTest, AppliesStepsInOrder) {
  PictureEditor editor;
  Image one = Pixel(100, 150, 200);
  editor.Apply({{PictureOperation::kPosterize, 1}, {PictureOperation::kInvert, 0}}, one);
  EXPECT_THAT(one.pixels, ElementsAre(255, 127, 127));
  Image other = Pixel(100, 150, 200);
  editor.Apply({{PictureOperation::kInvert, 0}, {PictureOperation::kPosterize, 1}}, other);
  EXPECT_THAT(other.pixels, ElementsAre(128, 0, 0));
}

TEST(PictureEditorTest, TakesAnyPictureAfterAnother) {
  PictureEditor editor;
  for (const auto& [width, height] :
       {std::pair(64, 48), std::pair(1, 1), std::pair(1, 9), std::pair(200, 3), std::pair(2, 2)}) {
    for (size_t i = 0; i < plan::kPictureOperations; ++i) {
      const auto operation = static_cast<PictureOperation>(i);
      const double parameter = operation == PictureOperation::kHue ? 0.4 : 5;
      Image once = testing::MakePicture(width, height);
      Image again = once;
      editor.Apply({{operation, parameter}}, once);
      PictureEditor().Apply({{operation, parameter}}, again);
      EXPECT_EQ(once.pixels, again.pixels) << i << ": what was before does not matter";
    }
  }
}

}  // namespace
}  // namespace cvtrain::formats
