#include "plan/network/shapes.h"

#include <variant>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/status_macros.h"

namespace cvtrain::plan {
namespace {

using Layout = Shape::Layout;

absl::Status Mismatch(const Layer& layer) {
  return Internal(Reason::kInternal, absl::StrCat("layer ", layer.name, " does not fit its input"));
}

// The side after a window of `kernel` moved by `stride` over `side` pixels.
int64_t WindowedSide(int64_t side, int64_t kernel, int64_t stride, int64_t padding) {
  const int64_t room = side + 2 * padding - kernel;
  return room < 0 ? 0 : room / stride + 1;
}

bool IsSequence(const Shape& shape) {
  return shape.layout == Layout::kGrid || shape.layout == Layout::kTokens;
}

// The output of one layer, given those of its inputs.
struct ShapeRule {
  const Layer& layer;
  const std::vector<Shape>& inputs;

  const Shape& in() const { return inputs[0]; }

  // The input's shape, if that is what the layer works on.
  absl::StatusOr<Shape> Same(bool fits) const {
    if (!fits) return Mismatch(layer);
    return in();
  }

  absl::StatusOr<Shape> operator()(const Conv2d& conv) const {
    if (in().layout != Layout::kImages || in().channels != conv.in_channels) return Mismatch(layer);
    return Shape{conv.out_channels,
                 WindowedSide(in().height, conv.kernel, conv.stride, conv.padding),
                 WindowedSide(in().width, conv.kernel, conv.stride, conv.padding)};
  }
  absl::StatusOr<Shape> operator()(const BatchNorm& norm) const {
    return Same(!IsSequence(in()) && in().channels == norm.channels);
  }
  absl::StatusOr<Shape> operator()(const LayerNorm& norm) const {
    return Same(in().layout != Layout::kImages && in().channels == norm.channels);
  }
  absl::StatusOr<Shape> operator()(const Activation&) const { return in(); }
  absl::StatusOr<Shape> operator()(const MaxPool2d& pool) const {
    if (in().layout != Layout::kImages) return Mismatch(layer);
    return Shape{in().channels, WindowedSide(in().height, pool.kernel, pool.stride, pool.padding),
                 WindowedSide(in().width, pool.kernel, pool.stride, pool.padding)};
  }
  absl::StatusOr<Shape> operator()(const AdaptiveAvgPool2d& pool) const {
    if (in().layout != Layout::kImages) return Mismatch(layer);
    return Shape{in().channels, pool.height, pool.width};
  }
  absl::StatusOr<Shape> operator()(const GlobalAvgPool&) const {
    if (in().layout != Layout::kImages) return Mismatch(layer);
    return Shape{.channels = in().channels, .layout = Layout::kVector};
  }
  absl::StatusOr<Shape> operator()(const GridAvgPool&) const {
    if (in().layout != Layout::kGrid) return Mismatch(layer);
    return Shape{.channels = in().channels, .layout = Layout::kVector};
  }
  absl::StatusOr<Shape> operator()(const Flatten&) const {
    if (in().layout != Layout::kImages) return Mismatch(layer);
    return Shape{.channels = in().ElementCount(), .layout = Layout::kVector};
  }
  absl::StatusOr<Shape> operator()(const Linear& linear) const {
    if (in().layout == Layout::kImages || in().channels != linear.in_features) {
      return Mismatch(layer);
    }
    Shape out = in();
    out.channels = linear.out_features;
    return out;
  }
  absl::StatusOr<Shape> operator()(const Add&) const {
    return Same(inputs.size() == 2 && inputs[0] == inputs[1]);
  }
  absl::StatusOr<Shape> operator()(const ScaleChannels&) const {
    return Same(inputs.size() == 2 && in().layout == Layout::kImages &&
                inputs[1] == Shape{in().channels, 1, 1});
  }
  absl::StatusOr<Shape> operator()(const Dropout&) const { return in(); }
  absl::StatusOr<Shape> operator()(const DropPath&) const { return in(); }
  absl::StatusOr<Shape> operator()(const ToGrid&) const {
    if (in().layout != Layout::kImages) return Mismatch(layer);
    return Shape{in().channels, in().height, in().width, Layout::kGrid};
  }
  absl::StatusOr<Shape> operator()(const EmbedTokens& tokens) const {
    if (in().layout != Layout::kImages || in().channels != tokens.channels) return Mismatch(layer);
    return Shape{in().channels, in().height, in().width, Layout::kTokens};
  }
  absl::StatusOr<Shape> operator()(const ClassToken&) const {
    if (in().layout != Layout::kTokens) return Mismatch(layer);
    return Shape{.channels = in().channels, .layout = Layout::kVector};
  }
  absl::StatusOr<Shape> operator()(const SelfAttention& attention) const {
    return Same(in().layout == Layout::kTokens && in().channels == attention.channels &&
                attention.channels % attention.heads == 0);
  }
  absl::StatusOr<Shape> operator()(const WindowAttention& attention) const {
    return Same(in().layout == Layout::kGrid && in().channels == attention.channels &&
                attention.channels % attention.heads == 0);
  }
  absl::StatusOr<Shape> operator()(const MergePatches&) const {
    if (in().layout != Layout::kGrid) return Mismatch(layer);
    return Shape{4 * in().channels, (in().height + 1) / 2, (in().width + 1) / 2, Layout::kGrid};
  }
};

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
    if (out.height <= 0 || out.width <= 0 || out.channels <= 0) {
      return InvalidArgument(
          Reason::kRecipeInvalid,
          absl::StrCat("recipe.model: images of ", size.height, "x", size.width,
                       " pixels are too small: nothing is left after layer ", layer.name));
    }
    shapes.push_back(out);
  }
  return shapes;
}

}  // namespace cvtrain::plan
