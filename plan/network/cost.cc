#include "plan/network/cost.h"

#include <variant>
#include <vector>

#include "common/status_macros.h"

namespace cvtrain::plan {
namespace {

int64_t RoundUp(int64_t value, int64_t to) { return (value + to - 1) / to * to; }

// FLOPs of one layer, whose output has the shape `out`.
struct FlopsRule {
  const Shape& out;

  // Each output number is the sum of `inputs` products.
  static double Products(int64_t outputs, int64_t inputs) {
    return 2.0 * static_cast<double>(outputs) * static_cast<double>(inputs);
  }

  // Attention over `places`, of which each sees `seen`, with its projections and their biases.
  static double Attention(int64_t places, int64_t seen, int64_t channels) {
    return Products(places * 3 * channels, channels) + Products(places * channels, channels) +
           2 * Products(places * seen, channels) + static_cast<double>(places * 4 * channels);
  }

  double operator()(const Conv2d& conv) const {
    const int64_t count = out.ElementCount();
    return Products(count, conv.in_channels / conv.groups * conv.kernel * conv.kernel) +
           (conv.bias ? static_cast<double>(count) : 0);
  }
  double operator()(const Linear& linear) const {
    const int64_t count = out.ElementCount();
    return Products(count, linear.in_features) + (linear.bias ? static_cast<double>(count) : 0);
  }
  double operator()(const SelfAttention& attention) const {
    return Attention(out.Places(), out.Places(), attention.channels);
  }
  double operator()(const WindowAttention& attention) const {
    const int64_t side = attention.window;
    return Attention(RoundUp(out.height, side) * RoundUp(out.width, side), side * side,
                     attention.channels);
  }
  template <typename Other>
  double operator()(const Other&) const {
    return 0;
  }
};

}  // namespace

absl::StatusOr<double> ForwardFlops(const NetworkDescription& network, ImageSize size) {
  CVT_ASSIGN_OR_RETURN(const std::vector<Shape> shapes, InferShapes(network, size));
  double flops = 0;
  for (size_t i = 0; i < shapes.size(); ++i) {
    flops += std::visit(FlopsRule{shapes[i]}, network.layers[i].op);
  }
  return flops;
}

}  // namespace cvtrain::plan
