#include "worker/trainer/model/network.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <utility>
#include <variant>

#include "common/random.h"
#include "plan/curriculum/keys.h"

namespace cvtrain::trainer {
namespace {

constexpr double kBatchNormMomentum = 0.1;
constexpr double kBatchNormEpsilon = 1e-5;

template <typename... Fs>
struct Overload : Fs... {
  using Fs::operator()...;
};
template <typename... Fs>
Overload(Fs...) -> Overload<Fs...>;

at::Tensor NewTensor(const plan::TensorSpec& spec, bool channels_last) {
  const auto dtype =
      spec.kind == plan::TensorKind::kBatchCounter ? at::ScalarType::Long : at::ScalarType::Float;
  const auto format = channels_last && spec.shape.size() == 4 ? at::MemoryFormat::ChannelsLast
                                                              : at::MemoryFormat::Contiguous;
  return at::zeros(spec.shape, at::TensorOptions(dtype)).contiguous(format);
}

// Draws in the logical order of the tensor, whatever its memory format is.
void Draw(const plan::TensorSpec& spec, KeyedStream stream, at::Tensor& tensor) {
  at::Tensor values = at::empty(spec.shape, at::TensorOptions(at::ScalarType::Float));
  float* out = values.data_ptr<float>();
  const int64_t count = values.numel();
  if (spec.init == plan::TensorInit::kKaimingNormalFanOut) {
    const double deviation = std::sqrt(2.0 / static_cast<double>(spec.fan));
    for (int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(stream.Normal() * deviation);
  } else {
    const double bound = 1.0 / std::sqrt(static_cast<double>(spec.fan));
    for (int64_t i = 0; i < count; ++i) {
      out[i] = static_cast<float>(stream.Uniform(-bound, bound));
    }
  }
  tensor.copy_(values);
}

}  // namespace

Network::Network(plan::NetworkDescription description, const Options& options)
    : description_(std::move(description)), options_(options) {
  specs_ = plan::StateTensors(description_);
  layers_.resize(description_.layers.size());
  for (const plan::TensorSpec& spec : specs_) {
    at::Tensor tensor = NewTensor(spec, options_.channels_last);
    if (spec.IsParameter()) tensor.set_requires_grad(true);
    LayerTensors& layer = layers_[static_cast<size_t>(spec.layer)];
    switch (spec.kind) {
      case plan::TensorKind::kWeight:
      case plan::TensorKind::kNormWeight:
        layer.weight = tensor;
        break;
      case plan::TensorKind::kBias:
      case plan::TensorKind::kNormBias:
        layer.bias = tensor;
        break;
      case plan::TensorKind::kRunningMean:
        layer.running_mean = tensor;
        break;
      case plan::TensorKind::kRunningVar:
        layer.running_var = tensor;
        break;
      case plan::TensorKind::kBatchCounter:
        layer.batch_counter = tensor;
        break;
    }
    states_.push_back({spec.name, std::move(tensor), spec.IsParameter()});
  }

  std::vector<int> readers(description_.layers.size(), 0);
  last_use_.assign(description_.layers.size(), description_.layers.size());
  for (size_t i = 0; i < description_.layers.size(); ++i) {
    for (int input : description_.layers[i].inputs) {
      if (input == plan::kNetworkInput) continue;
      last_use_[static_cast<size_t>(input)] = i;
      ++readers[static_cast<size_t>(input)];
    }
  }
  // Neither norms nor sums keep their output for the backward pass, so a ReLU that is their only
  // reader may work in place, which saves the memory of one activation.
  for (const plan::Layer& layer : description_.layers) {
    bool may = false;
    if (std::holds_alternative<plan::Relu>(layer.op) && layer.inputs[0] != plan::kNetworkInput) {
      const auto input = static_cast<size_t>(layer.inputs[0]);
      const plan::LayerOp& op = description_.layers[input].op;
      may = readers[input] == 1 && (std::holds_alternative<plan::BatchNorm2d>(op) ||
                                    std::holds_alternative<plan::Add>(op));
    }
    may_overwrite_input_.push_back(may);
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
      case plan::TensorInit::kKaimingNormalFanOut:
      case plan::TensorInit::kUniformFanIn:
        Draw(specs_[i], plan::InitStream(seed, static_cast<int32_t>(i)), tensor);
        break;
    }
  }
}

std::vector<at::Tensor> Network::Parameters() const {
  std::vector<at::Tensor> parameters;
  for (const State& state : states_) {
    if (state.is_parameter) parameters.push_back(state.tensor);
  }
  return parameters;
}

at::Tensor Network::Forward(const at::Tensor& images, Mode mode) {
  at::AutoGradMode grad_mode(mode != Mode::kEvaluate && at::GradMode::is_enabled());
  const at::Tensor input = images.contiguous(options_.channels_last ? at::MemoryFormat::ChannelsLast
                                                                    : at::MemoryFormat::Contiguous);
  std::vector<at::Tensor> values(description_.layers.size());
  for (size_t i = 0; i < description_.layers.size(); ++i) {
    values[i] = Compute(i, values, input, mode);
    for (int read : description_.layers[i].inputs) {
      if (read != plan::kNetworkInput && last_use_[static_cast<size_t>(read)] == i) {
        values[static_cast<size_t>(read)].reset();
      }
    }
  }
  return values.back();
}

at::Tensor Network::Compute(size_t layer, const std::vector<at::Tensor>& values,
                            const at::Tensor& images, Mode mode) {
  const plan::Layer& what = description_.layers[layer];
  LayerTensors& own = layers_[layer];
  const auto input = [&](size_t i) -> const at::Tensor& {
    return what.inputs[i] == plan::kNetworkInput ? images
                                                 : values[static_cast<size_t>(what.inputs[i])];
  };
  return std::visit(
      Overload{
          [&](const plan::Conv2d& op) {
            return at::conv2d(input(0), own.weight, own.bias, {op.stride, op.stride},
                              {op.padding, op.padding}, {1, 1}, op.groups);
          },
          [&](const plan::BatchNorm2d&) {
            const bool update = mode == Mode::kTrain;
            const bool running = mode != Mode::kTrainFrozenBuffers;
            if (update) own.batch_counter.add_(1);
            return at::batch_norm(input(0), own.weight, own.bias,
                                  running ? own.running_mean : at::Tensor(),
                                  running ? own.running_var : at::Tensor(), mode != Mode::kEvaluate,
                                  kBatchNormMomentum, kBatchNormEpsilon,
                                  /*cudnn_enabled=*/true);
          },
          [&](const plan::Relu&) {
            if (!may_overwrite_input_[layer]) return at::relu(input(0));
            at::Tensor x = input(0);
            return at::relu_(x);
          },
          [&](const plan::MaxPool2d& op) {
            return at::max_pool2d(input(0), {op.kernel, op.kernel}, {op.stride, op.stride},
                                  {op.padding, op.padding});
          },
          [&](const plan::GlobalAvgPool&) {
            return at::flatten(at::adaptive_avg_pool2d(input(0), {1, 1}), 1);
          },
          [&](const plan::Linear&) { return at::linear(input(0), own.weight, own.bias); },
          [&](const plan::Add&) { return at::add(input(0), input(1)); },
      },
      what.op);
}

}  // namespace cvtrain::trainer
