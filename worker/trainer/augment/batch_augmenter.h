#ifndef CVTRAIN_WORKER_TRAINER_AUGMENT_BATCH_AUGMENTER_H_
#define CVTRAIN_WORKER_TRAINER_AUGMENT_BATCH_AUGMENTER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "cvtrain/v1/recipe.pb.h"
#include "plan/augment/batch_draw.h"
#include "plan/curriculum/keys.h"

namespace cvtrain::trainer {

// Random erasing, then mixup or cutmix, on the normalized tensors of a batch, in
// training only. What is drawn is plan/augment/batch_draw.h's business; all of it
// is done to the whole batch at once, on the device that the pictures are on.
//
// Does not know the loss: labels become shares of classes where pictures are mixed,
// and stay indices where they are not. Functions throw c10::Error as LibTorch does;
// the training loop's guard ends it. Immutable.
class BatchAugmenter {
 public:
  // `spec` is resolved and valid, and copied. Labels are in [0, classes).
  BatchAugmenter(const cvtrain::v1::Augmentation& spec, int64_t classes)
      : spec_(spec), classes_(classes) {}

  struct Output {
    at::Tensor images;
    // What cross-entropy takes: the labels, B of int64, or B x classes shares that add up to 1.
    at::Tensor targets;
  };
  // `images`: B x 3 x H x W, float32. `labels`: B, int64, on the same device. Where nothing is
  // done the output is the input; nothing is changed in place, and gradients flow to `images`.
  Output Apply(const at::Tensor& images, const at::Tensor& labels,
               const plan::RankStepKey& key) const;

 private:
  at::Tensor Erase(const at::Tensor& images, const plan::RankStepKey& key) const;
  at::Tensor MixImages(const at::Tensor& images, const plan::BatchMix& mix,
                       const at::Tensor& partners) const;
  at::Tensor MixLabels(const at::Tensor& labels, double own, const at::Tensor& partners) const;

  const cvtrain::v1::Augmentation spec_;
  const int64_t classes_;
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_AUGMENT_BATCH_AUGMENTER_H_
