#include "worker/trainer/augment/range_augmenter.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/curriculum/psnr_target.h"
#include "worker/trainer/augment/normal_numbers.h"

namespace cvtrain::trainer {
namespace {

using plan::RangeAugmentOperation;

// One operation with its learned range (range-augment, B.1).
struct Operation {
  RangeAugmentOperation kind;
  std::string name;
  plan::ClipInterval low_interval;
  plan::ClipInterval high_interval;
  at::Tensor raw_low;
  at::Tensor raw_high;

  at::Tensor Low() const { return Clip(raw_low, low_interval); }
  at::Tensor High() const { return Clip(raw_high, high_interval); }

 private:
  static at::Tensor Clip(const at::Tensor& raw, const plan::ClipInterval& interval) {
    return at::sigmoid(raw) * (interval.max - interval.min) + interval.min;
  }
};

at::Tensor RawScalar(double value, at::Device place) {
  return at::scalar_tensor(value, at::TensorOptions(at::kFloat).device(place)).requires_grad_(true);
}

Operation MakeOperation(RangeAugmentOperation kind, const std::string& name,
                        const plan::MagnitudeRange& range, at::Device place) {
  return {.kind = kind,
          .name = name,
          .low_interval = range.low,
          .high_interval = range.high,
          .raw_low = RawScalar(range.raw_low, place),
          .raw_high = RawScalar(range.raw_high, place)};
}

// `count` of the pictures of a batch, without replacement, in random order.
std::vector<int64_t> Choose(int64_t batch, int64_t count, KeyedStream stream) {
  std::vector<int64_t> all(static_cast<size_t>(batch));
  std::iota(all.begin(), all.end(), 0);
  stream.Shuffle(all);
  all.resize(static_cast<size_t>(count));
  return all;
}

class LearnedRanges : public RangeAugmenter {
 public:
  LearnedRanges(std::vector<Operation> operations, double alpha)
      : operations_(std::move(operations)), lambda_(alpha / plan::kMseMax) {
    for (const Operation& operation : operations_) {
      const std::string prefix = absl::StrCat("range_augment.", operation.name);
      parameters_.push_back({.name = prefix + ".low", .tensor = operation.raw_low});
      parameters_.push_back({.name = prefix + ".high", .tensor = operation.raw_high});
    }
  }

  const std::vector<Parameter>& parameters() const override { return parameters_; }

  Output Forward(const at::Tensor& images, double target_mse,
                 const plan::RankStepKey& key) override {
    const int64_t batch = images.size(0);
    std::vector<const Operation*> order;
    for (const Operation& operation : operations_) order.push_back(&operation);
    plan::RangeAugmentOrderStream(key).Shuffle(order);

    at::Tensor augmented = images;
    for (const Operation* operation : order) {
      const std::vector<int64_t> chosen =
          Choose(batch, std::max<int64_t>(1, batch / 2),
                 plan::RangeAugmentChoiceStream(key, operation->kind));
      const at::Tensor index = at::tensor(chosen, at::kLong).to(images.device());
      augmented = augmented.index_copy(
          0, index, Apply(*operation, augmented.index_select(0, index), chosen, key));
    }
    augmented = augmented.clamp(0, 1);

    const at::Tensor mse = ((augmented - images) * 255).square().mean(at::IntArrayRef({1, 2, 3}));
    const at::Tensor target =
        at::full_like(mse, target_mse, at::TensorOptions().requires_grad(false));
    return {.images = augmented,
            .loss = at::smooth_l1_loss(mse, target) * lambda_,
            .mse = mse.detach()};
  }

  std::vector<Bounds> EffectiveBounds() const override {
    std::vector<Bounds> bounds;
    for (const Operation& operation : operations_) {
      bounds.push_back(
          {.operation = operation.name,
           .low = plan::SoftClip(operation.raw_low.item<double>(), operation.low_interval),
           .high = plan::SoftClip(operation.raw_high.item<double>(), operation.high_interval)});
    }
    return bounds;
  }

