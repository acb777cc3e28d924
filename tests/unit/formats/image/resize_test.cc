#include "formats/image/resize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "common/sha256.h"
#include "formats/image/image.h"
#include "formats/image/resize_kernels.h"
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

TEST(ResizerTest, MirrorsTheResult) {
  const Image picture = MakePicture(61, 47, 5);
  Image straight, mirrored;
  ResizeArea(picture, 30, 20, &straight);
  mirrored.Resize(30, 20);
  Resizer().Area(picture, {.width = 30, .height = 20, .mirror = true}, mirrored.pixels.data());
  for (size_t y = 0; y < 20; ++y) {
    for (size_t x = 0; x < 30; ++x) {
      for (size_t c = 0; c < 3; ++c) {
        ASSERT_EQ(mirrored.pixels[(y * 30 + x) * 3 + c],
                  straight.pixels[(y * 30 + 29 - x) * 3 + c]);
      }
    }
  }
}

TEST(ResizerTest, KeepsNothingOfThePictureBefore) {
  const Image large = MakePicture(90, 80, 1);
  const Image small = MakePicture(9, 7, 2);
  Image alone, after;
  ResizeArea(small, 5, 4, &alone);
  after.Resize(200, 150);
  Resizer resizer;
  resizer.Area(large, {.width = 200, .height = 150}, after.pixels.data());
  after.Resize(5, 4);
  resizer.Area(small, {.width = 5, .height = 4}, after.pixels.data());
  EXPECT_EQ(after.pixels, alone.pixels);
}

// A part that begins and ends within pixels is what the same part of the picture at four times its
// size is, where it begins and ends between pixels.
TEST(ResizerTest, CutsWithinPixels) {
  const Image small = MakePicture(40, 30, 7);
  Image large;
  large.Resize(160, 120);
  for (size_t y = 0; y < 120; ++y) {
    for (size_t x = 0; x < 160; ++x) {
      for (size_t c = 0; c < 3; ++c) {
        large.pixels[(y * 160 + x) * 3 + c] = small.pixels[(y / 4 * 40 + x / 4) * 3 + c];
      }
    }
  }
  const Image cut = Cut(large, {.x = 13, .y = 7, .width = 121, .height = 97});
  for (const auto& [width, height] : {std::pair(11, 9), std::pair(30, 24)}) {
    Image expected, out;
    ResizeArea(cut, width, height, &expected);
    out.Resize(width, height);
    Resizer().AreaOf(small, {.from = 13, .length = 121, .unit = 4},
                     {.from = 7, .length = 97, .unit = 4}, {.width = width, .height = height},
                     out.pixels.data());
    EXPECT_LE(MaxDifference(out, expected), 1) << width << " x " << height;
  }
}

TEST(ResizerTest, InterpolatesWithinPixels) {
  // A ramp: the value at x is 10 x + 5 at the centre of pixel x.
  Image ramp;
  ramp.Resize(20, 1);
  for (size_t i = 0; i < ramp.pixels.size(); ++i) {
    ramp.pixels[i] = static_cast<uint8_t>(10 * (i / 3) + 5);
  }
  // From 4.25 to 7.25 in six pixels: their centres at 4.5, 5, 5.5, ...
  Image out;
  out.Resize(6, 1);
  Resizer().AreaOf(ramp, {.from = 17, .length = 12, .unit = 4}, {.from = 0, .length = 1, .unit = 1},
                   {.width = 6, .height = 1}, out.pixels.data());
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(out.pixels[i * 3], 45 + 5 * i) << i;
}

TEST(ResizerDeathTest, RefusesAPartThatIsNotInside) {
  const Image picture = MakePicture(10, 10, 1);
  std::vector<uint8_t> pixels(12);
  EXPECT_DEATH(Resizer().AreaOf(picture, {.from = 1, .length = 40, .unit = 4},
                                {.from = 0, .length = 10, .unit = 1}, {.width = 2, .height = 2},
                                pixels.data()),
               "IsWithin");
}

TEST(ResizerTest, SharesManyPixelsFairly) {
  // 12,000 source pixels in one: each weighs 1.365 of 16,384, and none may weigh much more.
  Image line;
  line.Resize(12'000, 1);
  for (size_t i = 0; i < line.pixels.size(); ++i) line.pixels[i] = i < 18'000 ? 0 : 255;
  Image out;
  ResizeArea(line, 1, 1, &out);
  EXPECT_NEAR(out.pixels[0], 128, 1);
}

// Every kernel that this machine has gives what the portable one gives: dimensions around the
// widths of vectors, and runs of one tap, a few and many.
TEST(ResizeKernelsTest, GiveTheSameBytes) {
  const ResizeKernels& best = BestResizeKernels();
  const ResizeKernels& portable = PortableResizeKernels();
  if (&best == &portable) GTEST_SKIP() << "this processor has no vectors that we use";
  const Image picture = MakePicture(67, 12, 3);
  for (const int count : {2, 4, 12}) {
    for (size_t values = 1; values <= 67 * 3; ++values) {
      std::vector<const uint8_t*> taps;
      std::vector<int16_t> weights;
      for (int k = 0; k < count; ++k) {
        taps.push_back(picture.pixels.data() + k * 67 * 3);
        weights.push_back(static_cast<int16_t>((1 << kResizeWeightBits) / count));
      }
      std::vector<int16_t> a(values, -1), b(values, -1);
      best.sum_rows(taps.data(), weights.data(), count, values, a.data());
      portable.sum_rows(taps.data(), weights.data(), count, values, b.data());
      ASSERT_EQ(a, b) << count << " taps, " << values << " values";
    }
  }
  for (int out = 1; out <= 40; ++out) {
    ResizeAxis axis;
    std::vector<int16_t> row(80 * 3 + kResizeRowPadding);
    for (size_t i = 0; i < row.size(); ++i) row[i] = static_cast<int16_t>(i * 2'731 % 32'641);
    for (int i = 0; i < out; ++i) {
      const int count = 2 + i % 3 * 2;
      axis.runs.push_back({i * 7 % 74, count, static_cast<int32_t>(axis.weights.size())});
      for (int k = 0; k < count; ++k) {
        axis.weights.push_back(static_cast<int16_t>((1 << kResizeWeightBits) / count));
      }
    }
    std::vector<uint8_t> a(static_cast<size_t>(out) * 3), b(a.size());
    best.filter_row(row.data(), axis, a.data());
    portable.filter_row(row.data(), axis, b.data());
    ASSERT_EQ(a, b) << out << " pixels";
  }
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
  EXPECT_EQ(digest(out).substr(0, 16), "875716abc7d6f4ad");
  ResizeBilinear(picture, 120, 55, &out);
  EXPECT_EQ(digest(out).substr(0, 16), "12bc5b6f266284d4");
}

}  // namespace
}  // namespace cvtrain::formats
