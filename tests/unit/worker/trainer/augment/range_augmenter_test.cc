#include "worker/trainer/augment/range_augmenter.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cvtrain/v1/recipe.pb.h"
#include "plan/curriculum/psnr_target.h"
#include "tests/support/status_matchers.h"

// Reference vectors of the released augmentor (range-augment, B and G).
namespace cvtrain::trainer {
namespace {

using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::Lt;

using plan::RangeAugmentOperation;
using RangeSpec = cvtrain::v1::RangeAugment;

constexpr double kLambda = 100 / 65025.0;
constexpr double kTarget20 = 650.25;  // 20 dB

RangeSpec SpecOf(const std::vector<RangeSpec::Operation>& operations) {
  RangeSpec spec;
  for (const RangeSpec::Operation operation : operations) spec.add_operations(operation);
  spec.set_alpha(100);
  return spec;
}

RangeSpec AllOperations() {
  return SpecOf(
      {RangeSpec::OPERATION_BRIGHTNESS, RangeSpec::OPERATION_CONTRAST, RangeSpec::OPERATION_NOISE});
}

std::unique_ptr<RangeAugmenter> Make(const RangeSpec& spec) {
  return RangeAugmenter::Create(spec).value();
}

plan::RankStepKey RangeKey(int64_t step) {
  return {.seed = 7, .epoch = 2, .step_in_epoch = step, .logical_rank = 1};
}

// What the magnitude of the first picture of step `step` is drawn with.
double FirstU(int64_t step, RangeAugmentOperation operation) {
  return plan::RangeAugmentMagnitudeStream({.step = RangeKey(step), .position = 0}, operation)
      .Uniform01Float();
}

// Sets the range of the only operation so that its magnitude is `magnitude` for the first picture
// of `step`; the low end stays near its smallest.
void SetMagnitude(RangeAugmenter& augmenter, RangeAugmentOperation operation, double magnitude,
                  int64_t step) {
  const plan::MagnitudeRange range =
      operation == RangeAugmentOperation::kNoise ? plan::kNoiseRange : plan::kBrightnessRange;
  const double low = operation == RangeAugmentOperation::kNoise ? 0.000025 : 0.15;
  const double high = low + (magnitude - low) / FirstU(step, operation);
  ASSERT_GT(high, range.high.min);
  ASSERT_LT(high, range.high.max);
  const torch::NoGradGuard no_grad;
  augmenter.parameters()[0].tensor.fill_(plan::InverseSoftClip(low, range.low));
  augmenter.parameters()[1].tensor.fill_(plan::InverseSoftClip(high, range.high));
}

// A step whose first picture draws its magnitude in the upper half of the range.
int64_t StepWithLargeU(RangeAugmentOperation operation) {
  int64_t step = 0;
  while (FirstU(step, operation) < 0.5) ++step;
  return step;
}

// One picture of 2 x 2 pixels, the same in its three channels.
at::Tensor Square(const std::vector<float>& values) {
  return at::tensor(values, at::kFloat).reshape({1, 1, 2, 2}).repeat({1, 3, 1, 1});
}

std::vector<float> ValuesOf(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.detach().contiguous().flatten();
  return {flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel()};
}

void ExpectSquare(const at::Tensor& images, const std::vector<float>& expected) {
  const std::vector<float> values = ValuesOf(images);
  ASSERT_EQ(values.size(), 12u);
  for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], expected[i % 4], 2e-6) << i;
}

// `batch` pictures of random pixels in [low, high).
at::Tensor Pictures(int64_t batch, int64_t side, double low = 0, double high = 1) {
  KeyedStream stream("test/pictures", {static_cast<uint64_t>(batch)});
  at::Tensor images = at::empty({batch, 3, side, side}, at::kFloat);
  for (int64_t i = 0; i < images.numel(); ++i) {
    images.data_ptr<float>()[i] = static_cast<float>(stream.Uniform(low, high));
  }
  return images;
}

std::set<int64_t> Touched(const RangeAugmenter::Output& output) {
  std::set<int64_t> touched;
  for (int64_t i = 0; i < output.mse.numel(); ++i) {
    if (output.mse[i].item<float>() > 0) touched.insert(i);
  }
  return touched;
}