 private:
  // The operation on the pictures that were chosen (B.2, B.3): one magnitude
  // each, low + u * (high - low), so that both bounds get gradients.
  static at::Tensor Apply(const Operation& operation, const at::Tensor& pictures,
                          const std::vector<int64_t>& chosen, const plan::RankStepKey& key) {
    at::Tensor u = at::empty({static_cast<int64_t>(chosen.size()), 1, 1, 1}, at::kFloat);
    for (size_t i = 0; i < chosen.size(); ++i) {
      const plan::SampleKey sample = {.step = key, .position = static_cast<int32_t>(chosen[i])};
      u.data_ptr<float>()[i] =
          plan::RangeAugmentMagnitudeStream(sample, operation.kind).Uniform01Float();
    }
    const at::Tensor low = operation.Low();
    const at::Tensor magnitude = low + u.to(low.device()) * (operation.High() - low);
    switch (operation.kind) {
      case RangeAugmentOperation::kBrightness:
        return pictures * magnitude;
      case RangeAugmentOperation::kContrast: {
        const at::Tensor mean = pictures.mean(at::IntArrayRef({2, 3}), /*keepdim=*/true);
        return (1 - magnitude) * mean + magnitude * pictures;
      }
      case RangeAugmentOperation::kNoise:
        return pictures + magnitude * NormalNumbers(pictures.sizes(), chosen, key,
                                                    plan::RangeAugmentNoiseStream)
                                          .to(pictures.device());
    }
    CVT_CHECK(false) << "unknown operation";
    return pictures;
  }

  const std::vector<Operation> operations_;
  const double lambda_;
  std::vector<Parameter> parameters_;
};

bool Contains(double value, const plan::ClipInterval& interval) {
  return value >= interval.min && value <= interval.max;
}

absl::Status CheckStart(const std::string& name, bool given,
                        const cvtrain::v1::EffectiveRange& start,
                        const plan::MagnitudeRange& range) {
  if (!given || (Contains(start.low(), range.low) && Contains(start.high(), range.high))) {
    return absl::OkStatus();
  }
  return FieldViolations(
      {{.field = absl::StrCat("recipe.augmentation.range_augment.start.", name),
        .rule = absl::StrCat("low must be in [", range.low.min, ", ", range.low.max,
                             "] and high in [", range.high.min, ", ", range.high.max, "]"),
        .value = absl::StrCat(start.low(), "..", start.high())}},
      Reason::kRecipeInvalid);
}

}  // namespace

absl::StatusOr<std::unique_ptr<RangeAugmenter>> RangeAugmenter::Create(
    const cvtrain::v1::RangeAugment& spec, at::Device place) {
  using Spec = cvtrain::v1::RangeAugment;
  const auto& start = spec.start();
  CVT_RETURN_IF_ERROR(
      CheckStart("brightness", start.has_brightness(), start.brightness(), plan::kBrightnessRange));
  CVT_RETURN_IF_ERROR(
      CheckStart("contrast", start.has_contrast(), start.contrast(), plan::kContrastRange));
  CVT_RETURN_IF_ERROR(CheckStart("noise", start.has_noise(), start.noise(), plan::kNoiseRange));

  const plan::StartRanges ranges = plan::StartRangesOf(spec);
  std::vector<Operation> operations;
  for (const int operation : spec.operations()) {
    if (operation == Spec::OPERATION_BRIGHTNESS) {
      operations.push_back(MakeOperation(RangeAugmentOperation::kBrightness, "brightness",
                                         ranges.brightness, place));
    } else if (operation == Spec::OPERATION_CONTRAST) {
      operations.push_back(
          MakeOperation(RangeAugmentOperation::kContrast, "contrast", ranges.contrast, place));
    } else if (operation == Spec::OPERATION_NOISE) {
      operations.push_back(
          MakeOperation(RangeAugmentOperation::kNoise, "noise", ranges.noise, place));
    }
  }
  if (operations.empty()) {
    return FieldViolations({{.field = "recipe.augmentation.range_augment.operations",
                             .rule = "needs at least one operation",
                             .value = ""}},
                           Reason::kRecipeInvalid);
  }
  return std::make_unique<LearnedRanges>(std::move(operations), spec.alpha());
}

}  // namespace cvtrain::trainer
