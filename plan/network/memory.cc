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
    return kind == Activation::Kind::kRelu || kind == Activation::Kind::kSigmoid;
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

// Layers whose output depends on something that is trained.
std::vector<bool> HasGradient(const NetworkDescription& network, const std::vector<bool>& frozen,
                              bool input_has_gradient) {
  const bool all = frozen.empty() || input_has_gradient;
  std::vector<bool> has_gradient(network.layers.size(), all);
  if (all) return has_gradient;
  for (const TensorSpec& spec : StateTensors(network)) {
    const auto layer = static_cast<size_t>(spec.layer);
    if (spec.IsParameter() && !frozen[layer]) has_gradient[layer] = true;
  }
  for (size_t i = 0; i < network.layers.size(); ++i) {
    for (int input : network.layers[i].inputs) {
      if (input != kNetworkInput && has_gradient[static_cast<size_t>(input)]) {
        has_gradient[i] = true;
      }
    }
  }
  return has_gradient;
}

int64_t TrainedBytes(const NetworkDescription& network, const std::vector<bool>& frozen) {
  if (frozen.empty()) return ParameterBytes(network);
  int64_t bytes = 0;
  for (const TensorSpec& spec : StateTensors(network)) {
    if (spec.IsParameter() && !frozen[static_cast<size_t>(spec.layer)]) {
      bytes += spec.ElementCount() * kFloatBytes;
    }
  }
  return bytes;
}

// What the backward pass of one layer needs beside gradients and what was kept.
struct Scratch {
  int64_t image_bytes = 0;   // for each image
  int64_t weight_bytes = 0;  // whatever the batch is
};

struct ScratchRule {
  const Shape& in;
  const Shape& out;
  bool is_trained;

  static int64_t Bytes(int64_t numbers) { return numbers * kFloatBytes; }

  // The library wants channels in blocks: it makes copies of image, gradient and weight in its own
  // order. The gradient of the weight is made before it is added to the others.
  Scratch operator()(const Conv2d& conv) const {
    const int64_t weight =
        conv.out_channels * conv.in_channels / conv.groups * conv.kernel * conv.kernel;
    return {.image_bytes = Bytes(in.ElementCount() + out.ElementCount()),
            .weight_bytes = is_trained ? Bytes(2 * weight) : Bytes(weight)};
  }
  Scratch operator()(const Linear& linear) const {
    return {.weight_bytes = is_trained ? Bytes(linear.in_features * linear.out_features) : 0};
  }
  // Gradients of queries, keys and values.
  Scratch operator()(const SelfAttention&) const {
    return {.image_bytes = Bytes(4 * out.ElementCount())};
  }
  Scratch operator()(const WindowAttention&) const {
    return {.image_bytes = Bytes(4 * out.ElementCount())};
  }
  template <typename Other>
  Scratch operator()(const Other&) const {
    return {};
  }
};

// Follows a step layer by layer: outputs come and go, some are kept, then gradients come and go and
// what was kept goes.
class LivePass {
 public:
  LivePass(const NetworkDescription& network, ImageSize size, const std::vector<Shape>& shapes,
           const std::vector<bool>& frozen, bool input_has_gradient)
      : network_(network),
        shapes_(shapes),
        has_gradient_(HasGradient(network, frozen, input_has_gradient)),
        overwrites_(OverwritesInput(network)),
        image_{.channels = network.input_channels, .height = size.height, .width = size.width} {
    Keep();
  }

  // All that the forward pass leaves, for one image.
  int64_t kept_bytes() const { return kept_bytes_; }

  // The most that outputs and what is kept take at a time, while the forward pass runs.
  int64_t ForwardPeakBytes() const {
    std::vector<size_t> last_reader(shapes_.size(), 0);
    for (size_t i = 0; i < shapes_.size(); ++i) {
      for (int input : network_.layers[i].inputs) {
        if (input != kNetworkInput) last_reader[static_cast<size_t>(input)] = i;
      }
    }
    // The pictures stay to the end.
    int64_t now = image_.ElementCount() * kFloatBytes;
    int64_t peak = now;
    for (size_t i = 0; i < shapes_.size(); ++i) {
      const int64_t bytes = shapes_[i].ElementCount() * kFloatBytes;
      now += own_bytes_[i] + (overwrites_[i] ? 0 : bytes);
      peak = std::max(peak, now);
      for (int input : network_.layers[i].inputs) {
        if (input == kNetworkInput || overwrites_[i]) continue;
        const auto read = static_cast<size_t>(input);
        if (last_reader[read] == i && keeper_[read] == kNobody) {
          now -= shapes_[read].ElementCount() * kFloatBytes;
        }
      }
    }
    return peak;
  }