TEST(RangeAugmenterTest, StartsWithTheReleasedRanges) {
  const auto augmenter = Make(AllOperations());
  std::vector<std::string> names;
  std::vector<float> raw;
  for (const auto& parameter : augmenter->parameters()) {
    names.push_back(parameter.name);
    raw.push_back(parameter.tensor.item<float>());
    EXPECT_EQ(parameter.tensor.dim(), 0) << parameter.name;
    EXPECT_TRUE(parameter.tensor.requires_grad()) << parameter.name;
    EXPECT_TRUE(parameter.tensor.is_leaf()) << parameter.name;
  }
  EXPECT_THAT(names, ElementsAre("range_augment.brightness.low", "range_augment.brightness.high",
                                 "range_augment.contrast.low", "range_augment.contrast.high",
                                 "range_augment.noise.low", "range_augment.noise.high"));
  EXPECT_THAT(raw, ElementsAre(0.5F, 1.5F, 0.5F, 1.5F, 0.0F, 0.1F));

  const std::vector<RangeAugmenter::Bounds> bounds = augmenter->EffectiveBounds();
  ASSERT_EQ(bounds.size(), 3u);
  EXPECT_EQ(bounds[0].operation, "brightness");
  EXPECT_NEAR(bounds[0].low, 0.59796751, 1e-6);
  EXPECT_NEAR(bounds[0].high, 8.37641239, 1e-6);
  EXPECT_EQ(bounds[1].operation, "contrast");
  EXPECT_NEAR(bounds[1].low, 0.59796751, 1e-6);
  EXPECT_NEAR(bounds[1].high, 8.37641239, 1e-6);
  EXPECT_EQ(bounds[2].operation, "noise");
  EXPECT_NEAR(bounds[2].low, 0.00002500, 1e-8);
  EXPECT_NEAR(bounds[2].high, 0.52502668, 1e-6);
}

TEST(RangeAugmenterTest, StartsWithTheRangesOfTheRecipe) {
  RangeSpec spec = AllOperations();
  spec.mutable_start()->mutable_contrast()->set_low(0.5);
  spec.mutable_start()->mutable_contrast()->set_high(1.5);
  const auto augmenter = Make(spec);
  EXPECT_NEAR(augmenter->parameters()[2].tensor.item<float>(), 0, 1e-6);
  EXPECT_NEAR(augmenter->parameters()[3].tensor.item<float>(), -3.0563569, 1e-6);
  EXPECT_NEAR(augmenter->EffectiveBounds()[1].high, 1.5, 1e-5);
}

TEST(RangeAugmenterTest, RefusesAStartOutsideItsInterval) {
  RangeSpec spec = AllOperations();
  spec.mutable_start()->mutable_noise()->set_low(0);
  spec.mutable_start()->mutable_noise()->set_high(1.5);
  EXPECT_THAT(RangeAugmenter::Create(spec),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("RECIPE_INVALID")));
}

TEST(RangeAugmenterTest, RefusesNoOperation) {
  EXPECT_THAT(RangeAugmenter::Create(SpecOf({})),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("RECIPE_INVALID")));
}

TEST(RangeAugmenterTest, HasTheParametersOfTheOperationsInUse) {
  const auto augmenter = Make(SpecOf({RangeSpec::OPERATION_NOISE}));
  ASSERT_EQ(augmenter->parameters().size(), 2u);
  EXPECT_EQ(augmenter->parameters()[0].name, "range_augment.noise.low");
  EXPECT_EQ(augmenter->EffectiveBounds().size(), 1u);
}

// --- Operations (G.6) ------------------------------------------------------------------------

TEST(RangeAugmenterTest, BrightnessMultipliesAndClips) {
  const auto augmenter = Make(SpecOf({RangeSpec::OPERATION_BRIGHTNESS}));
  const int64_t step = StepWithLargeU(RangeAugmentOperation::kBrightness);
  SetMagnitude(*augmenter, RangeAugmentOperation::kBrightness, 1.5, step);
  const auto output = augmenter->Forward(Square({0, 0.2F, 0.4F, 0.8F}), kTarget20, RangeKey(step));
  ExpectSquare(output.images, {0, 0.3F, 0.6F, 1});
}

TEST(RangeAugmenterTest, ContrastBelowOneMovesTowardsTheMean) {
  const auto augmenter = Make(SpecOf({RangeSpec::OPERATION_CONTRAST}));
  // A magnitude of 0.5 needs a draw near the low end.
  int64_t step = 0;
  while (std::abs(FirstU(step, RangeAugmentOperation::kContrast) - 0.1) > 0.05) ++step;
  SetMagnitude(*augmenter, RangeAugmentOperation::kContrast, 0.5, step);
  const auto output = augmenter->Forward(Square({0, 0.2F, 0.4F, 0.8F}), kTarget20, RangeKey(step));
  ExpectSquare(output.images, {0.175F, 0.275F, 0.375F, 0.575F});
}

