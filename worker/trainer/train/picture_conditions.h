#ifndef CVTRAIN_WORKER_TRAINER_TRAIN_PICTURE_CONDITIONS_H_
#define CVTRAIN_WORKER_TRAINER_TRAIN_PICTURE_CONDITIONS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "formats/corruption/corruptor.h"
#include "worker/trainer/data/batch_source.h"
#include "worker/trainer/train/learner.h"

namespace cvtrain::v1 {
class EvaluationCondition;
}  // namespace cvtrain::v1

namespace cvtrain::trainer {

// What becomes of the pictures of an evaluation under its conditions: clean, noisy or corrupted. A
// function of the picture's place in its split and of the condition, so all ranks and all
// evaluations see the same pictures.
//
// Noise is the same under every condition, so it is drawn once for a batch, and what was drawn is
// kept, up to 64 MiB. Corrupted pictures are made anew each time, on the threads of LibTorch's
// pool.
//
// Lives as long as the attempt. Thread-compatible. Throws c10::Error.
class PictureConditions {
 public:
  // `learner` must outlive this.
  explicit PictureConditions(const Learner& learner) : learner_(learner) {}

  // Goes on to the next batch, which must outlive the calls of Under().
  void Start(const Batch& batch);

  // The batch as RGB in 0..1. `severity` is that of the condition's corruption, and of no meaning
  // without one. INTERNAL (OUT_OF_MEMORY) as of formats::Corruptor.
  absl::StatusOr<at::Tensor> Under(const cvtrain::v1::EvaluationCondition& condition,
                                   int32_t severity);

 private:
  // Standard normal numbers for each value of the batch.
  at::Tensor DrawNoise();
  absl::StatusOr<at::Tensor> Corrupt(const formats::Corruption& corruption);

  const Learner& learner_;
  const Batch* batch_ = nullptr;
  at::Tensor clean_;
  at::Tensor noise_;  // undefined until the first condition of a batch has noise
  // Standard normal numbers by (picture, side).
  std::map<std::pair<int64_t, int64_t>, at::Tensor> drawn_;
  int64_t drawn_bytes_ = 0;
  std::vector<uint8_t> corrupted_;
  std::vector<formats::Corruptor> corruptors_;  // one for each thread
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_TRAIN_PICTURE_CONDITIONS_H_