  // The most that kept tensors, gradients and scratch take at a time.
  int64_t BackwardPeakBytes(int64_t batch_size, const std::vector<bool>& frozen) const {
    int64_t kept = kept_bytes_;
    std::vector<int64_t> gradients(shapes_.size(), 0);  // bytes of an image, of those that exist
    int64_t gradient_bytes = shapes_.back().ElementCount() * kFloatBytes;
    gradients.back() = gradient_bytes;
    int64_t peak = batch_size * (kept + gradient_bytes);
    for (size_t i = shapes_.size(); i-- > 0;) {
      if (!has_gradient_[i]) continue;
      const Layer& layer = network_.layers[i];
      // A sum hands its own gradient on: it lives until the earlier of its inputs has had it.
      const bool is_sum = std::holds_alternative<Add>(layer.op);
      const int earliest = *std::min_element(layer.inputs.begin(), layer.inputs.end());
      for (int input : layer.inputs) {
        if (input == kNetworkInput || !has_gradient_[static_cast<size_t>(input)]) continue;
        const int64_t bytes = shapes_[static_cast<size_t>(input)].ElementCount() * kFloatBytes;
        int64_t& gradient = gradients[static_cast<size_t>(input)];
        if (gradient > 0 || (is_sum && input != earliest)) continue;
        gradient = bytes;
        if (!is_sum) gradient_bytes += bytes;
      }
      const bool is_trained = frozen.empty() || !frozen[i];
      const int first = layer.inputs[0];
      const Shape& in = first == kNetworkInput ? image_ : shapes_[static_cast<size_t>(first)];
      const Scratch scratch = std::visit(ScratchRule{in, shapes_[i], is_trained}, layer.op);
      peak = std::max(
          peak, batch_size * (kept + gradient_bytes + scratch.image_bytes) + scratch.weight_bytes);
      if (!is_sum) gradient_bytes -= gradients[i];
      kept -= freed_after_[i];
    }
    return peak;
  }

 private:
  void Keep() {
    freed_after_.assign(shapes_.size(), 0);
    own_bytes_.assign(shapes_.size(), 0);
    keeper_.assign(shapes_.size(), kNobody);
    size_t image_keeper = kNobody;
    for (size_t i = 0; i < shapes_.size(); ++i) {
      if (!has_gradient_[i]) continue;
      const Layer& layer = network_.layers[i];
      const Kept kept = std::visit(KeptRule{shapes_[i]}, layer.op);
      own_bytes_[i] = kept.bytes;
      Hold(i, kept.bytes);
      if (kept.output) keeper_[i] = std::min(keeper_[i], i);
      if (!kept.inputs) continue;
      for (int input : layer.inputs) {
        size_t& of = input == kNetworkInput ? image_keeper : keeper_[static_cast<size_t>(input)];
        of = std::min(of, i);
      }
    }
    for (size_t i = 0; i < shapes_.size(); ++i) {
      // What is overwritten is the same memory as the output of the layer that does.
      if (overwrites_[i]) keeper_[static_cast<size_t>(network_.layers[i].inputs[0])] = kNobody;
    }
    if (image_keeper != kNobody) Hold(image_keeper, image_.ElementCount() * kFloatBytes);
    for (size_t i = 0; i < shapes_.size(); ++i) {
      if (keeper_[i] != kNobody) Hold(keeper_[i], shapes_[i].ElementCount() * kFloatBytes);
    }
  }

  void Hold(size_t layer, int64_t bytes) {
    kept_bytes_ += bytes;
    freed_after_[layer] += bytes;
  }

  static constexpr size_t kNobody = static_cast<size_t>(-1);

  const NetworkDescription& network_;
  const std::vector<Shape>& shapes_;
  const std::vector<bool> has_gradient_;
  const std::vector<bool> overwrites_;
  const Shape image_;
  int64_t kept_bytes_ = 0;
  // By layer; bytes are those of one image.
  std::vector<int64_t> own_bytes_;  // kept beside inputs and outputs
  std::vector<size_t> keeper_;  // the first layer that keeps its output: its backward pass is last
  std::vector<int64_t> freed_after_;  // by its backward pass
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
               activation->kind == Activation::Kind::kRelu;
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

absl::StatusOr<int64_t> ActivationBytes(const NetworkDescription& network, ImageSize size,
                                        const std::vector<bool>& frozen) {
  CVT_ASSIGN_OR_RETURN(const std::vector<Shape> shapes, InferShapes(network, size));
  return LivePass(network, size, shapes, frozen, /*input_has_gradient=*/false).kept_bytes();
}

absl::StatusOr<int64_t> PeakMemoryBytes(const NetworkDescription& network,
                                        const MemoryOptions& options) {
  CVT_ASSIGN_OR_RETURN(const std::vector<Shape> shapes, InferShapes(network, options.size));
  const LivePass pass(network, options.size, shapes, options.frozen, options.input_has_gradient);
  const int64_t parameters = ParameterBytes(network);
  const int64_t state = parameters + BufferBytes(network);
  // The gradient, beside what the optimizer keeps.
  const int64_t copies = 1 + options.optimizer_state_per_parameter;
  int64_t live = std::max(options.batch_size * pass.ForwardPeakBytes(),
                          pass.BackwardPeakBytes(options.batch_size, options.frozen));
  // Numbers of half the size, and copies of the weights in them.
  if (options.half_precision) live = (live + parameters) / 2;
  // As they come, and as the network wants them.
  if (options.whole_batch_size > options.batch_size) {
    live += 2 * options.whole_batch_size * network.input_channels * options.size.height *
            options.size.width * kFloatBytes;
  }
  return kProcessBytes + (options.averaged ? 2 : 1) * state +
         copies * TrainedBytes(network, options.frozen) + live;
}

}  // namespace cvtrain::plan