TEST(RangeAugmenterTest, ContrastAboveOneMovesFromTheMeanAndClips) {
  const auto augmenter = Make(SpecOf({RangeSpec::OPERATION_CONTRAST}));
  const int64_t step = StepWithLargeU(RangeAugmentOperation::kContrast);
  SetMagnitude(*augmenter, RangeAugmentOperation::kContrast, 2, step);
  const auto output = augmenter->Forward(Square({0, 0.2F, 0.4F, 0.8F}), kTarget20, RangeKey(step));
  ExpectSquare(output.images, {0, 0.05F, 0.45F, 1});
}

TEST(RangeAugmenterTest, ContrastTakesTheMeanOfEachChannel) {
  const auto augmenter = Make(SpecOf({RangeSpec::OPERATION_CONTRAST}));
  at::Tensor images = Square({0.5F, 0.5F, 0.5F, 0.5F});
  images.select(1, 1).fill_(0.2F);  // constant, but another one
  const auto output = augmenter->Forward(images, kTarget20, RangeKey(0));
  EXPECT_TRUE(at::allclose(output.images, images, 1e-5, 1e-6));
}

TEST(RangeAugmenterTest, NoiseIsNormalWithTheMagnitudeAsDeviation) {
  const auto augmenter = Make(SpecOf({RangeSpec::OPERATION_NOISE}));
  const int64_t step = StepWithLargeU(RangeAugmentOperation::kNoise);
  SetMagnitude(*augmenter, RangeAugmentOperation::kNoise, 0.05, step);
  const at::Tensor images = at::full({1, 3, 64, 64}, 0.5);
  const at::Tensor noise =
      (augmenter->Forward(images, kTarget20, RangeKey(step)).images - images).detach() / 0.05;

  const double count = static_cast<double>(noise.numel());
  EXPECT_NEAR(noise.mean().item<double>(), 0, 4 / std::sqrt(count));
  EXPECT_NEAR(noise.std().item<double>(), 1, 4 / std::sqrt(2 * count));
  EXPECT_NEAR(noise.pow(4).mean().item<double>(), 3, 0.4);  // of a normal distribution
  // Each element has its own number: channels do not share one, nor do the halves of a picture.
  const at::Tensor products = noise.select(1, 0) * noise.select(1, 1);
  EXPECT_NEAR(products.mean().item<double>(), 0, 0.08);
  const at::Tensor flat = noise.flatten();
  const at::Tensor halves =
      flat.narrow(0, 0, flat.numel() / 2) * flat.narrow(0, flat.numel() / 2, flat.numel() / 2);
  EXPECT_NEAR(halves.mean().item<double>(), 0, 0.06);
}

TEST(RangeAugmenterTest, AppliesTheOperationsInAnOrderOfItsOwnEachStep) {
  const auto augmenter =
      Make(SpecOf({RangeSpec::OPERATION_BRIGHTNESS, RangeSpec::OPERATION_NOISE}));
  {
    const torch::NoGradGuard no_grad;  // 0.9..1.9 and noise of about 0.01
    augmenter->parameters()[1].tensor.fill_(
        plan::InverseSoftClip(1.9, plan::kBrightnessRange.high));
    augmenter->parameters()[3].tensor.fill_(plan::InverseSoftClip(0.01, plan::kNoiseRange.high));
  }
  const auto bounds = augmenter->EffectiveBounds();
  const at::Tensor images = at::full({1, 3, 32, 32}, 0.3);
  std::map<bool, int> brightness_first;
  for (int64_t step = 0; step < 64; ++step) {
    const double u = FirstU(step, RangeAugmentOperation::kBrightness);
    const double brightness = bounds[0].low + u * (bounds[0].high - bounds[0].low);
    if (std::abs(brightness - 1) < 0.2) continue;  // the orders look alike
    const double noise = bounds[1].low + FirstU(step, RangeAugmentOperation::kNoise) *
                                             (bounds[1].high - bounds[1].low);
    const double deviation =
        augmenter->Forward(images, kTarget20, RangeKey(step)).images.std().item<double>();
    // Brightness after noise multiplies the noise too.
    const bool first = std::abs(deviation - noise) < std::abs(deviation - noise * brightness);
    EXPECT_NEAR(deviation, first ? noise : noise * brightness, 0.06 * noise) << step;
    ++brightness_first[first];
  }
  EXPECT_GT(brightness_first[true], 5);
  EXPECT_GT(brightness_first[false], 5);
}

