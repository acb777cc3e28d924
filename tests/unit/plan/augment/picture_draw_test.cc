#include "plan/augment/picture_draw.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "cvtrain/v1/recipe.pb.h"
#include "tests/support/proto_matchers.h"

namespace cvtrain::plan {
namespace {

using ::cvtrain::testing::ParseTextProto;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr PixelSize kSource = {.width = 400, .height = 300};
constexpr PixelSize kTarget = {.width = 64, .height = 64};

constexpr char kCropAndFlip[] = R"pb(
  random_resized_crop { scale_min: 0.08 scale_max: 1 ratio_min: 0.75 ratio_max: 1.3333 }
  horizontal_flip { probability: 0.5 }
)pb";
constexpr char kJitter[] = R"pb(
  color_jitter { brightness: 0.4 contrast: 0.4 saturation: 0.4 hue: 0.1 probability: 1 }
)pb";
constexpr char kRand[] = R"pb(
  rand_augment { num_ops: 14 magnitude: 9 num_magnitude_bins: 31 }
)pb";

v1::Augmentation Spec(const std::string& text) { return ParseTextProto<v1::Augmentation>(text); }

SampleKey KeyOf(int position, int logical_rank = 1) {
  return {.step = {.seed = 7, .epoch = 2, .step_in_epoch = 5, .logical_rank = logical_rank},
          .position = position};
}

TEST(DrawPictureTest, DrawsCropAndFlipFromTheirStreams) {
  const v1::Augmentation spec = Spec(kCropAndFlip);
  for (int i = 0; i < 50; ++i) {
    const PictureDraw draw = DrawPicture(spec, kSource, kTarget, KeyOf(i));
    EXPECT_EQ(draw.crop, DrawResizedCrop(kSource.width, kSource.height, spec.random_resized_crop(),
                                         CropStream(KeyOf(i))));
    EXPECT_EQ(draw.flip, FlipStream(KeyOf(i)).Bernoulli(0.5));
    EXPECT_THAT(draw.steps, IsEmpty());
  }
}

TEST(DrawPictureTest, WhatElseIsOnMovesNeitherCropNorFlip) {
  const v1::Augmentation plain = Spec(kCropAndFlip);
  const v1::Augmentation all = Spec(std::string(kCropAndFlip) + kJitter + kRand);
  for (int i = 0; i < 50; ++i) {
    const PictureDraw one = DrawPicture(plain, kSource, kTarget, KeyOf(i));
    const PictureDraw other = DrawPicture(all, kSource, kTarget, KeyOf(i));
    EXPECT_EQ(one.crop, other.crop);
    EXPECT_EQ(one.flip, other.flip);
  }
}

TEST(DrawPictureTest, JittersColoursBeforeThePolicy) {
  const PictureDraw jitter = DrawPicture(Spec(kJitter), kSource, kTarget, KeyOf(3));
  const PictureDraw policy = DrawPicture(Spec(kRand), kSource, kTarget, KeyOf(3));
  const PictureDraw both =
      DrawPicture(Spec(std::string(kJitter) + kRand), kSource, kTarget, KeyOf(3));
  PictureSteps expected = jitter.steps;
  expected.insert(expected.end(), policy.steps.begin(), policy.steps.end());
  EXPECT_THAT(jitter.steps, SizeIs(4));
  EXPECT_EQ(both.steps, expected);
}

TEST(DrawPictureTest, IsAFunctionOfTheWholeKey) {
  const v1::Augmentation spec = Spec(std::string(kCropAndFlip) + kJitter + kRand);
  const PictureDraw one = DrawPicture(spec, kSource, kTarget, KeyOf(3));
  EXPECT_EQ(DrawPicture(spec, kSource, kTarget, KeyOf(3)).steps, one.steps);
  EXPECT_NE(DrawPicture(spec, kSource, kTarget, KeyOf(4)).steps, one.steps);
  EXPECT_NE(DrawPicture(spec, kSource, kTarget, KeyOf(3, 0)).steps, one.steps);
}

TEST(DrawPictureTest, ResizesTheWholePicture) {
  EXPECT_EQ(DrawPicture(Spec("resize {}"), kSource, kTarget, KeyOf(0)).crop,
            (CropRect{0, 0, 400, 300}));
}

TEST(DrawPictureTest, CropsTheCentre) {
  EXPECT_EQ(
      DrawPicture(Spec("center_crop { resize_ratio: 1.25 }"), kSource, kTarget, KeyOf(0)).crop,
      (CropRect{80, 30, 240, 240}));
}

TEST(DrawPictureTest, TranslatesByTheSizeOfTheStep) {
  const v1::Augmentation spec =
      Spec("rand_augment { num_ops: 14 magnitude: 30 num_magnitude_bins: 31 }");
  int seen = 0;
  for (int i = 0; i < 20; ++i) {
    for (const PictureStep& step : DrawPicture(spec, kSource, kTarget, KeyOf(i)).steps) {
      if (step.operation != PictureOperation::kTranslateX) continue;
      EXPECT_EQ(std::abs(step.parameter), 29) << "150 / 331 of 64";
      ++seen;
    }
  }
  EXPECT_GT(seen, 5);
}

TEST(DrawPictureTest, KnowsEveryPolicy) {
  EXPECT_THAT(
      DrawPicture(Spec("trivial_augment { num_magnitude_bins: 31 }"), kSource, kTarget, KeyOf(1))
          .steps,
      SizeIs(1));
  int steps = 0;
  for (int i = 0; i < 50; ++i) {
    steps += static_cast<int>(
        DrawPicture(Spec("auto_augment { policy: POLICY_CIFAR10 }"), kSource, kTarget, KeyOf(i))
            .steps.size());
  }
  EXPECT_GT(steps, 20);
}

// Trials that run depend on these numbers: a test that fails here is a new plan version.
TEST(DrawPictureTest, ItsNumbersArePinned) {
  const PictureDraw draw =
      DrawPicture(Spec(std::string(kCropAndFlip) + kJitter + kRand), kSource, kTarget, KeyOf(0));
  EXPECT_EQ(draw.crop, (CropRect{2, 17, 344, 267}));
  EXPECT_EQ(draw.steps.front().operation, PictureOperation::kContrast);
  EXPECT_DOUBLE_EQ(draw.steps.front().parameter, 0.6486432181988304);
  EXPECT_EQ(draw.steps.back(), (PictureStep{PictureOperation::kRotate, 9}));
}

}  // namespace
}  // namespace cvtrain::plan
