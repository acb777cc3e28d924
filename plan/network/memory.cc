#include "plan/network/memory.h"

#include <algorithm>
#include <variant>

#include "common/status_macros.h"
#include "plan/network/parameters.h"

namespace cvtrain::plan {
namespace {

constexpr int64_t kFloatBytes = sizeof(float);
constexpr int64_t kIndexBytes = sizeof(int64_t);

// What one layer keeps of a picture for its backward pass.
struct Kept {
  bool inputs = false;
  bool output = false;
  // Beside them.
  int64_t bytes = 0;
};

struct KeptRule {
  const Shape& out;

  // The gradient follows from the output: those that may be computed in place.
  static bool NeedsOutput(Activation::Kind kind) {
    return kind == Activation::Kind::kRelu || kind == Activation::Kind::kRelu6 ||
           kind == Activation::Kind::kSigmoid;
  }

  Kept operator()(const Conv2d&) const { return {.inputs = true}; }
  Kept operator()(const BatchNorm&) const { return {.inputs = true}; }
  Kept operator()(const LayerNorm&) const {
    // Mean and deviation of each place.
    return {.inputs = true, .bytes = 2 * out.Places() * kFloatBytes};
  }
  Kept operator()(const Activation& activation) const {
    const bool output = NeedsOutput(activation.kind);
    return {.inputs = !output, .output = output};
  }
  Kept operator()(const MaxPool2d&) const {
    return {.inputs = true, .bytes = out.ElementCount() * kIndexBytes};
  }
  Kept operator()(const Linear&) const { return {.inputs = true}; }
  Kept operator()(const ScaleChannels&) const { return {.inputs = true}; }
  Kept operator()(const Dropout& dropout) const {
    return {.bytes = dropout.probability > 0 ? out.ElementCount() * kFloatBytes : 0};
  }
  Kept operator()(const SelfAttention& attention) const {
    // The input; queries, keys and values; what they give, once more in order; a sum for each head.
    const int64_t numbers = 5 * out.ElementCount() + attention.heads * out.Places();
    return {.inputs = true, .bytes = numbers * kFloatBytes};
  }
  Kept operator()(const WindowAttention& attention) const {
    // By windows: the input, queries, keys, values and what they give, and the weights of each
    // pair.
    const int64_t side = attention.window;
    const int64_t places =
        (out.height + side - 1) / side * side * ((out.width + side - 1) / side * side);
    const int64_t numbers = 5 * places * out.channels + attention.heads * places * side * side;
    return {.bytes = numbers * kFloatBytes};
  }
  // Sums, means and moves.
  template <typename Other>
  Kept operator()(const Other&) const {
    return {};
  }
};

}  // namespace

std::vector<bool> OverwritesInput(const NetworkDescription& network) {
  std::vector<int> readers(network.layers.size(), 0);
  for (const Layer& layer : network.layers) {
    for (int input : layer.inputs) {
      if (input != kNetworkInput) ++readers[static_cast<size_t>(input)];
    }
  }
  std::vector<bool> overwrites;
  for (const Layer& layer : network.layers) {
    const auto* activation = std::get_if<Activation>(&layer.op);
    bool may = activation != nullptr && layer.inputs[0] != kNetworkInput &&
               (activation->kind == Activation::Kind::kRelu ||
                activation->kind == Activation::Kind::kRelu6);
    if (may) {
      // Neither norms nor sums keep their output for the backward pass.
      const auto input = static_cast<size_t>(layer.inputs[0]);
      const LayerOp& op = network.layers[input].op;
      may = readers[input] == 1 &&
            (std::holds_alternative<BatchNorm>(op) || std::holds_alternative<Add>(op));
    }
    overwrites.push_back(may);
  }
  return overwrites;
}

absl::StatusOr<int64_t> ActivationBytes(const NetworkDescription& network, ImageSize size) {
  CVT_ASSIGN_OR_RETURN(const std::vector<Shape> shapes, InferShapes(network, size));
  const std::vector<bool> overwrites = OverwritesInput(network);
  bool image_is_kept = false;
  std::vector<bool> is_kept(shapes.size(), false);
  int64_t bytes = 0;
  for (size_t i = 0; i < shapes.size(); ++i) {
    const Layer& layer = network.layers[i];
    const Kept kept = std::visit(KeptRule{shapes[i]}, layer.op);
    bytes += kept.bytes;
    if (kept.output) is_kept[i] = true;
    if (!kept.inputs) continue;
    for (int input : layer.inputs) {
      if (input == kNetworkInput) {
        image_is_kept = true;
      } else {
        is_kept[static_cast<size_t>(input)] = true;
      }
    }
  }
  if (image_is_kept) bytes += network.input_channels * size.height * size.width * kFloatBytes;
  for (size_t i = 0; i < shapes.size(); ++i) {
    // What is overwritten is the same memory as the output of the layer that does.
    if (overwrites[i]) is_kept[static_cast<size_t>(network.layers[i].inputs[0])] = false;
  }
  for (size_t i = 0; i < shapes.size(); ++i) {
    if (is_kept[i]) bytes += shapes[i].ElementCount() * kFloatBytes;
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