// --- Who is augmented (B.4) ------------------------------------------------------------------

TEST(RangeAugmenterTest, AppliesAnOperationToHalfOfTheBatch) {
  const auto augmenter = Make(SpecOf({RangeSpec::OPERATION_BRIGHTNESS}));
  for (const auto& [batch, touched] :
       std::vector<std::pair<int64_t, size_t>>{{1, 1}, {2, 1}, {3, 1}, {5, 2}, {64, 32}}) {
    const auto output = augmenter->Forward(Pictures(batch, 4, 0.2, 0.8), kTarget20, RangeKey(3));
    EXPECT_EQ(Touched(output).size(), touched) << batch;
    EXPECT_EQ(output.mse.numel(), batch);
  }
}

TEST(RangeAugmenterTest, LeavesTheOthersAsTheyAre) {
  const auto augmenter = Make(AllOperations());
  const at::Tensor images = Pictures(16, 4);
  const auto output = augmenter->Forward(images, kTarget20, RangeKey(3));
  const std::set<int64_t> touched = Touched(output);
  EXPECT_THAT(touched.size(), Lt(16u));
  for (int64_t i = 0; i < 16; ++i) {
    EXPECT_EQ(at::equal(output.images[i], images[i]), touched.count(i) == 0) << i;
  }
}

TEST(RangeAugmenterTest, ChoosesTheHalfOfEachOperationApart) {
  const auto all = Make(AllOperations());
  const std::vector<std::unique_ptr<RangeAugmenter>> single = [] {
    std::vector<std::unique_ptr<RangeAugmenter>> made;
    made.push_back(Make(SpecOf({RangeSpec::OPERATION_BRIGHTNESS})));
    made.push_back(Make(SpecOf({RangeSpec::OPERATION_CONTRAST})));
    made.push_back(Make(SpecOf({RangeSpec::OPERATION_NOISE})));
    return made;
  }();
  const at::Tensor images = Pictures(128, 4);
  constexpr int kSteps = 40;
  int64_t untouched = 0;
  int64_t both = 0;  // brightness and contrast
  for (int64_t step = 0; step < kSteps; ++step) {
    std::vector<std::set<int64_t>> chosen;
    std::set<int64_t> any;
    for (const auto& augmenter : single) {
      chosen.push_back(Touched(augmenter->Forward(images, kTarget20, RangeKey(step))));
      any.insert(chosen.back().begin(), chosen.back().end());
    }
    for (const int64_t i : chosen[0]) both += static_cast<int64_t>(chosen[1].count(i));
    // An operation's half does not depend on which others are in use.
    EXPECT_EQ(Touched(all->Forward(images, kTarget20, RangeKey(step))), any) << step;
    untouched += 128 - static_cast<int64_t>(any.size());
  }
  EXPECT_NEAR(static_cast<double>(untouched) / (128 * kSteps), 1.0 / 8, 0.015);
  EXPECT_NEAR(static_cast<double>(both) / (128 * kSteps), 1.0 / 4, 0.015);
}

TEST(RangeAugmenterTest, DrawsAMagnitudeForEachPicture) {
  const auto augmenter = Make(SpecOf({RangeSpec::OPERATION_BRIGHTNESS}));
  const at::Tensor images = at::full({32, 3, 2, 2}, 0.05);
  const auto output = augmenter->Forward(images, kTarget20, RangeKey(0));
  std::set<float> magnitudes;
  for (const int64_t i : Touched(output)) {
    const at::Tensor ratio = output.images[i] / images[i];
    magnitudes.insert(ratio.mean().item<float>());
    EXPECT_TRUE(at::allclose(ratio, ratio.mean())) << "shared by channels and pixels";
    EXPECT_GE(ratio.mean().item<float>(), 0.5979F);
    EXPECT_LE(ratio.mean().item<float>(), 8.3765F);
  }
  EXPECT_EQ(magnitudes.size(), 16u);
}

TEST(RangeAugmenterTest, ClipsToZeroAndOne) {
  const auto augmenter = Make(AllOperations());
  const at::Tensor images = Pictures(64, 8);
  const at::Tensor augmented = augmenter->Forward(images, kTarget20, RangeKey(0)).images;
  EXPECT_EQ(augmented.min().item<float>(), 0);
  EXPECT_EQ(augmented.max().item<float>(), 1);
}

