#include "plan/augment/batch_draw.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <string>

#include "cvtrain/v1/recipe.pb.h"
#include "tests/support/proto_matchers.h"
#include "tests/unit/plan/augment/chi_square.h"

namespace cvtrain::plan {
namespace {

using ::cvtrain::testing::ParseTextProto;
using ::testing::IsEmpty;
using testing::UnevennessOf;
using Kind = BatchMix::Kind;

constexpr PixelSize kSize = {.width = 96, .height = 64};
constexpr int kDraws = 10'000;

v1::RandomErasing Erasing(double probability = 1) {
  v1::RandomErasing spec;
  spec.set_probability(probability);
  spec.set_scale_min(0.02);
  spec.set_scale_max(0.33);
  spec.set_ratio_min(0.3);
  spec.set_ratio_max(3.3);
  return spec;
}

v1::Augmentation BatchSpec(const std::string& text) {
  return ParseTextProto<v1::Augmentation>(text);
}

RankStepKey StepKey(int step) {
  return {.seed = 7, .epoch = 2, .step_in_epoch = step, .logical_rank = 1};
}

KeyedStream Stream(int n) { return KeyedStream("test/erasing/v1", {static_cast<uint64_t>(n)}); }

TEST(DrawErasingTest, DrawsBoxesInsideThePicture) {
  double share = 0;
  double log_ratio = 0;
  int boxes = 0;
  for (int i = 0; i < kDraws; ++i) {
    const auto box = DrawErasing(Erasing(), kSize, Stream(i));
    if (!box.has_value()) continue;
    ++boxes;
    ASSERT_GE(box->x, 0);
    ASSERT_GE(box->y, 0);
    ASSERT_LT(box->width, kSize.width);
    ASSERT_LT(box->height, kSize.height);
    ASSERT_LE(box->x + box->width, kSize.width);
    ASSERT_LE(box->y + box->height, kSize.height);
    share += static_cast<double>(box->area()) / (kSize.width * kSize.height);
    log_ratio += std::log(static_cast<double>(box->height) / box->width);
  }
  EXPECT_EQ(boxes, kDraws) << "ten tries are enough";
  // Uniform in 0.02..0.33 has mean 0.175; draws that do not fit, high ones, are repeated. The means
  // of 100,000 draws of torchvision are 0.1696 and -0.0594.
  EXPECT_NEAR(share / boxes, 0.1696, 0.004);
  EXPECT_NEAR(log_ratio / boxes, -0.0594, 0.03);
}

TEST(DrawErasingTest, ErasesItsShareOfThePictures) {
  int boxes = 0;
  for (int i = 0; i < kDraws; ++i) {
    if (DrawErasing(Erasing(0.25), kSize, Stream(i)).has_value()) ++boxes;
  }
  EXPECT_NEAR(boxes / static_cast<double>(kDraws), 0.25, 0.02);
  EXPECT_FALSE(DrawErasing(Erasing(0), kSize, Stream(1)).has_value());
}

TEST(DrawErasingTest, LeavesAPictureThatNoBoxIsSmallerThan) {
  EXPECT_FALSE(DrawErasing(Erasing(), {.width = 1, .height = 1}, Stream(1)).has_value());
}

TEST(DrawBetaTest, HasTheMeanAndVarianceOfBeta) {
  for (const double alpha : {0.1, 0.2, 1.0, 2.5, 10.0}) {
    KeyedStream stream("test/beta/v1", {static_cast<uint64_t>(alpha * 10)});
    double sum = 0;
    double squares = 0;
    for (int i = 0; i < kDraws; ++i) {
      const double x = DrawBeta(alpha, stream);
      ASSERT_GE(x, 0);
      ASSERT_LE(x, 1);
      sum += x;
      squares += (x - 0.5) * (x - 0.5);
    }
    const double variance = 1 / (4 * (2 * alpha + 1));
    EXPECT_NEAR(sum / kDraws, 0.5, 4 * std::sqrt(variance / kDraws)) << alpha;
    EXPECT_NEAR(squares / kDraws, variance, 0.03 * variance) << alpha;
  }
}

TEST(DrawBetaTest, OfOneIsUniform) {
  KeyedStream stream("test/beta/v1", {1});
  std::map<int, int> tenths;
  for (int i = 0; i < kDraws; ++i) ++tenths[static_cast<int>(DrawBeta(1, stream) * 10)];
  EXPECT_LT(UnevennessOf(tenths, 10), 4);
}

TEST(DrawBetaTest, OfATinyAlphaIsAnEnd) {
  KeyedStream stream("test/beta/v1", {2});
  int ones = 0;
  for (int i = 0; i < 1'000; ++i) {
    const double x = DrawBeta(1e-6, stream);
    ASSERT_TRUE(x < 1e-3 || x > 1 - 1e-3) << x;
    if (x > 0.5) ++ones;
  }
  EXPECT_NEAR(ones, 500, 80);
}

TEST(DrawMixTest, IsNothingUnlessItIsAskedFor) {
  const BatchMix mix = DrawMix(BatchSpec(""), 8, kSize, StepKey(1));
  EXPECT_EQ(mix.kind, Kind::kNone);
  EXPECT_EQ(mix.own, 1);
  EXPECT_THAT(mix.partners, IsEmpty());
}

TEST(DrawMixTest, PairsEachPictureWithOne) {
  std::map<int64_t, int> partners_of_first;
  for (int i = 0; i < kDraws; ++i) {
    const BatchMix mix =
        DrawMix(BatchSpec("mixup { alpha: 0.2 probability: 1 }"), 8, kSize, StepKey(i));
    ASSERT_EQ(mix.kind, Kind::kMixUp);
    std::vector<int64_t> sorted = mix.partners;
    std::sort(sorted.begin(), sorted.end());
    std::vector<int64_t> all(8);
    std::iota(all.begin(), all.end(), 0);
    ASSERT_EQ(sorted, all);
    ++partners_of_first[mix.partners[0]];
  }
  EXPECT_LT(UnevennessOf(partners_of_first, 8), 4);
}

TEST(DrawMixTest, TheBoxOfCutMixHasTheRestOfTheArea) {
  double own = 0;
  int cut = 0;
  for (int i = 0; i < kDraws; ++i) {
    const BatchMix mix =
        DrawMix(BatchSpec("cutmix { alpha: 1 probability: 1 }"), 8, kSize, StepKey(i));
    ASSERT_EQ(mix.kind, Kind::kCutMix);
    ASSERT_GE(mix.box.x, 0);
    ASSERT_GE(mix.box.y, 0);
    ASSERT_GE(mix.box.width, 0);
    ASSERT_LE(mix.box.x + mix.box.width, kSize.width);
    ASSERT_LE(mix.box.y + mix.box.height, kSize.height);
    ASSERT_DOUBLE_EQ(mix.own, 1 - static_cast<double>(mix.box.area()) / (96 * 64));
    own += mix.own / kDraws;
    if (mix.box.x == 0 || mix.box.y == 0) ++cut;
  }
  // The mean share of a box is 1/2, of which a part is cut off at the edges: the mean of 200,000
  // draws by torchvision's rule is 0.6878.
  EXPECT_NEAR(own, 0.6878, 0.008);
  EXPECT_GT(cut, kDraws / 4);
}

TEST(DrawMixTest, OfBothItDrawsOneForEachBatch) {
  std::map<Kind, int> kinds;
  for (int i = 0; i < kDraws; ++i) {
    ++kinds[DrawMix(BatchSpec(
                        "mixup { alpha: 0.2 probability: 1 } cutmix { alpha: 1 probability: 0.5 }"),
                    4, kSize, StepKey(i))
                .kind];
  }
  EXPECT_NEAR(kinds[Kind::kMixUp] / static_cast<double>(kDraws), 0.5, 0.02);
  EXPECT_NEAR(kinds[Kind::kCutMix] / static_cast<double>(kDraws), 0.25, 0.02);
}

TEST(DrawMixTest, IsAFunctionOfItsKey) {
  const v1::Augmentation spec = BatchSpec("mixup { alpha: 0.2 probability: 1 }");
  const BatchMix one = DrawMix(spec, 16, kSize, StepKey(1));
  EXPECT_EQ(DrawMix(spec, 16, kSize, StepKey(1)).partners, one.partners);
  EXPECT_EQ(DrawMix(spec, 16, kSize, StepKey(1)).own, one.own);
  EXPECT_NE(DrawMix(spec, 16, kSize, StepKey(2)).partners, one.partners);
  RankStepKey other_rank = StepKey(1);
  other_rank.logical_rank = 0;
  EXPECT_NE(DrawMix(spec, 16, kSize, other_rank).partners, one.partners);
}

TEST(DrawMixTest, ABatchOfOneIsItsOwnPartner) {
  EXPECT_THAT(
      DrawMix(BatchSpec("mixup { alpha: 0.2 probability: 1 }"), 1, kSize, StepKey(1)).partners,
      ::testing::ElementsAre(0));
}

// Trials that run depend on these numbers: a test that fails here is a new plan version.
TEST(DrawMixTest, ItsNumbersArePinned) {
  const BatchMix mix =
      DrawMix(BatchSpec("cutmix { alpha: 1 probability: 1 }"), 4, kSize, StepKey(0));
  EXPECT_THAT(mix.partners, ::testing::ElementsAre(0, 2, 3, 1));
  EXPECT_EQ(mix.box, (PixelBox{.x = 0, .y = 13, .width = 41, .height = 38}));
  EXPECT_EQ(DrawErasing(Erasing(), kSize, ErasingStream({.step = StepKey(0), .position = 0})),
            (PixelBox{.x = 32, .y = 0, .width = 18, .height = 44}));
}

}  // namespace
}  // namespace cvtrain::plan
