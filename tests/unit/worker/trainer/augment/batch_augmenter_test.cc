#include "worker/trainer/augment/batch_augmenter.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <string>
#include <vector>

#include "tests/support/proto_matchers.h"

namespace cvtrain::trainer {
namespace {

using ::cvtrain::testing::ParseTextProto;

constexpr int64_t kBatch = 8;
constexpr int64_t kHeight = 24;
constexpr int64_t kWidth = 32;
constexpr int64_t kClasses = 5;
constexpr plan::PixelSize kSize = {.width = kWidth, .height = kHeight};

constexpr char kErasing[] = R"pb(
  random_erasing {
    probability: 0.7
    scale_min: 0.02
    scale_max: 0.33
    ratio_min: 0.3
    ratio_max: 3.3
    noise: false
  }
)pb";

cvtrain::v1::Augmentation Spec(const std::string& text) {
  return ParseTextProto<cvtrain::v1::Augmentation>(text);
}

plan::RankStepKey KeyOf(int64_t step) {
  return {.seed = 7, .epoch = 2, .step_in_epoch = step, .logical_rank = 1};
}

// Pictures of positive numbers, each different from all others.
at::Tensor Pictures() {
  return at::arange(1, kBatch * 3 * kHeight * kWidth + 1, at::kFloat)
      .div_(1000)
      .view({kBatch, 3, kHeight, kWidth});
}

at::Tensor Labels() { return at::tensor(std::vector<int64_t>{0, 1, 2, 3, 4, 0, 1, 2}, at::kLong); }

BatchAugmenter::Output Apply(const std::string& spec, const at::Tensor& images, int64_t step = 1) {
  return BatchAugmenter(Spec(spec), kClasses).Apply(images, Labels(), KeyOf(step));
}

bool Same(const at::Tensor& a, const at::Tensor& b) { return at::equal(a, b); }

TEST(BatchAugmenterTest, GivesBackWhatItGetsIfThereIsNothingToDo) {
  const at::Tensor images = Pictures();
  for (const char* spec : {"", "mixup { alpha: 0.2 probability: 0 }",
                           "random_erasing { probability: 0 scale_min: 0.1 scale_max: 0.2 "
                           "ratio_min: 1 ratio_max: 1 }"}) {
    const BatchAugmenter::Output output = Apply(spec, images);
    EXPECT_TRUE(output.images.is_same(images)) << spec;
    EXPECT_TRUE(Same(output.targets, Labels())) << spec;
  }
}

TEST(BatchAugmenterTest, ErasesTheBoxOfEachPicture) {
  const at::Tensor images = Pictures();
  const at::Tensor before = images.clone();
  const at::Tensor erased = Apply(kErasing, images).images;
  at::Tensor expected = images.clone();
  int boxes = 0;
  for (int64_t i = 0; i < kBatch; ++i) {
    const auto box = plan::DrawErasing(
        Spec(kErasing).random_erasing(), kSize,
        plan::ErasingStream({.step = KeyOf(1), .position = static_cast<int32_t>(i)}));
    if (!box.has_value()) continue;
    ++boxes;
    expected.select(0, i).narrow(1, box->y, box->height).narrow(2, box->x, box->width).zero_();
  }
  EXPECT_GT(boxes, 2);
  EXPECT_LT(boxes, kBatch);
  EXPECT_TRUE(Same(erased, expected));
  EXPECT_TRUE(Same(images, before)) << "not in place";
}

TEST(BatchAugmenterTest, ErasesWithNormalNumbersOfTheStreamOfEachPicture) {
  std::string noisy = kErasing;
  noisy.replace(noisy.find("noise: false"), 12, "noise: true");
  const at::Tensor zeroed = Apply(kErasing, Pictures()).images;
  const at::Tensor filled = Apply(noisy, Pictures()).images;
  const at::Tensor inside = zeroed.eq(0);
  EXPECT_TRUE(
      Same(filled.masked_select(inside.logical_not()), zeroed.masked_select(inside.logical_not())));
  const at::Tensor noise = filled.masked_select(inside);
  ASSERT_GT(noise.numel(), 500);
  EXPECT_NEAR(noise.mean().item<double>(), 0, 0.1);
  EXPECT_NEAR(noise.std().item<double>(), 1, 0.1);
  EXPECT_TRUE(Same(Apply(noisy, Pictures()).images, filled)) << "a function of its key";
  EXPECT_FALSE(Same(Apply(noisy, Pictures(), 2).images, filled));
}

TEST(BatchAugmenterTest, MixesEachPictureAndItsLabelWithThoseOfItsPartner) {
  const char* spec = "mixup { alpha: 1 probability: 1 }";
  const plan::BatchMix mix = plan::DrawMix(Spec(spec), kBatch, kSize, KeyOf(1));
  ASSERT_GT(mix.own, 0.01);
  ASSERT_LT(mix.own, 0.99);
  const at::Tensor images = Pictures();
  const BatchAugmenter::Output output = Apply(spec, images);
  for (int64_t i = 0; i < kBatch; ++i) {
    const int64_t partner = mix.partners[static_cast<size_t>(i)];
    EXPECT_TRUE(
        at::allclose(output.images[i], images[i] * mix.own + images[partner] * (1 - mix.own)));
    at::Tensor shares = at::zeros({kClasses}, at::kFloat);
    shares[Labels()[i].item<int64_t>()] += mix.own;
    shares[Labels()[partner].item<int64_t>()] += 1 - mix.own;
    EXPECT_TRUE(at::allclose(output.targets[i], shares)) << i;
  }
  EXPECT_TRUE(at::allclose(output.targets.sum(1), at::ones({kBatch}, at::kFloat)));
}

TEST(BatchAugmenterTest, PastesABoxOfThePartner) {
  const char* spec = "cutmix { alpha: 1 probability: 1 }";
  int64_t step = 0;
  plan::BatchMix mix;
  do {
    mix = plan::DrawMix(Spec(spec), kBatch, kSize, KeyOf(++step));
  } while (mix.box.area() < 50);
  const at::Tensor images = Pictures();
  const BatchAugmenter::Output output = Apply(spec, images, step);
  const at::Tensor partners = at::tensor(mix.partners, at::kLong);
  const auto cut = [&](const at::Tensor& all) {
    return all.narrow(2, mix.box.y, mix.box.height).narrow(3, mix.box.x, mix.box.width);
  };
  EXPECT_TRUE(Same(cut(output.images), cut(images.index_select(0, partners))));
  at::Tensor outside = output.images.clone();
  cut(outside).copy_(cut(images));
  EXPECT_TRUE(Same(outside, images));
  EXPECT_NEAR(output.targets[0].max().item<double>(),
              mix.partners[0] == 0 ? 1 : std::max(mix.own, 1 - mix.own), 1e-6);
}

TEST(BatchAugmenterTest, ErasesBeforeItMixes) {
  const std::string mixup = "mixup { alpha: 1 probability: 1 }";
  const at::Tensor erased = Apply(kErasing, Pictures()).images;
  EXPECT_TRUE(Same(Apply(kErasing + mixup, Pictures()).images, Apply(mixup, erased).images));
}

TEST(BatchAugmenterTest, GradientsFlowToThePixelsThatAreSeen) {
  const std::string all = std::string(kErasing) + "cutmix { alpha: 1 probability: 1 }";
  at::Tensor images = Pictures().requires_grad_(true);
  Apply(all, images).images.sum().backward();
  const at::Tensor gradient = images.grad();
  ASSERT_TRUE(gradient.defined());
  EXPECT_GT(gradient.eq(0).sum().item<int64_t>(), 0) << "of what was erased or covered";
  EXPECT_GT(gradient.sum().item<double>(), 0.3 * static_cast<double>(images.numel()));
}

// Mixed targets give the mixed loss, smoothed or not, as in the papers' own code.
TEST(BatchAugmenterTest, TheLossOfMixedTargetsIsTheMixOfTheLosses) {
  const char* spec = "mixup { alpha: 1 probability: 1 }";
  const plan::BatchMix mix = plan::DrawMix(Spec(spec), kBatch, kSize, KeyOf(1));
  const at::Tensor targets = Apply(spec, Pictures()).targets;
  const at::Tensor logits =
      at::sin(at::arange(kBatch * kClasses, at::kFloat)).view({kBatch, kClasses});
  const at::Tensor partner_labels = Labels().index_select(0, at::tensor(mix.partners, at::kLong));
  for (const double smoothing : {0.0, 0.1}) {
    const auto loss = [&](const at::Tensor& target) {
      return at::cross_entropy_loss(logits, target, {}, at::Reduction::Mean, -100, smoothing)
          .item<double>();
    };
    EXPECT_NEAR(loss(targets), mix.own * loss(Labels()) + (1 - mix.own) * loss(partner_labels),
                1e-5);
  }
}

TEST(BatchAugmenterTest, KeepsTheMemoryFormatOfTheNetwork) {
  const at::Tensor images = Pictures().contiguous(at::MemoryFormat::ChannelsLast);
  const std::string erasing(kErasing);
  for (const std::string& spec : {erasing, erasing + "mixup { alpha: 1 probability: 1 }",
                                  erasing + "cutmix { alpha: 1 probability: 1 }"}) {
    const at::Tensor output = Apply(spec, images).images;
    EXPECT_TRUE(output.is_contiguous(at::MemoryFormat::ChannelsLast)) << spec;
    EXPECT_TRUE(Same(output, Apply(spec, Pictures()).images)) << spec;
  }
}

}  // namespace
}  // namespace cvtrain::trainer