TEST(RangeAugmenterTest, IsAFunctionOfTheKey) {
  const auto augmenter = Make(AllOperations());
  const at::Tensor images = Pictures(16, 8);
  const plan::RankStepKey key = RangeKey(5);
  const at::Tensor expected = augmenter->Forward(images, kTarget20, key).images;

  std::vector<plan::RankStepKey> others(4, key);
  others[0].seed += 1;
  others[1].epoch += 1;
  others[2].step_in_epoch += 1;
  others[3].logical_rank += 1;
  for (size_t i = 0; i < others.size(); ++i) {
    EXPECT_FALSE(at::equal(augmenter->Forward(images, kTarget20, others[i]).images, expected)) << i;
  }
  EXPECT_TRUE(at::equal(augmenter->Forward(images, kTarget20, key).images, expected));
  EXPECT_TRUE(at::equal(Make(AllOperations())->Forward(images, kTarget20, key).images, expected));
}

// --- Loss (G.4) ------------------------------------------------------------------------------

class RangeAugmenterLossTest : public ::testing::Test {
 protected:
  RangeAugmenterLossTest()
      : augmenter_(Make(SpecOf({RangeSpec::OPERATION_BRIGHTNESS}))),
        step_(StepWithLargeU(RangeAugmentOperation::kBrightness)) {
    SetMagnitude(*augmenter_, RangeAugmentOperation::kBrightness, 1.2, step_);  // 0.5 to 0.6
  }

  RangeAugmenter::Output Forward(double target_mse) {
    return augmenter_->Forward(at::full({1, 3, 4, 4}, 0.5), target_mse, RangeKey(step_));
  }

  std::unique_ptr<RangeAugmenter> augmenter_;
  int64_t step_;
};

TEST_F(RangeAugmenterLossTest, IsZeroAtTheTarget) {
  const auto output = Forward(kTarget20);
  EXPECT_EQ(output.loss.dim(), 0);
  EXPECT_NEAR(output.mse.item<float>(), 650.25, 0.01);
  EXPECT_NEAR(output.loss.item<float>(), 0, 1e-7);
}

TEST_F(RangeAugmenterLossTest, IsLinearFarFromTheTarget) {
  EXPECT_NEAR(Forward(kTarget20 - 325.125).loss.item<float>(), 0.4992309, 2e-5);
  EXPECT_NEAR(Forward(kTarget20 + 325.125).loss.item<float>(), 0.4992309, 2e-5);
}

TEST_F(RangeAugmenterLossTest, IsQuadraticNearTheTarget) {
  EXPECT_NEAR(Forward(kTarget20 - 0.5).loss.item<float>(), 0.125 * kLambda, 4e-6);
}

TEST_F(RangeAugmenterLossTest, ComparesEachPictureAndTakesTheMean) {
  // A step whose one chosen picture of two is the first, with a large magnitude.
  while (FirstU(step_, RangeAugmentOperation::kBrightness) < 0.5 ||
         Touched(augmenter_->Forward(at::full({2, 3, 4, 4}, 0.5), 0, RangeKey(step_))) !=
             std::set<int64_t>{0}) {
    ++step_;
  }
  SetMagnitude(*augmenter_, RangeAugmentOperation::kBrightness, 1.2, step_);
  const auto output = augmenter_->Forward(at::full({2, 3, 4, 4}, 0.5), kTarget20, RangeKey(step_));
  EXPECT_NEAR(output.mse[0].item<float>(), 650.25, 0.01);
  EXPECT_EQ(output.mse[1].item<float>(), 0);
  EXPECT_NEAR(output.loss.item<float>(), 0.4996155, 1e-5);
}

TEST_F(RangeAugmenterLossTest, IsWeightedByAlpha) {
  RangeSpec spec = SpecOf({RangeSpec::OPERATION_BRIGHTNESS});
  spec.set_alpha(25);
  const auto quarter = Make(spec);
  SetMagnitude(*quarter, RangeAugmentOperation::kBrightness, 1.2, step_);
  const auto output = quarter->Forward(at::full({1, 3, 4, 4}, 0.5), 0, RangeKey(step_));
  EXPECT_NEAR(output.loss.item<float>() * 4, Forward(0).loss.item<float>(), 1e-5);
}

// --- Gradients (G.5) -------------------------------------------------------------------------

