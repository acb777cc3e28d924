#include "worker/trainer/model/network.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/autocast_mode.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <variant>

#include "common/random.h"
#include "common/status_macros.h"
#include "plan/network/memory.h"
#include "worker/trainer/model/attention.h"
#include "worker/trainer/model/fused_norm.h"

namespace cvtrain::trainer {
namespace {

template <typename... Fs>
struct Overload : Fs... {
  using Fs::operator()...;
};
template <typename... Fs>
Overload(Fs...) -> Overload<Fs...>;

at::Tensor NewTensor(const plan::TensorSpec& spec, const Network::Options& options) {
  const auto dtype = spec.IsInteger() ? at::ScalarType::Long : at::ScalarType::Float;
  const auto format = options.channels_last && spec.shape.size() == 4
                          ? at::MemoryFormat::ChannelsLast
                          : at::MemoryFormat::Contiguous;
  return at::zeros(spec.shape, at::TensorOptions(dtype).device(options.place)).contiguous(format);
}

// Draws in the logical order of the tensor, whatever its memory format is.
void Draw(const plan::TensorSpec& spec, KeyedStream stream, at::Tensor& tensor) {
  at::Tensor values = at::empty(spec.shape, at::TensorOptions(at::ScalarType::Float));
  float* out = values.data_ptr<float>();
  const int64_t count = values.numel();
  if (spec.init == plan::TensorInit::kNormal) {
    for (int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(stream.Normal() * spec.scale);
  } else {
    for (int64_t i = 0; i < count; ++i) {
      out[i] = static_cast<float>(stream.Uniform(-spec.scale, spec.scale));
    }
  }
  tensor.copy_(values);
}

at::Tensor Activate(const at::Tensor& x, plan::Activation::Kind kind, bool overwrite) {
  using Kind = plan::Activation::Kind;
  at::Tensor in_place = x;  // the same memory
  switch (kind) {
    case Kind::kRelu:
      return overwrite ? at::relu_(in_place) : at::relu(x);
    case Kind::kRelu6:
      return overwrite ? at::hardtanh_(in_place, 0, 6) : at::hardtanh(x, 0, 6);
    case Kind::kHardSwish:
      return at::hardswish(x);
    case Kind::kHardSigmoid:
      return at::hardsigmoid(x);
    case Kind::kSigmoid:
      return at::sigmoid(x);
    case Kind::kSilu:
      return at::silu(x);
    case Kind::kGelu:
      return at::gelu(x);
  }
  CVT_CHECK(false) << "unknown Activation";
  return x;
}

// Ones and zeros, divided by the probability of one: `shape` of them.
at::Tensor DrawMask(double probability, KeyedStream stream, at::IntArrayRef shape,
                    const at::TensorOptions& options) {
  at::Generator generator = at::detail::createCPUGenerator(stream.NextU64());
  const double kept = 1 - probability;
  // On the CPU: the same numbers wherever the network is computed.
  return at::empty(shape, options.device(at::DeviceType::CPU))
      .bernoulli_(kept, generator)
      .div_(kept)
      .to(options.device());
}

}  // namespace

Network::Network(plan::NetworkDescription description, const Options& options)
    : description_(std::move(description)), options_(options) {
  specs_ = plan::StateTensors(description_);
  layers_.resize(description_.layers.size());
  for (const plan::TensorSpec& spec : specs_) {
    at::Tensor tensor = NewTensor(spec, options_);
    const bool is_trained = spec.IsParameter() && !IsFrozen(static_cast<size_t>(spec.layer));
    if (is_trained) tensor.set_requires_grad(true);
    if (spec.init == plan::TensorInit::kOffsets) {
      tensor.copy_(OffsetsOfPairs(static_cast<int64_t>(spec.scale)));
    }
    layers_[static_cast<size_t>(spec.layer)][spec.kind] = tensor;
    states_.push_back(
        {spec.name, std::move(tensor), spec.layer, spec.IsParameter(), is_trained, spec.Decays()});
  }

  last_use_.assign(description_.layers.size(), description_.layers.size());
  for (size_t i = 0; i < description_.layers.size(); ++i) {
    for (int input : description_.layers[i].inputs) {
      if (input != plan::kNetworkInput) last_use_[static_cast<size_t>(input)] = i;
    }
  }
  overwrites_input_ = plan::OverwritesInput(description_);
  FindNormTails();
  has_dropout_ = std::any_of(description_.layers.begin(), description_.layers.end(),
                             [](const plan::Layer& layer) {
                               return std::holds_alternative<plan::Dropout>(layer.op) ||
                                      std::holds_alternative<plan::DropPath>(layer.op);
                             });
}

// A norm, an addition of something that is there by then, a ReLU: each the only one that reads the
// one before.
void Network::FindNormTails() {
  const size_t count = description_.layers.size();
  std::vector<std::vector<size_t>> readers(count);
  for (size_t i = 0; i < count; ++i) {
    for (const int input : description_.layers[i].inputs) {
      if (input != plan::kNetworkInput) readers[static_cast<size_t>(input)].push_back(i);
    }
  }
  norm_tails_.assign(count, {});
  done_by_.assign(count, -1);
  for (size_t i = 0; i < count; ++i) {
    if (!std::holds_alternative<plan::BatchNorm>(description_.layers[i].op) || IsFrozen(i))
      continue;
    size_t last = i;
    const auto next = [&]() -> const plan::Layer* {
      return readers[last].size() == 1 ? &description_.layers[readers[last][0]] : nullptr;
    };
    const plan::Layer* layer = next();
    if (layer != nullptr && std::holds_alternative<plan::Add>(layer->op)) {
      const int own = static_cast<int>(i);
      const int other = layer->inputs[0] == own ? layer->inputs[1] : layer->inputs[0];
      if (other >= own || other == plan::kNetworkInput) continue;
      norm_tails_[i].added = other;
      last = readers[last][0];
      done_by_[last] = own;
      layer = next();
    }
    const auto* activation = layer == nullptr ? nullptr : std::get_if<plan::Activation>(&layer->op);
    if (activation != nullptr && activation->kind == plan::Activation::Kind::kRelu) {
      norm_tails_[i].relu = true;
      done_by_[readers[last][0]] = static_cast<int>(last);
    }
  }
}

void Network::Initialize(uint64_t seed) {
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < specs_.size(); ++i) {
    at::Tensor& tensor = states_[i].tensor;
    switch (specs_[i].init) {
      case plan::TensorInit::kZeros:
        tensor.zero_();
        break;
      case plan::TensorInit::kOnes:
        tensor.fill_(1);
        break;
      case plan::TensorInit::kOffsets:
        break;  // as they were made
      case plan::TensorInit::kNormal:
      case plan::TensorInit::kUniform:
        Draw(specs_[i], plan::InitStream(seed, static_cast<int32_t>(i)), tensor);
        break;
    }
  }
}

std::vector<at::Tensor> Network::Parameters() const {
  std::vector<at::Tensor> parameters;
  for (const State& state : states_) {
    if (state.is_trained) parameters.push_back(state.tensor);
  }
  return parameters;
}

void Network::Swap(std::vector<at::Tensor>& tensors) {
  for (size_t i = 0; i < states_.size(); ++i) {
    if (!tensors[i].defined()) continue;
    std::swap(states_[i].tensor, tensors[i]);
    layers_[static_cast<size_t>(specs_[i].layer)][specs_[i].kind] = states_[i].tensor;
  }
}

at::Tensor Network::Forward(const at::Tensor& images, Mode mode, const plan::RankStepKey& key,
                            const BatchPart& part) {
  at::AutoGradMode grad_mode(mode != Mode::kEvaluate && at::GradMode::is_enabled());
  const at::Tensor input = images.contiguous(options_.channels_last ? at::MemoryFormat::ChannelsLast
                                                                    : at::MemoryFormat::Contiguous);
  const bool fuses = mode != Mode::kEvaluate && input.device().is_cpu() &&
                     input.scalar_type() == at::kFloat && input.dim() == 4 &&
                     !at::autocast::is_autocast_enabled(at::DeviceType::CPU);
  const Pass pass = {.images = input, .mode = mode, .key = key, .part = part, .fuses = fuses};
  std::vector<at::Tensor> values(description_.layers.size());
  for (size_t i = 0; i < description_.layers.size(); ++i) {
    values[i] = Compute(i, values, pass);
    for (int read : description_.layers[i].inputs) {
      if (read != plan::kNetworkInput && last_use_[static_cast<size_t>(read)] == i) {
        values[static_cast<size_t>(read)].reset();
      }
    }
  }
  return values.back();
}

at::Tensor Network::Compute(size_t layer, const std::vector<at::Tensor>& values, const Pass& pass) {
  using Kind = plan::TensorKind;
  const plan::Layer& what = description_.layers[layer];
  LayerTensors& own = layers_[layer];
  const auto input = [&](size_t i) -> const at::Tensor& {
    return what.inputs[i] == plan::kNetworkInput ? pass.images
                                                 : values[static_cast<size_t>(what.inputs[i])];
  };
  if (pass.fuses && done_by_[layer] >= 0) return values[static_cast<size_t>(done_by_[layer])];
  const at::Tensor& x = input(0);
  const bool training = pass.mode != Mode::kEvaluate;
  // `x` with all but `shape` of its numbers left out together.
  const auto drop = [&](double probability, std::vector<int64_t> shape) {
    if (!training) return x;
    const int64_t count = shape[0];
    if (pass.part.batch_size > 0) shape[0] = pass.part.batch_size;
    const at::Tensor mask = DrawMask(
        probability, plan::DropStream(pass.key, static_cast<int32_t>(layer)), shape, x.options());
    return x * mask.narrow(0, pass.part.first, count);
  };
  const auto projections = [&] {
    return Projections{.qkv_weight = own[Kind::kQueryKeyValueWeight],
                       .qkv_bias = own[Kind::kQueryKeyValueBias],
                       .proj_weight = own[Kind::kProjectionWeight],
                       .proj_bias = own[Kind::kProjectionBias]};
  };
  return std::visit(
      Overload{
          [&](const plan::Conv2d& op) {
            return at::conv2d(x, own[Kind::kWeight], own[Kind::kBias], {op.stride, op.stride},
                              {op.padding, op.padding}, {1, 1}, op.groups);
          },
          [&](const plan::BatchNorm& op) {
            const bool of_batch = training && !IsFrozen(layer);
            // The variance of a single number is none: it must not get into the running one.
            const bool updates = of_batch && pass.mode == Mode::kTrain && x.numel() > op.channels;
            const bool running = !of_batch || updates;
            if (updates) own[Kind::kBatchCounter].add_(1);
            if (pass.fuses && of_batch) {
              const NormTail& tail = norm_tails_[layer];
              const FusedNorm norm = {
                  .weight = own[Kind::kNormWeight],
                  .bias = own[Kind::kNormBias],
                  .running_mean = updates ? own[Kind::kRunningMean] : at::Tensor(),
                  .running_var = updates ? own[Kind::kRunningVar] : at::Tensor(),
                  .momentum = op.momentum,
                  .epsilon = op.epsilon,
                  .added = tail.added < 0 ? at::Tensor() : values[static_cast<size_t>(tail.added)],
                  .relu = tail.relu};
              return norm.Apply(x);
            }
            return at::batch_norm(x, own[Kind::kNormWeight], own[Kind::kNormBias],
                                  running ? own[Kind::kRunningMean] : at::Tensor(),
                                  running ? own[Kind::kRunningVar] : at::Tensor(), of_batch,
                                  op.momentum, op.epsilon, /*cudnn_enabled=*/true);
          },
          [&](const plan::LayerNorm& op) {
            return at::layer_norm(x, {op.channels}, own[Kind::kNormWeight], own[Kind::kNormBias],
                                  op.epsilon);
          },
          [&](const plan::Activation& op) {
            return Activate(x, op.kind, overwrites_input_[layer]);
          },
          [&](const plan::MaxPool2d& op) {
            return at::max_pool2d(x, {op.kernel, op.kernel}, {op.stride, op.stride},
                                  {op.padding, op.padding});
          },
          [&](const plan::AdaptiveAvgPool2d& op) {
            return at::adaptive_avg_pool2d(x, {op.height, op.width});
          },
          [&](const plan::GlobalAvgPool&) {
            return at::flatten(at::adaptive_avg_pool2d(x, {1, 1}), 1);
          },
          [&](const plan::GridAvgPool&) {
            return at::mean(x, {1, 2});
          },
          [&](const plan::Flatten&) { return at::flatten(x, 1); },
          [&](const plan::Linear&) { return at::linear(x, own[Kind::kWeight], own[Kind::kBias]); },
          [&](const plan::Add&) { return at::add(x, input(1)); },
          [&](const plan::ScaleChannels&) { return at::mul(x, input(1)); },
          [&](const plan::Dropout& op) { return drop(op.probability, x.sizes().vec()); },
          [&](const plan::DropPath& op) {
            std::vector<int64_t> shape(static_cast<size_t>(x.dim()), 1);
            shape[0] = x.size(0);
            return drop(op.probability, std::move(shape));
          },
          [&](const plan::ToGrid&) {
            return x.permute({0, 2, 3, 1}).contiguous();
          },
          [&](const plan::EmbedTokens& op) {
            return EmbedTokens(x, op, own[Kind::kClassToken], own[Kind::kPositions]);
          },
          [&](const plan::ClassToken&) { return x.select(1, 0); },
          [&](const plan::SelfAttention& op) { return SelfAttention(x, op, projections()); },
          [&](const plan::WindowAttention& op) {
            return WindowAttention(x, op, own[Kind::kOffsetBias], own[Kind::kOffsetIndex],
                                   projections());
          },
          [&](const plan::MergePatches&) { return MergePatches(x); },
      },
      what.op);
}

}  // namespace cvtrain::trainer
