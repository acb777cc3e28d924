#include "plan/network/cost.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "plan/network/parameters.h"

namespace cvtrain::plan {
namespace {

constexpr int64_t kFloatBytes = sizeof(float);
constexpr int64_t kPoolIndexBytes = sizeof(int64_t);

absl::Status Mismatch(const Layer& layer) {
  return Internal(Reason::kInternal, absl::StrCat("layer ", layer.name, " does not fit its input"));
}

// The side after a window of `kernel` moved by `stride` over `side` pixels.
int64_t WindowedSide(int64_t side, int64_t kernel, int64_t stride, int64_t padding) {
  const int64_t room = side + 2 * padding - kernel;
  return room < 0 ? 0 : room / stride + 1;
}

// The output of one layer, given those of its inputs.
struct ShapeRule {
  const Layer& layer;
  const std::vector<Shape>& inputs;

  absl::StatusOr<Shape> operator()(const Conv2d& conv) const {
    const Shape& in = inputs[0];
    if (in.channels != conv.in_channels) return Mismatch(layer);
    return Shape{conv.out_channels, WindowedSide(in.height, conv.kernel, conv.stride, conv.padding),
                 WindowedSide(in.width, conv.kernel, conv.stride, conv.padding)};
  }
  absl::StatusOr<Shape> operator()(const BatchNorm2d& norm) const {
    if (inputs[0].channels != norm.channels) return Mismatch(layer);
    return inputs[0];
  }
  absl::StatusOr<Shape> operator()(const Relu&) const { return inputs[0]; }
  absl::StatusOr<Shape> operator()(const MaxPool2d& pool) const {
    const Shape& in = inputs[0];
    return Shape{in.channels, WindowedSide(in.height, pool.kernel, pool.stride, pool.padding),
                 WindowedSide(in.width, pool.kernel, pool.stride, pool.padding)};
  }
  absl::StatusOr<Shape> operator()(const GlobalAvgPool&) const {
    return Shape{inputs[0].channels, 1, 1};
  }
  absl::StatusOr<Shape> operator()(const Linear& linear) const {
    if (inputs[0].ElementCount() != linear.in_features) return Mismatch(layer);
    return Shape{linear.out_features, 1, 1};
  }
  absl::StatusOr<Shape> operator()(const Add&) const {
    if (inputs.size() != 2 || !(inputs[0] == inputs[1])) return Mismatch(layer);
    return inputs[0];
  }
};

double MultiplyAdds(const Layer& layer, const Shape& out) {
  if (const auto* conv = std::get_if<Conv2d>(&layer.op)) {
    const auto per_output =
        static_cast<double>(conv->in_channels / conv->groups * conv->kernel * conv->kernel);
    return static_cast<double>(out.ElementCount()) * per_output;
  }
  if (const auto* linear = std::get_if<Linear>(&layer.op)) {
    return static_cast<double>(linear->in_features) * static_cast<double>(linear->out_features);
  }
  return 0;
}

// Biases add once for each number that is put out.
double BiasAdds(const Layer& layer, const Shape& out) {
  const auto* conv = std::get_if<Conv2d>(&layer.op);
  const bool has_bias = std::holds_alternative<Linear>(layer.op) || (conv != nullptr && conv->bias);
  return has_bias ? static_cast<double>(out.ElementCount()) : 0;
}

// What stays in memory of a layer's output until the backward pass.
int64_t KeptBytes(const Layer& layer, const Shape& out) {
  if (std::holds_alternative<BatchNorm2d>(layer.op) || std::holds_alternative<Add>(layer.op)) {
    return 0;
  }
  const bool is_pool = std::holds_alternative<MaxPool2d>(layer.op);
  return out.ElementCount() * (kFloatBytes + (is_pool ? kPoolIndexBytes : 0));
}

}  // namespace

absl::StatusOr<std::vector<Shape>> InferShapes(const NetworkDescription& network, ImageSize size) {
  const Shape image{network.input_channels, size.height, size.width};
  std::vector<Shape> shapes;
  shapes.reserve(network.layers.size());
  for (const Layer& layer : network.layers) {
    std::vector<Shape> inputs;
    for (int input : layer.inputs) {
      if (input < kNetworkInput || input >= static_cast<int>(shapes.size())) {
        return Mismatch(layer);
      }
      inputs.push_back(input == kNetworkInput ? image : shapes[static_cast<size_t>(input)]);
    }
    if (inputs.empty()) return Mismatch(layer);
    CVT_ASSIGN_OR_RETURN(const Shape out, std::visit(ShapeRule{layer, inputs}, layer.op));
    if (out.ElementCount() <= 0) {
      return InvalidArgument(
          Reason::kRecipeInvalid,
          absl::StrCat("recipe.model: images of ", size.height, "x", size.width,
                       " pixels are too small: nothing is left after layer ", layer.name));
    }
    shapes.push_back(out);
  }
  return shapes;
}

absl::StatusOr<double> ForwardFlops(const NetworkDescription& network, ImageSize size) {
  CVT_ASSIGN_OR_RETURN(const std::vector<Shape> shapes, InferShapes(network, size));
  double flops = 0;
  for (size_t i = 0; i < shapes.size(); ++i) {
    const Layer& layer = network.layers[i];
    flops += 2 * MultiplyAdds(layer, shapes[i]) + BiasAdds(layer, shapes[i]);
  }
  return flops;
}

absl::StatusOr<int64_t> ActivationBytes(const NetworkDescription& network, ImageSize size) {
  CVT_ASSIGN_OR_RETURN(const std::vector<Shape> shapes, InferShapes(network, size));
  int64_t bytes = network.input_channels * size.height * size.width * kFloatBytes;
  for (size_t i = 0; i < shapes.size(); ++i) {
    bytes += KeptBytes(network.layers[i], shapes[i]);
  }
  return bytes;
}

absl::StatusOr<int64_t> PeakMemoryBytes(const NetworkDescription& network,
                                        const MemoryOptions& options) {
  CVT_ASSIGN_OR_RETURN(const std::vector<Shape> shapes, InferShapes(network, options.size));
  CVT_ASSIGN_OR_RETURN(const int64_t activations, ActivationBytes(network, options.size));
  int64_t largest = 0;
  for (const Shape& shape : shapes) {
    largest = std::max(largest, shape.ElementCount());
  }
  // Value and gradient, beside what the optimizer keeps.
  const int64_t copies = 2 + options.optimizer_state_per_parameter;
  return kProcessBytes + copies * ParameterBytes(network) + BufferBytes(network) +
         options.batch_size * (activations + 2 * largest * kFloatBytes);
}

}  // namespace cvtrain::plan
