#include "worker/trainer/train/learner.h"

#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "common/status_macros.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/curriculum/trial_plan.h"
#include "plan/network/description.h"
#include "plan/network/named_layers.h"
#include "worker/trainer/optimizer/gradients.h"
#include "worker/trainer/train/autocast.h"

namespace cvtrain::trainer {
namespace {

using storage::v1::Tensor;

// Where convolutions keep weights and pictures. On a GPU channels innermost is what tensor cores
// want; on a CPU it was measured for each family (docs/performance.md): it pays where channels are
// few, or convolutions are by 1 x 1 pixel or by channel, and costs where they are wide and by 3
// x 3.
// Not for MobileNetV3: a third faster, but 15.2 % over the memory that is forecast.
bool ChannelsLastPays(const cvtrain::v1::Model& model, const Device& device) {
  constexpr int kDepthOfBottlenecks = 50;
  if (device.is_gpu()) return true;
  switch (model.family_case()) {
    case cvtrain::v1::Model::kResnet:
      return model.resnet().depth() >= kDepthOfBottlenecks;
    case cvtrain::v1::Model::kSmallResnet:
    case cvtrain::v1::Model::kPreresnet:
    case cvtrain::v1::Model::kMobilenetV1:
    case cvtrain::v1::Model::kMobilenetV2:
    case cvtrain::v1::Model::kEfficientnet:
    case cvtrain::v1::Model::kConvmixer:
      return true;
    default:
      return false;
  }
}

// Of the optimizer's groups, that of RangeAugment's scalars: after those that decay and those that
// do not.
constexpr size_t kAugmentGroup = 2;

at::Tensor PerChannel(const std::vector<double>& values, at::Device place) {
  if (values.empty()) return {};
  return at::tensor(values, at::kFloat)
      .to(place)
      .view({1, static_cast<int64_t>(values.size()), 1, 1});
}

// Of a whole batch.
double ShareOf(const at::Tensor& images, const BatchPart& part) {
  if (part.batch_size == 0) return 1;
  return static_cast<double>(images.size(0)) / static_cast<double>(part.batch_size);
}

SnapshotTensor ToSnapshot(const Network::State& state) {
  return {state.name, state.tensor.detach(),
          state.is_parameter ? Tensor::ROLE_PARAMETER : Tensor::ROLE_BUFFER};
}

}  // namespace

absl::StatusOr<std::unique_ptr<Learner>> Learner::Create(const cvtrain::v1::Recipe& recipe,
                                                         int32_t logical_ranks, ProcessGroup& group,
                                                         Begin begin, Device& device,
                                                         MemoryFormat format) {
  CVT_ASSIGN_OR_RETURN(plan::NetworkDescription description, plan::DescribeNetwork(recipe.model()));
  CVT_ASSIGN_OR_RETURN(
      std::vector<bool> frozen,
      plan::FrozenLayers(description, {recipe.frozen().begin(), recipe.frozen().end()}));
  Options options = {
      .network = {.place = device.place(),
                  .channels_last = format == MemoryFormat::kBest
                                       ? ChannelsLastPays(recipe.model(), device)
                                       : format == MemoryFormat::kChannelsInnermost,
                  .frozen = std::move(frozen)},
      .label_smoothing = recipe.loss().label_smoothing(),
      .autocast = AutocastTypeOf(recipe.precision()),
      .clip_norm = recipe.optimizer().has_clip_norm()
                       ? std::optional<double>(recipe.optimizer().clip_norm())
                       : std::nullopt,
      .logical_ranks = logical_ranks,
      .mean = {},
      .std = {},
  };
  if (recipe.augmentation().has_normalize()) {
    const cvtrain::v1::Normalize& normalize = recipe.augmentation().normalize();
    options.mean.assign(normalize.mean().begin(), normalize.mean().end());
    options.std.assign(normalize.std().begin(), normalize.std().end());
  }
  auto learner =
      std::unique_ptr<Learner>(new Learner(options, std::move(description), group, device));
  if (begin == Begin::kDrawn) learner->network_.Initialize(recipe.seed());
  if (recipe.augmentation().has_range_augment()) {
    CVT_ASSIGN_OR_RETURN(
        learner->augmenter_,
        RangeAugmenter::Create(recipe.augmentation().range_augment(), device.place()));
  }
  learner->batch_augmenter_.emplace(recipe.augmentation(), recipe.model().num_classes());
  learner->set_micro_batches(std::max(recipe.micro_batches(), 1));
  learner->MakeOptimizer(recipe);
  if (recipe.has_ema()) learner->MakeAverage(recipe);
  if (recipe.precision() == cvtrain::v1::Recipe::PRECISION_FP16) {
    learner->scaler_ = std::make_unique<LossScaler>(device.place());
  }
  // What is drawn differs from step to step, and a sum over ranks is waited for outside of it.
  if (!learner->network_.has_dropout() && group.world_size() == 1) {
    learner->recorder_ = device.NewRecorder();
  }
  return learner;
}

Learner::Learner(const Options& options, plan::NetworkDescription description, ProcessGroup& group,
                 Device& device)
    : options_(options),
      group_(group),
      device_(device),
      network_(std::move(description), options.network),
      mean_(PerChannel(options.mean, device.place())),
      std_(PerChannel(options.std, device.place())) {}

void Learner::MakeOptimizer(const cvtrain::v1::Recipe& recipe) {
  const cvtrain::v1::Optimizer& spec = recipe.optimizer();
  const double weight_decay =
      spec.has_adamw() ? spec.adamw().weight_decay() : spec.sgd().weight_decay();
  const bool decays_all =
      spec.has_adamw() ? spec.adamw().decay_one_dimensional() : spec.sgd().decay_one_dimensional();
  ParameterGroup decayed = {.names = {}, .parameters = {}, .weight_decay = weight_decay};
  ParameterGroup spared;
  for (const Network::State& state : network_.states()) {
    if (!state.is_trained) continue;
    ParameterGroup& group = state.decays || decays_all ? decayed : spared;
    group.names.push_back(state.name);
    group.parameters.push_back(state.tensor);
  }
  std::vector<ParameterGroup> groups = {std::move(decayed), std::move(spared)};
  parameters_ = network_.Parameters();
  if (augmenter_ != nullptr) {
    const cvtrain::v1::RangeAugment& augment = recipe.augmentation().range_augment();
    ParameterGroup scalars;
    scalars.learning_rate_multiplier =
        augment.has_learning_rate_multiplier() ? augment.learning_rate_multiplier() : 1;
    scalars.weight_decay = augment.has_weight_decay() ? augment.weight_decay() : weight_decay;
    for (const RangeAugmenter::Parameter& parameter : augmenter_->parameters()) {
      scalars.names.push_back(parameter.name);
      scalars.parameters.push_back(parameter.tensor);
      parameters_.push_back(parameter.tensor);
    }
    groups.push_back(std::move(scalars));
  }
  optimizer_ = Optimizer::Create(spec, std::move(groups));
  if (group_.world_size() == 1) return;
  // In the order of the forward pass: the augmentation comes before the network.
  std::vector<at::Tensor> in_order = parameters_;
  std::rotate(in_order.begin(),
              in_order.begin() + static_cast<std::ptrdiff_t>(network_.Parameters().size()),
              in_order.end());
  reducer_ = std::make_unique<GradientReducer>(group_, std::move(in_order));
}

void Learner::MakeAverage(const cvtrain::v1::Recipe& recipe) {
  std::vector<at::Tensor> sources;
  for (size_t i = 0; i < network_.states().size(); ++i) {
    const at::Tensor& tensor = network_.states()[i].tensor;
    if (!tensor.is_floating_point()) continue;  // counters and indices
    sources.push_back(tensor.detach());
    averaged_states_.push_back(i);
  }
  average_ = std::make_unique<MovingAverage>(
      MovingAverage::Options{.decay = recipe.ema().decay(),
                             .every_steps = std::max(recipe.ema().every_steps(), 1),
                             .warmup = recipe.ema().warmup()},
      std::move(sources));
}

at::Tensor Learner::ToUnit(const Batch& batch) const {
  // The bytes are only read. They go to a GPU as they are, a quarter of what floats would be.
  const at::Tensor bytes = at::from_blob(const_cast<uint8_t*>(batch.pixels.data()),
                                         {batch.count, batch.height, batch.width, 3}, at::kByte);
  at::Tensor images =
      at::empty({batch.count, 3, batch.height, batch.width},
                at::TensorOptions(at::kFloat)
                    .device(device_.place())
                    .memory_format(network_.channels_last() ? at::MemoryFormat::ChannelsLast
                                                            : at::MemoryFormat::Contiguous));
  return images.copy_(bytes.to(device_.place()).permute({0, 3, 1, 2})).div_(255);
}

at::Tensor Learner::LabelsOf(const Batch& batch) const {
  return at::from_blob(const_cast<int64_t*>(batch.labels.data()), {batch.count}, at::kLong)
      .to(device_.place());
}

at::Tensor Learner::Prepare(const at::Tensor& images) const {
  return mean_.defined() ? (images - mean_) / std_ : images;
}

at::Tensor Learner::Forward(const at::Tensor& images, Network::Mode mode,
                            const plan::RankStepKey& key, const BatchPart& part) {
  const AutocastScope autocast(options_.autocast, device_.place().type());
  return network_.Forward(images, mode, key, part).to(at::kFloat);
}

std::vector<SnapshotTensor> Learner::WeightsBut(const std::vector<bool>& layers,
                                                std::set<std::string>* left_out) const {
  std::vector<SnapshotTensor> weights;
  for (const Network::State& state : network_.states()) {
    if (!layers.empty() && layers[static_cast<size_t>(state.layer)]) {
      left_out->insert(state.name);
    } else {
      weights.push_back(ToSnapshot(state));
    }
  }
  return weights;
}

void Learner::RestartAverages() {
  if (average_ != nullptr) average_->Restart();
}

void Learner::BeginStep() { ZeroGradients(parameters_); }

at::Tensor Learner::Weighed(const at::Tensor& loss) const {
  const at::Tensor share = loss * (1.0 / options_.logical_ranks);
  return scaler_ != nullptr ? share * scaler_->scale_tensor() : share;
}

double Learner::RunPart(const at::Tensor& images, const at::Tensor& targets, const BatchPart& part,
                        const plan::RankStepKey& key, const at::Tensor& augment_loss) {
  // Gradients of the pictures themselves are for what made them, which is not recorded.
  const bool is_recorded = recorder_ != nullptr && !images.requires_grad();
  const at::Tensor task_loss = is_recorded
                                   ? DifferentiateRecorded(images, targets, part, key)
                                   : Differentiate(images, targets, part, key, augment_loss);
  return ShareOf(images, part) * task_loss.item<double>();
}

at::Tensor Learner::DifferentiateRecorded(const at::Tensor& images, const at::Tensor& targets,
                                          const BatchPart& part, const plan::RankStepKey& key) {
  const Recorder::Key id = {images.size(2),  images.size(3),        images.size(0),
                            part.batch_size, key.logical_rank == 0, targets.is_floating_point()};
  RecordedPart& recorded = recorded_[id];
  if (!recorded.images.defined()) {
    recorded.images = images.clone();
    recorded.targets = targets.clone();
  } else {
    recorded.images.copy_(images);
    recorded.targets.copy_(targets);
  }
  recorder_->Run(
      id, [&] { recorded.loss = Differentiate(recorded.images, recorded.targets, part, key, {}); });
  return recorded.loss;
}

at::Tensor Learner::Differentiate(const at::Tensor& images, const at::Tensor& targets,
                                  const BatchPart& part, const plan::RankStepKey& key,
                                  const at::Tensor& augment_loss) {
  const Network::Mode mode =
      key.logical_rank == 0 ? Network::Mode::kTrain : Network::Mode::kTrainFrozenBuffers;
  const at::Tensor logits = Forward(images, mode, key, part);
  // Smoothing is linear in the targets: shares of classes are smoothed as whole labels are.
  const at::Tensor task_loss =
      at::cross_entropy_loss(logits, targets, {}, at::Reduction::Mean,
                             /*ignore_index=*/-100, options_.label_smoothing);
  const double share = ShareOf(images, part);
  at::Tensor loss = share == 1 ? task_loss : task_loss * share;
  if (augment_loss.defined()) loss = loss + augment_loss;
  Weighed(loss).backward();
  return task_loss.detach();
}

Learner::RankLoss Learner::Accumulate(const Batch& batch, const plan::RankStepKey& key,
                                      double target_mse, Reduction reduction) {
  RankLoss result;
  at::Tensor images = ToUnit(batch);
  at::Tensor augment_loss;
  if (augmenter_ != nullptr) {
    RangeAugmenter::Output output = augmenter_->Forward(images, target_mse, key);
    images = std::move(output.images);
    augment_loss = std::move(output.loss);
    const at::Tensor mse = output.mse.cpu().contiguous();
    result.mse.assign(mse.data_ptr<float>(), mse.data_ptr<float>() + mse.numel());
    result.augment = augment_loss.item<double>();
  }
  const at::Tensor labels = LabelsOf(batch);
  const BatchAugmenter::Output whole = batch_augmenter_->Apply(Prepare(images), labels, key);

  const bool reduces = reduction == Reduction::kNow && reducer_ != nullptr;
  const int64_t part_size = plan::MicroBatchSize(batch.count, micro_batches_);
  if (part_size == batch.count) {
    if (reduces) reducer_->ReduceInNextBackward();
    result.task = RunPart(whole.images, whole.targets, {}, key, augment_loss);
    return result;
  }
  // What is common to the parts is differentiated once, after them.
  const bool has_common = whole.images.requires_grad();
  at::Tensor input = whole.images.detach();
  if (has_common) input.requires_grad_(true);
  for (int64_t first = 0; first < batch.count; first += part_size) {
    const int64_t count = std::min(part_size, batch.count - first);
    if (reduces && first + count == batch.count) reducer_->ReduceInNextBackward();
    result.task += RunPart(input.narrow(0, first, count), whole.targets.narrow(0, first, count),
                           {.first = first, .batch_size = batch.count}, key, {});
  }
  if (has_common) {
    torch::autograd::backward({whole.images, Weighed(augment_loss)}, {input.grad(), at::Tensor()});
  }
  return result;
}

void Learner::Reduce() {
  if (reducer_ != nullptr) reducer_->Reduce();
}

Learner::Update Learner::FinishStep(double learning_rate, int64_t step) {
  Update update;
  if (scaler_ != nullptr) update.skipped = !scaler_->Unscale(GradientsOf(parameters_));
  if (options_.clip_norm.has_value() && !update.skipped) {
    update.gradient_norm =
        ClipGradientNorm(GradientsOf(network_.Parameters()), *options_.clip_norm);
  }
  if (!update.skipped) optimizer_->Step(learning_rate);
  if (scaler_ != nullptr) scaler_->Update();
  if (average_ != nullptr) average_->Update(step + 1);
  return update;
}

std::vector<at::Tensor> Learner::Buffers() const {
  std::vector<at::Tensor> buffers;
  for (const Network::State& state : network_.states()) {
    if (!state.is_parameter) buffers.push_back(state.tensor);
  }
  return buffers;
}

std::vector<at::Tensor> Learner::CopyBuffers() const {
  std::vector<at::Tensor> copies;
  for (const at::Tensor& buffer : Buffers()) copies.push_back(buffer.clone());
  return copies;
}

void Learner::RestoreBuffers(const std::vector<at::Tensor>& copies) {
  at::NoGradGuard no_grad;
  std::vector<at::Tensor> buffers = Buffers();
  for (size_t i = 0; i < buffers.size(); ++i) buffers[i].copy_(copies[i]);
}

void Learner::ShareBuffers() {
  std::vector<at::Tensor> buffers = Buffers();
  for (size_t i = 0; i < averaged_states_.size(); ++i) {
    if (!network_.states()[averaged_states_[i]].is_parameter) {
      buffers.push_back(average_->averages()[i]);
    }
  }
  group_.BroadcastFromFirst(buffers);
}

void Learner::WithEvaluatedWeights(absl::FunctionRef<void()> body) {
  std::vector<at::Tensor> others(network_.states().size());
  for (size_t i = 0; i < averaged_states_.size(); ++i) {
    others[averaged_states_[i]] = average_->averages()[i];
  }
  network_.Swap(others);
  // Also if `body` throws.
  const auto swap_back = absl::MakeCleanup([&] { network_.Swap(others); });
  body();
}

std::vector<SnapshotTensor> Learner::States() const {
  std::vector<SnapshotTensor> states;
  for (const Network::State& state : network_.states()) {
    states.push_back(ToSnapshot(state));
  }
  if (augmenter_ != nullptr) {
    for (const auto& parameter : augmenter_->parameters()) {
      states.push_back({parameter.name, parameter.tensor.detach(), Tensor::ROLE_AUGMENTATION});
    }
  }
  for (Optimizer::State& state : optimizer_->States()) {
    states.push_back(
        {std::move(state.name), std::move(state.tensor),
         state.group == kAugmentGroup ? Tensor::ROLE_AUGMENTATION : Tensor::ROLE_OPTIMIZER_STATE});
  }
  if (scaler_ != nullptr) {
    states.push_back({"loss_scale", scaler_->scale_tensor(), Tensor::ROLE_OPTIMIZER_STATE});
    states.push_back(
        {"loss_scale/good_steps", scaler_->good_steps(), Tensor::ROLE_OPTIMIZER_STATE});
  }
  for (size_t i = 0; i < averaged_states_.size(); ++i) {
    states.push_back({kAveragePrefix + network_.states()[averaged_states_[i]].name,
                      average_->averages()[i], Tensor::ROLE_AVERAGE});
  }
  return states;
}

}  // namespace cvtrain::trainer
