#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "common/sha256.h"
#include "formats/image/image.h"
#include "tests/unit/formats/image/image_fixtures.h"

namespace cvtrain::formats {
namespace {

using ::cvtrain::formats::testing::Cut;
using ::cvtrain::formats::testing::MakePicture;
using ::cvtrain::formats::testing::Psnr;

// Area averaging as it is defined, in floating point.
Image AreaByDefinition(const Image& source, int width, int height) {
  Image out;
  out.Resize(width, height);
  const double step_x = double{1} * source.width / width;
  const double step_y = double{1} * source.height / height;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      double sums[3] = {0, 0, 0};
      for (int sy = 0; sy < source.height; ++sy) {
        const double in_y = std::min((y + 1) * step_y, sy + 1.0) - std::max(y * step_y, 1.0 * sy);
        if (in_y <= 0) continue;
        for (int sx = 0; sx < source.width; ++sx) {
          const double in_x = std::min((x + 1) * step_x, sx + 1.0) - std::max(x * step_x, 1.0 * sx);
          if (in_x <= 0) continue;
          for (int c = 0; c < 3; ++c) {
            sums[c] +=
                in_x * in_y * source.pixels[static_cast<size_t>((sy * source.width + sx) * 3 + c)];
          }
        }
      }
      for (int c = 0; c < 3; ++c) {
        out.pixels[static_cast<size_t>((y * width + x) * 3 + c)] =
            static_cast<uint8_t>(std::lround(sums[c] / (step_x * step_y)));
      }
    }
  }
  return out;
}

int MaxDifference(const Image& a, const Image& b) {
  int max = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) {
    max = std::max(max, std::abs(a.pixels[i] - b.pixels[i]));
  }
  return max;
}

TEST(ResizeAreaTest, AveragesTheAreaThatAPixelCovers) {
  const Image picture = MakePicture(53, 41);
  for (const auto& [width, height] : {std::pair(53, 41), std::pair(26, 20), std::pair(17, 40),
                                      std::pair(1, 1), std::pair(52, 3)}) {
    Image out;
    ResizeArea(picture, width, height, &out);
    ASSERT_EQ(out.width, width);
    ASSERT_EQ(out.height, height);
    EXPECT_LE(MaxDifference(out, AreaByDefinition(picture, width, height)), 1)
        << width << "x" << height;
  }
}

TEST(ResizeTest, KeepsThePictureAtItsOwnSize) {
  const Image picture = MakePicture(31, 17);
  Image out;
  ResizeArea(picture, 31, 17, &out);
  EXPECT_EQ(out.pixels, picture.pixels);
  ResizeBilinear(picture, 31, 17, &out);
  EXPECT_EQ(out.pixels, picture.pixels);
}

TEST(ResizeTest, KeepsAFlatPictureFlat) {
  for (const uint8_t value : {uint8_t{0}, uint8_t{1}, uint8_t{127}, uint8_t{254}, uint8_t{255}}) {
    Image flat;
    flat.Resize(23, 19);
    flat.pixels.assign(flat.pixels.size(), value);
    for (const auto& [width, height] : {std::pair(7, 5), std::pair(40, 33), std::pair(1, 50)}) {
      Image out;
      ResizeArea(flat, width, height, &out);
      EXPECT_THAT(out.pixels, ::testing::Each(value));
      ResizeBilinear(flat, width, height, &out);
      EXPECT_THAT(out.pixels, ::testing::Each(value));
    }
  }
}

TEST(ResizeBilinearTest, InterpolatesBetweenPixelCentres) {
  Image two;
  two.Resize(2, 1);
  two.pixels = {0, 0, 0, 100, 100, 100};
  Image out;
  ResizeBilinear(two, 4, 1, &out);
  // Centres at -0.25 (clamped to 0), 0.25, 0.75, 1.25 (clamped to 1) of the source.
  EXPECT_EQ(out.pixels[0], 0);
  EXPECT_EQ(out.pixels[3], 25);
  EXPECT_EQ(out.pixels[6], 75);
  EXPECT_EQ(out.pixels[9], 100);
}

TEST(ResizeBilinearTest, EnlargesASinglePixel) {
  Image one;
  one.Resize(1, 1);
  one.pixels = {10, 20, 30};
  Image out;
  ResizeBilinear(one, 3, 2, &out);
  for (size_t i = 0; i < out.pixels.size(); ++i) EXPECT_EQ(out.pixels[i], one.pixels[i % 3]);
}

TEST(ResizeTest, ReadsAViewWithAStride) {
  const Image picture = MakePicture(64, 48);
  const ImageView view(picture.pixels.data() + (5 * 64 + 7) * 3, 40, 30, 64 * 3);
  const Image cut = Cut(picture, {7, 5, 40, 30});
  Image from_view, from_cut;
  ResizeArea(view, 13, 11, &from_view);
  ResizeArea(cut, 13, 11, &from_cut);
  EXPECT_EQ(from_view.pixels, from_cut.pixels);
}

TEST(ResizeTest, ShrinksAndGrowsBackToSomethingAlike) {
  const Image picture = MakePicture(160, 120);
  Image small, back;
  ResizeArea(picture, 80, 60, &small);
  ResizeBilinear(small, 160, 120, &back);
  EXPECT_GT(Psnr(picture, back), 30);
}

// The bytes are part of what a data set's digest stands for: they must not change with a compiler.
TEST(ResizeTest, GivesTheSameBytesAsEver) {
  Image picture;
  picture.Resize(97, 61);
  for (size_t i = 0; i < picture.pixels.size(); ++i) {
    picture.pixels[i] = static_cast<uint8_t>(i * i / 7 + 13 * i);
  }
  const auto digest = [](const Image& image) {
    return Sha256Hex(
        absl::string_view(reinterpret_cast<const char*>(image.pixels.data()), image.pixels.size()));
  };
  Image out;
  ResizeArea(picture, 40, 23, &out);
  EXPECT_EQ(digest(out).substr(0, 16), "b4b03dc7e494aa60");
  ResizeBilinear(picture, 120, 55, &out);
  EXPECT_EQ(digest(out).substr(0, 16), "41d22f0703803c23");
}

}  // namespace
}  // namespace cvtrain::formats
