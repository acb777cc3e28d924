#ifndef CVTRAIN_WORKER_TRAINER_AUGMENT_RANGE_AUGMENTER_H_
#define CVTRAIN_WORKER_TRAINER_AUGMENT_RANGE_AUGMENTER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "plan/curriculum/keys.h"

namespace cvtrain::v1 {
class RangeAugment;
}  // namespace cvtrain::v1

namespace cvtrain::trainer {

// RangeAugment (Mehta et al. 2022): brightness, contrast and noise whose ranges of magnitude are
// six learned scalars. Applied after crop and flip and before normalization, in training only.
//
// Does not know the optimizer or the curriculum of the target: the loop gives the target, and
// reads gradients from parameters(). Functions throw c10::Error as LibTorch does; the training
// loop's guard ends it. Thread-compatible.
class RangeAugmenter {
 public:
  // `spec` is resolved and valid. INVALID_ARGUMENT (RECIPE_INVALID) if a start range lies outside
  // its clip interval.
  // `place`: where its scalars are, and the pictures will be.
  static absl::StatusOr<std::unique_ptr<RangeAugmenter>> Create(
      const cvtrain::v1::RangeAugment& spec, at::Device place = at::Device(at::DeviceType::CPU));

  virtual ~RangeAugmenter() = default;

  struct Parameter {
    std::string name;   // "range_augment.brightness.low"
    at::Tensor tensor;  // raw value: zero-dimensional float32 leaf that requires a gradient
  };
  // The raw scalars of the operations in use, in a fixed order: two for each operation. The
  // tensors are the ones that Forward() uses: an optimizer changes them in place.
  virtual const std::vector<Parameter>& parameters() const = 0;

  struct Output {
    at::Tensor images;  // as the input, clipped to 0..1, attached to the graph
    at::Tensor loss;    // zero-dimensional: lambda * mean of smooth L1 of (d_i - target), attached
    at::Tensor mse;     // d_i of each picture, on the scale of 0..255 squared; detached
  };
  // `images`: B x 3 x H x W, float32, in 0..1. `target_mse`: T of the paper, on the scale of
  // 0..255 squared. All chance comes from plan/curriculum's streams for `key`.
  virtual Output Forward(const at::Tensor& images, double target_mse,
                         const plan::RankStepKey& key) = 0;

  struct Bounds {
    std::string operation;  // "brightness"
    double low = 0;         // effective, after the soft clip
    double high = 0;
  };
  // Of each operation in use, in the order of parameters().
  virtual std::vector<Bounds> EffectiveBounds() const = 0;
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_AUGMENT_RANGE_AUGMENTER_H_
