#ifndef CVTRAIN_WORKER_TRAINER_TRAIN_LEARNER_H_
#define CVTRAIN_WORKER_TRAINER_TRAIN_LEARNER_H_

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "plan/curriculum/keys.h"
#include "worker/trainer/augment/batch_augmenter.h"
#include "worker/trainer/augment/range_augmenter.h"
#include "worker/trainer/collective/gradient_reducer.h"
#include "worker/trainer/collective/process_group.h"
#include "worker/trainer/data/batch_source.h"
#include "worker/trainer/device/device.h"
#include "worker/trainer/model/network.h"
#include "worker/trainer/optimizer/loss_scaler.h"
#include "worker/trainer/optimizer/moving_average.h"
#include "worker/trainer/optimizer/optimizer.h"
#include "worker/trainer/snapshot/snapshot_tensor.h"

namespace cvtrain::v1 {
class Recipe;
}  // namespace cvtrain::v1

namespace cvtrain::trainer {

// What learns: the network, RangeAugment's scalars, the optimizer over both, and the averages.
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

  // Where a picture's channels are in memory: where it is fastest, as measured, or where a
  // benchmark wants them. Results differ in rounding only.
  enum class MemoryFormat { kBest, kPlanes, kChannelsInnermost };

  // `recipe` is resolved. `group` and `device` must outlive this.
  // INVALID_ARGUMENT (RECIPE_INVALID) if the recipe has no network, or one that does not exist, or
  // freezes layers that it has not.
  static absl::StatusOr<std::unique_ptr<Learner>> Create(const cvtrain::v1::Recipe& recipe,
                                                         int32_t logical_ranks, ProcessGroup& group,
                                                         Begin begin = Begin::kDrawn,
                                                         Device& device = Device::Cpu(),
                                                         MemoryFormat format = MemoryFormat::kBest);

  struct RankLoss {
    // Against the labels as mixed: with mixup or cutmix it stays above that of an evaluation.
    double task = 0;
    double augment = 0;
    // Of each picture, before against after RangeAugment; empty without it.
    std::vector<float> mse;
  };
  // When gradients are summed over the processes.
  enum class Reduction {
    kLater,  // by another Accumulate() of this step, or by Reduce()
    kNow,    // while the last backward pass runs: for the last logical rank of this process
  };
  struct Update {
    // L2 norm before clipping; nothing where the recipe does not clip, or the step is skipped.
    std::optional<double> gradient_norm;
    // float16 only: a gradient overflowed, so nothing was changed.
    bool skipped = false;
  };

  void BeginStep();
  // The pictures of one logical rank, in at most micro_batches() parts. `target_mse` is
  // RangeAugment's.
  RankLoss Accumulate(const Batch& batch, const plan::RankStepKey& key, double target_mse,
                      Reduction reduction);
  // Sums gradients that were accumulated with kLater only. Nothing in a world of one.
  void Reduce();
  // `step` counts the steps of the trial before this one.
  Update FinishStep(double learning_rate, int64_t step);

  int32_t micro_batches() const { return micro_batches_; }
  void set_micro_batches(int32_t parts) { micro_batches_ = parts; }

  // Copies of what forward passes of training change, and back: for one that is repeated.
  std::vector<at::Tensor> CopyBuffers() const;
  void RestoreBuffers(const std::vector<at::Tensor>& copies);

  // The same buffers on all ranks: those of logical rank 0.
  void ShareBuffers();

  // Runs `body` with the weights that evaluations are of: the averages, where the recipe has them.
  void WithEvaluatedWeights(absl::FunctionRef<void()> body);

  // Pictures as the network wants them, normalized where the recipe says so: B x 3 x H x W.
  at::Tensor Prepare(const at::Tensor& images) const;
  // Pictures of a batch in 0..1, in the network's memory format, where it is computed.
  at::Tensor ToUnit(const Batch& batch) const;
  // Its labels, int64, there too; on the CPU a view of the batch.
  at::Tensor LabelsOf(const Batch& batch) const;
  // Logits in float32, computed in the recipe's precision. `key`, `part`: see Network::Forward().
  at::Tensor Forward(const at::Tensor& images, Network::Mode mode,
                     const plan::RankStepKey& key = {}, const BatchPart& part = {});

  // Parameters and buffers of the network, but for those of `layers` (by index; empty means none),
  // whose names go to `left_out`. Who changes them calls RestartAverages().
  std::vector<SnapshotTensor> WeightsBut(const std::vector<bool>& layers,
                                         std::set<std::string>* left_out) const;
  void RestartAverages();

  // All that a checkpoint holds.
  std::vector<SnapshotTensor> States() const;

  const Network& network() const { return network_; }
  // Null without RangeAugment.
  const RangeAugmenter* augmenter() const { return augmenter_.get(); }
  // Null unless the precision is float16.
  const LossScaler* loss_scaler() const { return scaler_.get(); }

 private:
  struct Options {
    Network::Options network;
    double label_smoothing = 0;
    std::optional<at::ScalarType> autocast;
    std::optional<double> clip_norm;
    int32_t logical_ranks = 1;
    std::vector<double> mean, std;  // empty: no normalization
  };

  // A part of a batch in tensors that stay, for work that is recorded.
  struct RecordedPart {
    at::Tensor images, targets, loss;
  };

  Learner(const Options& options, plan::NetworkDescription description, ProcessGroup& group,
          Device& device);
  void MakeOptimizer(const cvtrain::v1::Recipe& recipe);
  void MakeAverage(const cvtrain::v1::Recipe& recipe);
  // Forward and backward pass of one part of a batch; its share of the task loss.
  double RunPart(const at::Tensor& images, const at::Tensor& targets, const BatchPart& part,
                 const plan::RankStepKey& key, const at::Tensor& augment_loss);
  // The same without a look at the loss, which is on the device.
  at::Tensor Differentiate(const at::Tensor& images, const at::Tensor& targets,
                           const BatchPart& part, const plan::RankStepKey& key,
                           const at::Tensor& augment_loss);
  // The same, of what is recorded once for each size.
  at::Tensor DifferentiateRecorded(const at::Tensor& images, const at::Tensor& targets,
                                   const BatchPart& part, const plan::RankStepKey& key);
  // As the backward pass wants it: gradients are summed over logical ranks, in this process and
  // over the processes, and their mean is wanted.
  at::Tensor Weighed(const at::Tensor& loss) const;
  std::vector<at::Tensor> Buffers() const;

  const Options options_;
  ProcessGroup& group_;
  Device& device_;
  Network network_;
  at::Tensor mean_, std_;  // 1 x 3 x 1 x 1, or undefined
  std::unique_ptr<RangeAugmenter> augmenter_;
  std::optional<BatchAugmenter> batch_augmenter_;  // set by Create()
  std::vector<at::Tensor> parameters_;             // the network's, then the augmenter's
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<LossScaler> scaler_;
  std::unique_ptr<MovingAverage> average_;
  std::vector<size_t> averaged_states_;       // of the network, in the order of the averages
  std::unique_ptr<GradientReducer> reducer_;  // null in a world of one
  int32_t micro_batches_ = 1;
  std::unique_ptr<Recorder> recorder_;  // null where nothing is recorded
  std::map<Recorder::Key, RecordedPart> recorded_;
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_TRAIN_LEARNER_H_
