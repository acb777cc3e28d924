#include "formats/corruption/corruptor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "tests/unit/formats/corruption/corruption_names.h"
#include "tests/unit/formats/image/image_fixtures.h"

namespace cvtrain::formats {
namespace {

using testing::AllCorruptions;
using ::testing::AllOf;
using testing::Corrupted;
using ::testing::Each;
using ::testing::Ge;
using ::testing::Le;
using ::testing::Lt;
using testing::MakePicture;
using testing::NameOf;
using testing::Psnr;

constexpr CorruptionLevels kLevels[] = {CorruptionLevels::kImagenetC, CorruptionLevels::kCifar10C};

bool IsRandom(CorruptionKind kind) {
  const std::set<CorruptionKind> random = {
      CorruptionKind::kGaussianNoise, CorruptionKind::kShotNoise,
      CorruptionKind::kImpulseNoise,  CorruptionKind::kSpeckleNoise,
      CorruptionKind::kGlassBlur,     CorruptionKind::kMotionBlur,
      CorruptionKind::kSnow,          CorruptionKind::kFog,
      CorruptionKind::kSpatter,       CorruptionKind::kElasticTransform};
  return random.count(kind) > 0;
}

TEST(CorruptorTest, TheStreamDecidesAndNothingElse) {
  const Image clean = MakePicture(48, 40);
  Corruptor corruptor;
  Corruptor other;
  Corrupted(other, MakePicture(96, 64), {.kind = CorruptionKind::kElasticTransform});
  for (const CorruptionKind kind : AllCorruptions()) {
    SCOPED_TRACE(NameOf(kind));
    const Corruption corruption = {.kind = kind, .severity = 3};
    const Image first = Corrupted(corruptor, clean, corruption, 1);
    EXPECT_NE(first.pixels, clean.pixels);
    EXPECT_EQ(Corrupted(corruptor, clean, corruption, 1).pixels, first.pixels);
    EXPECT_EQ(Corrupted(other, clean, corruption, 1).pixels, first.pixels) << "what it did before";
    const Image second = Corrupted(corruptor, clean, corruption, 2);
    EXPECT_EQ(second.pixels != first.pixels, IsRandom(kind));
  }
}

// From the same random numbers. saturate takes colour away before it adds some; glass blur and
// elastic transform change in kind from one severity to the next; so do snow and spatter.
TEST(CorruptorTest, GreaterSeveritiesDoMoreDamage) {
  const std::set<CorruptionKind> uneven = {CorruptionKind::kSaturate, CorruptionKind::kGlassBlur,
                                           CorruptionKind::kElasticTransform,
                                           CorruptionKind::kSpatter, CorruptionKind::kSnow};
  constexpr int kDraws = 8;
  const Image clean = MakePicture(96, 96);
  Corruptor corruptor;
  for (const CorruptionLevels levels : kLevels) {
    for (const CorruptionKind kind : AllCorruptions()) {
      SCOPED_TRACE(::testing::Message() << NameOf(kind) << " of " << static_cast<int>(levels));
      std::vector<double> ratios;
      for (int severity = 1; severity <= 5; ++severity) {
        double sum = 0;
        for (int draw = 0; draw < kDraws; ++draw) {
          sum += Psnr(
              Corrupted(corruptor, clean, {.kind = kind, .severity = severity, .levels = levels},
                        KeyedStream("test/v1", {static_cast<uint64_t>(draw)})),
              clean);
        }
        ratios.push_back(sum / kDraws);
      }
      EXPECT_THAT(ratios, Each(Lt(60)));
      if (uneven.count(kind) > 0) continue;
      EXPECT_LT(ratios.back(), ratios.front());
      // CIFAR-10-C's motion blurs 3 and 4 differ where there is no weight.
      for (size_t i = 1; i < ratios.size(); ++i) EXPECT_LE(ratios[i], ratios[i - 1]) << i + 1;
    }
  }
}

TEST(CorruptorTest, EverySizeFromEightPixelsOnWorks) {
  Corruptor corruptor;
  for (const auto& [width, height] : {std::pair(8, 8), std::pair(8, 31), std::pair(32, 32),
                                      std::pair(65, 9), std::pair(130, 70), std::pair(257, 33)}) {
    const Image clean = MakePicture(width, height);
    for (const CorruptionLevels levels : kLevels) {
      for (const CorruptionKind kind : AllCorruptions()) {
        SCOPED_TRACE(::testing::Message() << NameOf(kind) << " " << width << "x" << height);
        // Of CIFAR-10-C's first severities some change nothing that small a picture would show.
        const Image result =
            Corrupted(corruptor, clean, {.kind = kind, .severity = 5, .levels = levels});
        EXPECT_NE(result.pixels, clean.pixels);
        for (int severity = 1; severity < 5; ++severity) {
          const Image weaker =
              Corrupted(corruptor, clean, {.kind = kind, .severity = severity, .levels = levels});
          EXPECT_GT(Psnr(weaker, clean), 2);
        }
      }
    }
  }
}

// No division by what is not there, and no colour out of nothing.
TEST(CorruptorTest, PicturesOfOneColourWork) {
  Corruptor corruptor;
  for (const int level : {0, 128, 255}) {
    Image flat;
    flat.Resize(24, 16);
    for (uint8_t& value : flat.pixels) value = static_cast<uint8_t>(level);
    for (const CorruptionKind kind : AllCorruptions()) {
      SCOPED_TRACE(::testing::Message() << NameOf(kind) << " of " << level);
      for (int severity = 1; severity <= 5; ++severity) {
        const Image result = Corrupted(corruptor, flat, {.kind = kind, .severity = severity});
        switch (kind) {
          case CorruptionKind::kDefocusBlur:
            // Two of the disks touch the edge of their kernel, where OpenCV's blur counts pixels
            // twice: their sum is above 1.
            EXPECT_THAT(result.pixels, Each(AllOf(Ge(level), Le(level + 1))));
            break;
          case CorruptionKind::kGlassBlur:
          case CorruptionKind::kMotionBlur:
          case CorruptionKind::kZoomBlur:
          case CorruptionKind::kGaussianBlur:
          case CorruptionKind::kContrast:
          case CorruptionKind::kElasticTransform:
          case CorruptionKind::kPixelate:
            EXPECT_EQ(result.pixels, flat.pixels);
            break;
          case CorruptionKind::kBrightness:
            EXPECT_EQ(result.pixels[0], result.pixels[2]);
            break;
          case CorruptionKind::kFog:
            EXPECT_LE(*std::max_element(result.pixels.begin(), result.pixels.end()), level);
            break;
          default:
            EXPECT_EQ(result.pixels.size(), flat.pixels.size());
        }
      }
    }
  }
}

// Black has no photons.
TEST(CorruptorTest, ShotNoiseLeavesBlackAlone) {
  Image black;
  black.Resize(64, 64);
  Corruptor corruptor;
  for (int severity = 1; severity <= 5; ++severity) {
    EXPECT_EQ(
        Corrupted(corruptor, black, {.kind = CorruptionKind::kShotNoise, .severity = severity})
            .pixels,
        black.pixels);
  }
}

}  // namespace
}  // namespace cvtrain::formats