TEST(RangeAugmenterGradientTest, IsThatOfTheReferenceVector) {
  const auto augmenter = Make(SpecOf({RangeSpec::OPERATION_BRIGHTNESS}));
  int64_t step = 0;
  while (std::abs(FirstU(step, RangeAugmentOperation::kBrightness) - 0.25) > 2e-6) ++step;
  const auto output = augmenter->Forward(at::full({1, 3, 4, 4}, 0.1), kTarget20, RangeKey(step));
  EXPECT_NEAR(output.images.mean().item<float>(), 0.2542579, 5e-6);
  EXPECT_NEAR(output.mse.item<float>(), 1547.302, 0.1);
  EXPECT_NEAR(output.loss.item<float>(), 1.3787806, 1e-4);
  output.loss.backward();
  EXPECT_NEAR(augmenter->parameters()[0].tensor.grad().item<float>(), 0.4350142, 1e-4);
  EXPECT_NEAR(augmenter->parameters()[1].tensor.grad().item<float>(), 1.0238125, 1e-4);
}

// With all chance frozen by the key, the gradient of each scalar is the slope of the loss.
TEST(RangeAugmenterGradientTest, IsTheSlopeOfTheLoss) {
  RangeSpec spec = AllOperations();  // gentle: no pixel is clipped
  spec.mutable_start()->mutable_brightness()->set_low(0.8);
  spec.mutable_start()->mutable_brightness()->set_high(1.3);
  spec.mutable_start()->mutable_contrast()->set_low(0.5);
  spec.mutable_start()->mutable_contrast()->set_high(1.4);
  spec.mutable_start()->mutable_noise()->set_low(0.00002);
  spec.mutable_start()->mutable_noise()->set_high(0.04);
  const auto augmenter = Make(spec);
  const at::Tensor images = Pictures(32, 8, 0.35, 0.6);
  const plan::RankStepKey key = RangeKey(9);
  constexpr double kTarget = 5;
  augmenter->Forward(images, kTarget, key).loss.backward();

  for (const auto& parameter : augmenter->parameters()) {
    if (parameter.name == "range_augment.noise.low") continue;  // too flat for float32
    const torch::NoGradGuard no_grad;
    const double raw = parameter.tensor.item<double>();
    const auto loss_at = [&](double value) {
      parameter.tensor.fill_(value);
      return augmenter->Forward(images, kTarget, key).loss.item<double>();
    };
    const auto slope_over = [&](double step) {
      return (loss_at(raw + step) - loss_at(raw - step)) / (2 * step);
    };
    // Steps large enough for float32; two of them cancel the error that grows with the square.
    constexpr double kStep = 0.05;
    const double slope = (4 * slope_over(kStep) - slope_over(2 * kStep)) / 3;
    parameter.tensor.fill_(raw);
    EXPECT_NEAR(parameter.tensor.grad().item<double>() / slope, 1, 1e-3) << parameter.name;
  }
}

TEST(RangeAugmenterGradientTest, ReachesTheLowEndOfTheNoiseToo) {
  const auto augmenter = Make(SpecOf({RangeSpec::OPERATION_NOISE}));
  augmenter->Forward(at::full({1, 3, 8, 8}, 0.5), kTarget20, RangeKey(0)).loss.backward();
  // dm/dlow = 1 - u and dm/dhigh = u, times the slopes of the soft clips.
  const double u = FirstU(0, RangeAugmentOperation::kNoise);
  const auto slope = [](double raw, const plan::ClipInterval& interval) {
    const double s = 1 / (1 + std::exp(-raw));
    return s * (1 - s) * (interval.max - interval.min);
  };
  const double low = augmenter->parameters()[0].tensor.grad().item<double>();
  const double high = augmenter->parameters()[1].tensor.grad().item<double>();
  ASSERT_NE(high, 0);
  const double expected =
      (1 - u) / u * slope(0.0, plan::kNoiseRange.low) / slope(0.1, plan::kNoiseRange.high);
  EXPECT_NEAR(low / high / expected, 1, 1e-3);
}

TEST(RangeAugmenterGradientTest, ComesFromTheTaskLossAsWell) {
  const auto augmenter = Make(AllOperations());
  const at::Tensor images = Pictures(32, 8);
  const auto output = augmenter->Forward(images, kTarget20, RangeKey(2));
  EXPECT_FALSE(output.mse.requires_grad());
  ASSERT_TRUE(output.images.requires_grad());
  (output.images * Pictures(32, 8, -1, 1)).sum().backward();  // any loss of the network
  for (const auto& parameter : augmenter->parameters()) {
    ASSERT_TRUE(parameter.tensor.grad().defined()) << parameter.name;
    EXPECT_NE(parameter.tensor.grad().item<float>(), 0) << parameter.name;
  }
}

}  // namespace
}  // namespace cvtrain::trainer
