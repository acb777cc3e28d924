// The six scalars of RangeAugment trained alone, without a network (range-augment, F.1 and F.2):
// whether the controller reaches what its target asks for, and whether a curriculum opens the
// ranges. Thresholds are the paper's; pictures are smaller, and batches and runs where they may be.
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cvtrain/v1/recipe.pb.h"
#include "plan/curriculum/psnr_target.h"
#include "worker/trainer/augment/range_augmenter.h"

namespace cvtrain::trainer {
namespace {

using RangeSpec = cvtrain::v1::RangeAugment;

constexpr int64_t kSide = 8;

// Pictures like photos in what matters here: each has a brightness and a contrast of its own,
// neighbouring pixels are alike, and some are clipped.
at::Tensor Scenes(uint64_t seed, int64_t batch) {
  KeyedStream stream("test/scenes", {seed});
  at::Tensor images = at::empty({batch, 3, kSide, kSide}, at::kFloat);
  float* out = images.data_ptr<float>();
  for (int64_t i = 0; i < batch; ++i) {
    const double mean = stream.Uniform(0.25, 0.7);
    const double contrast = stream.Uniform(0.1, 0.5);
    for (int64_t channel = 0; channel < 3; ++channel) {
      const double tint = stream.Uniform(-0.1, 0.1);
      const double across = stream.Uniform(-1, 1);
      const double down = stream.Uniform(-1, 1);
      for (int64_t y = 0; y < kSide; ++y) {
        for (int64_t x = 0; x < kSide; ++x) {
          const double slope = across * (2.0 * static_cast<double>(x) / (kSide - 1) - 1) +
                               down * (2.0 * static_cast<double>(y) / (kSide - 1) - 1);
          const double texture = stream.Uniform(-0.3, 0.3);
          *out++ = static_cast<float>(mean + tint + contrast * (slope + texture) / 2);
        }
      }
    }
  }
  return images.clamp_(0, 1);
}

enum class Optimizer { kSgd, kAdam };

// One run of the scalars.
class ScalarRun {
 public:
  ScalarRun(uint64_t seed, int64_t batch, Optimizer optimizer, double learning_rate)
      : seed_(seed), optimizer_(optimizer), rate_(learning_rate), images_(Scenes(seed, batch)) {
    at::set_num_threads(1);  // the tensors are small: threads would only wait for each other
    RangeSpec spec;
    for (const auto operation : {RangeSpec::OPERATION_BRIGHTNESS, RangeSpec::OPERATION_CONTRAST,
                                 RangeSpec::OPERATION_NOISE}) {
      spec.add_operations(operation);
    }
    spec.set_alpha(100);
    augmenter_ = RangeAugmenter::Create(spec).value();
    first_.resize(augmenter_->parameters().size());
    second_.resize(first_.size());
  }

  // Returns the mean MSE of the step.
  double Step(double target_mse) {
    const auto output =
        augmenter_->Forward(images_, target_mse,
                            {.seed = seed_, .epoch = 0, .step_in_epoch = step_, .logical_rank = 0});
    output.loss.backward();
    ++step_;
    const torch::NoGradGuard no_grad;
    for (size_t i = 0; i < first_.size(); ++i) Update(i);
    return output.mse.mean().item<double>();
  }

  double WidthOf(const std::string& operation) const {
    for (const RangeAugmenter::Bounds& bounds : augmenter_->EffectiveBounds()) {
      if (bounds.operation == operation) return bounds.high - bounds.low;
    }
    ADD_FAILURE() << operation;
    return 0;
  }

 private:
  void Update(size_t i) {
    const at::Tensor parameter = augmenter_->parameters()[i].tensor;
    const double gradient = parameter.grad().item<double>();
    double change = 0;
    if (optimizer_ == Optimizer::kSgd) {
      first_[i] = 0.9 * first_[i] + gradient;
      change = first_[i];
    } else {
      first_[i] = 0.9 * first_[i] + 0.1 * gradient;
      second_[i] = 0.999 * second_[i] + 0.001 * gradient * gradient;
      const auto steps = static_cast<double>(step_);
      const double mean = first_[i] / (1 - std::pow(0.9, steps));
      change = mean / (std::sqrt(second_[i] / (1 - std::pow(0.999, steps))) + 1e-8);
    }
    parameter.sub_(rate_ * change);
    parameter.grad().zero_();
  }

  const uint64_t seed_;
  const Optimizer optimizer_;
  const double rate_;
  const at::Tensor images_;
  std::unique_ptr<RangeAugmenter> augmenter_;
  std::vector<double> first_;
  std::vector<double> second_;
  int64_t step_ = 0;
};

// Of the last tenth of a run towards a constant target, over three seeds.
double MeanMseAt(double target_psnr) {
  constexpr int kSteps = 300;
  double sum = 0;
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    ScalarRun run(seed, 16, Optimizer::kSgd, 0.1);
    for (int step = 0; step < kSteps; ++step) {
      const double mse = run.Step(plan::MseFromPsnr(target_psnr));
      if (step >= kSteps - kSteps / 10) sum += mse;
    }
  }
  return sum / (3 * kSteps / 10);
}

TEST(RangeAugmentTrainingTest, ALowerTargetLeavesStrongerAugmentation) {
  const double at40 = MeanMseAt(40);
  const double at20 = MeanMseAt(20);
  const double at10 = MeanMseAt(10);
  EXPECT_LT(at40, 100);
  EXPECT_GT(at20, 3 * at40);
  EXPECT_GT(at10, 10 * at20);
}

TEST(RangeAugmentTrainingTest, ACurriculumOpensTheRanges) {
  constexpr int kSteps = 1000;
  const plan::PsnrTargetTable targets({.start_db = 40, .end_db = 10, .epochs = kSteps});
  ScalarRun run(1, 128, Optimizer::kAdam, 0.01);
  double contrast = 0;
  double brightness = 0;
  double mse_then = 0;
  double mse_last = 0;
  for (int step = 0; step < kSteps; ++step) {
    const double mse = run.Step(targets.MseAt(step));
    // Means over a twentieth of the run.
    if (step >= kSteps * 25 / 100 && step < kSteps * 30 / 100) mse_then += mse;
    if (step >= kSteps * 95 / 100) mse_last += mse;
    if (step == kSteps * 30 / 100) {
      contrast = run.WidthOf("contrast");
      brightness = run.WidthOf("brightness");
    }
  }
  EXPECT_GE(run.WidthOf("contrast"), 3 * contrast);
  EXPECT_GE(run.WidthOf("brightness"), 1.2 * brightness);
  EXPECT_GT(mse_last, mse_then);
}

}  // namespace
}  // namespace cvtrain::trainer
