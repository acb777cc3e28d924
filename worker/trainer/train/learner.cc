#include "worker/trainer/train/learner.h"

#include <ATen/autocast_mode.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <utility>

#include "common/status_macros.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/network/description.h"

namespace cvtrain::trainer {
namespace {

using storage::v1::Tensor;

// Where convolutions keep weights and pictures: channels innermost pays for bottleneck blocks, and
// costs for basic ones.
constexpr int kDepthOfBottlenecks = 50;

// Runs convolutions and products in bfloat16 while it lives, if `enabled`.
class AutocastScope {
 public:
  explicit AutocastScope(bool enabled)
      : before_(at::autocast::is_autocast_enabled(at::kCPU)),
        type_before_(at::autocast::get_autocast_dtype(at::kCPU)) {
    at::autocast::set_autocast_enabled(at::kCPU, enabled);
    at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
  }
  AutocastScope(const AutocastScope&) = delete;
  AutocastScope& operator=(const AutocastScope&) = delete;
  ~AutocastScope() {
    // Casts of the weights are of no use after the optimizer has changed them.
    at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(at::kCPU, before_);
    at::autocast::set_autocast_dtype(at::kCPU, type_before_);
  }

 private:
  const bool before_;
  const at::ScalarType type_before_;
};

at::Tensor PerChannel(const std::vector<double>& values) {
  if (values.empty()) return {};
  return at::tensor(values, at::kFloat).view({1, static_cast<int64_t>(values.size()), 1, 1});
}

}  // namespace

absl::StatusOr<std::unique_ptr<Learner>> Learner::Create(const cvtrain::v1::Recipe& recipe,
                                                         int32_t logical_ranks, ProcessGroup& group,
                                                         Begin begin) {
  CVT_ASSIGN_OR_RETURN(plan::NetworkDescription description, plan::DescribeNetwork(recipe.model()));
  Options options = {
      .network = {.channels_last = recipe.model().resnet().depth() >= kDepthOfBottlenecks},
      .label_smoothing = recipe.loss().label_smoothing(),
      .bf16 = recipe.precision() == cvtrain::v1::Recipe::PRECISION_BF16,
      .logical_ranks = logical_ranks,
      .mean = {},
      .std = {},
  };
  if (recipe.augmentation().has_normalize()) {
    const cvtrain::v1::Normalize& normalize = recipe.augmentation().normalize();
    options.mean.assign(normalize.mean().begin(), normalize.mean().end());
    options.std.assign(normalize.std().begin(), normalize.std().end());
  }
  auto learner = std::unique_ptr<Learner>(new Learner(options, std::move(description), group));
  if (begin == Begin::kDrawn) learner->network_.Initialize(recipe.seed());
  if (recipe.augmentation().has_range_augment()) {
    CVT_ASSIGN_OR_RETURN(learner->augmenter_,
                         RangeAugmenter::Create(recipe.augmentation().range_augment()));
  }
  learner->batch_augmenter_.emplace(recipe.augmentation(), recipe.model().num_classes());
  learner->MakeOptimizer(recipe);
  return learner;
}

Learner::Learner(const Options& options, plan::NetworkDescription description, ProcessGroup& group)
    : options_(options),
      group_(group),
      network_(std::move(description), options.network),
      mean_(PerChannel(options.mean)),
      std_(PerChannel(options.std)) {}

void Learner::MakeOptimizer(const cvtrain::v1::Recipe& recipe) {
  const cvtrain::v1::Sgd& sgd = recipe.optimizer().sgd();
  Sgd::Group decayed = {.names = {}, .parameters = {}, .weight_decay = sgd.weight_decay()};
  Sgd::Group spared;
  for (const Network::State& state : network_.states()) {
    if (!state.is_parameter) continue;
    const bool decays = state.tensor.dim() != 1 || sgd.decay_one_dimensional();
    Sgd::Group& group = decays ? decayed : spared;
    group.names.push_back(state.name);
    group.parameters.push_back(state.tensor);
  }
  std::vector<Sgd::Group> groups = {std::move(decayed), std::move(spared)};
  if (augmenter_ != nullptr) {
    const cvtrain::v1::RangeAugment& spec = recipe.augmentation().range_augment();
    Sgd::Group scalars;
    scalars.learning_rate_multiplier =
        spec.has_learning_rate_multiplier() ? spec.learning_rate_multiplier() : 1;
    scalars.weight_decay = spec.has_weight_decay() ? spec.weight_decay() : sgd.weight_decay();
    for (const RangeAugmenter::Parameter& parameter : augmenter_->parameters()) {
      scalars.names.push_back(parameter.name);
      scalars.parameters.push_back(parameter.tensor);
    }
    groups.push_back(std::move(scalars));
  }

  std::vector<at::Tensor> parameters = network_.Parameters();
  if (augmenter_ != nullptr) {
    for (const auto& parameter : augmenter_->parameters()) parameters.push_back(parameter.tensor);
  }
  optimizer_ = std::make_unique<Sgd>(
      Sgd::Options{.momentum = sgd.momentum(), .nesterov = sgd.nesterov()}, std::move(groups));
  reducer_ = group_.NewReducer(std::move(parameters));
}

at::Tensor Learner::ToUnit(const Batch& batch) const {
  // The bytes are only read, and copied by the conversion.
  const at::Tensor bytes = at::from_blob(const_cast<uint8_t*>(batch.pixels.data()),
                                         {batch.count, batch.height, batch.width, 3}, at::kByte);
  at::Tensor images =
      at::empty({batch.count, 3, batch.height, batch.width},
                at::TensorOptions(at::kFloat)
                    .memory_format(network_.channels_last() ? at::MemoryFormat::ChannelsLast
                                                            : at::MemoryFormat::Contiguous));
  return images.copy_(bytes.permute({0, 3, 1, 2})).div_(255);
}

at::Tensor Learner::Prepare(const at::Tensor& images) const {
  return mean_.defined() ? (images - mean_) / std_ : images;
}

at::Tensor Learner::Forward(const at::Tensor& images, Network::Mode mode,
                            const plan::RankStepKey& key) {
  const AutocastScope autocast(options_.bf16);
  return network_.Forward(images, mode, key).to(at::kFloat);
}

Learner::MicroBatchLoss Learner::Accumulate(const Batch& batch, const plan::RankStepKey& key,
                                            double target_mse, bool last) {
  MicroBatchLoss result;
  at::Tensor images = ToUnit(batch);
  at::Tensor augment_loss;
  if (augmenter_ != nullptr) {
    RangeAugmenter::Output output = augmenter_->Forward(images, target_mse, key);
    images = std::move(output.images);
    augment_loss = std::move(output.loss);
    const at::Tensor mse = output.mse.contiguous();
    result.mse.assign(mse.data_ptr<float>(), mse.data_ptr<float>() + mse.numel());
  }
  const at::Tensor labels =
      at::from_blob(const_cast<int64_t*>(batch.labels.data()), {batch.count}, at::kLong);
  const BatchAugmenter::Output augmented = batch_augmenter_->Apply(Prepare(images), labels, key);
  const at::Tensor logits = Forward(
      augmented.images,
      key.logical_rank == 0 ? Network::Mode::kTrain : Network::Mode::kTrainFrozenBuffers, key);
  // Smoothing is linear in the targets: shares of classes are smoothed as whole labels are.
  const at::Tensor task_loss =
      at::cross_entropy_loss(logits, augmented.targets, {}, at::Reduction::Mean,
                             /*ignore_index=*/-100, options_.label_smoothing);
  const at::Tensor loss = augment_loss.defined() ? task_loss + augment_loss : task_loss;
  result.task = task_loss.item<double>();
  if (augment_loss.defined()) result.augment = augment_loss.item<double>();

  // The mean over logical ranks: processes sum over theirs, the reducer takes the mean over
  // processes.
  if (last && reducer_ != nullptr) reducer_->ReduceInNextBackward();
  (loss * (static_cast<double>(group_.world_size()) / options_.logical_ranks)).backward();
  return result;
}

void Learner::ShareBuffers() {
  std::vector<at::Tensor> buffers;
  for (const Network::State& state : network_.states()) {
    if (!state.is_parameter) buffers.push_back(state.tensor);
  }
  group_.BroadcastFromFirst(buffers);
}

std::vector<SnapshotTensor> Learner::States() const {
  std::vector<SnapshotTensor> states;
  for (const Network::State& state : network_.states()) {
    states.push_back({state.name, state.tensor.detach(),
                      state.is_parameter ? Tensor::ROLE_PARAMETER : Tensor::ROLE_BUFFER});
  }
  if (augmenter_ != nullptr) {
    for (const auto& parameter : augmenter_->parameters()) {
      states.push_back({parameter.name, parameter.tensor.detach(), Tensor::ROLE_AUGMENTATION});
    }
  }
  const size_t network_parameters = network_.Parameters().size();
  const std::vector<Sgd::State> momenta = optimizer_->States();
  for (size_t i = 0; i < momenta.size(); ++i) {
    // RangeAugment's group comes after those of the network.
    states.push_back(
        {"momentum/" + momenta[i].parameter, momenta[i].momentum,
         i < network_parameters ? Tensor::ROLE_OPTIMIZER_STATE : Tensor::ROLE_AUGMENTATION});
  }
  return states;
}

}  // namespace cvtrain::trainer
