#ifndef CVTRAIN_WORKER_TRAINER_TRAIN_LEARNER_H_
#define CVTRAIN_WORKER_TRAINER_TRAIN_LEARNER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "plan/curriculum/keys.h"
#include "worker/trainer/augment/batch_augmenter.h"
#include "worker/trainer/augment/range_augmenter.h"
#include "worker/trainer/collective/process_group.h"
#include "worker/trainer/data/batch_source.h"
#include "worker/trainer/model/network.h"
#include "worker/trainer/snapshot/snapshot_tensor.h"
#include "worker/trainer/train/sgd.h"

namespace cvtrain::v1 {
class Recipe;
}  // namespace cvtrain::v1

namespace cvtrain::trainer {

// What learns: the network, RangeAugment's scalars, and the optimizer over both.
//
// A step is BeginStep(), Accumulate() for each logical rank of this process, FinishStep(). The
// gradient is the mean over all logical ranks, however many processes they are spread over. Knows
// nothing about epochs, rates or where pictures come from. Thread-compatible. Throws c10::Error.
class Learner {
 public:
  enum class Begin {
    kDrawn,     // from the recipe's seed
    kRestored,  // by the caller, who fills all of States()
  };

  // `recipe` is resolved. `group` must outlive this.
  // INVALID_ARGUMENT (RECIPE_INVALID) if the recipe has no network, or one that does not exist.
  static absl::StatusOr<std::unique_ptr<Learner>> Create(const cvtrain::v1::Recipe& recipe,
                                                         int32_t logical_ranks, ProcessGroup& group,
                                                         Begin begin = Begin::kDrawn);

  struct MicroBatchLoss {
    // Against the labels as mixed: with mixup or cutmix it stays above that of an evaluation.
    double task = 0;
    double augment = 0;
    // Of each picture, before against after RangeAugment; empty without it.
    std::vector<float> mse;
  };

  void BeginStep() { optimizer_->ZeroGradients(); }
  // `last`: of this step in this process. `target_mse` is RangeAugment's.
  MicroBatchLoss Accumulate(const Batch& batch, const plan::RankStepKey& key, double target_mse,
                            bool last);
  void FinishStep(double learning_rate) { optimizer_->Step(learning_rate); }

  // The same buffers on all ranks: those of logical rank 0.
  void ShareBuffers();

  // Pictures as the network wants them, normalized where the recipe says so: B x 3 x H x W.
  at::Tensor Prepare(const at::Tensor& images) const;
  // Pictures of a batch in 0..1, in the network's memory format.
  at::Tensor ToUnit(const Batch& batch) const;
  // Logits, under the recipe's precision. `key`: what dropout is drawn from.
  at::Tensor Forward(const at::Tensor& images, Network::Mode mode,
                     const plan::RankStepKey& key = {});

  // All that a checkpoint holds.
  std::vector<SnapshotTensor> States() const;

  const Network& network() const { return network_; }
  // Null without RangeAugment.
  const RangeAugmenter* augmenter() const { return augmenter_.get(); }

 private:
  struct Options {
    Network::Options network;
    double label_smoothing = 0;
    bool bf16 = false;
    int32_t logical_ranks = 1;
    std::vector<double> mean, std;  // empty: no normalization
  };

  Learner(const Options& options, plan::NetworkDescription description, ProcessGroup& group);
  void MakeOptimizer(const cvtrain::v1::Recipe& recipe);

  const Options options_;
  ProcessGroup& group_;
  Network network_;
  at::Tensor mean_, std_;  // 1 x 3 x 1 x 1, or undefined
  std::unique_ptr<RangeAugmenter> augmenter_;
  std::optional<BatchAugmenter> batch_augmenter_;  // set by Create()
  std::unique_ptr<Sgd> optimizer_;
  std::unique_ptr<GradientReducer> reducer_;  // null in a world of one
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_TRAIN_LEARNER_H_
