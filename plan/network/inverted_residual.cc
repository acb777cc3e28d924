#include "plan/network/inverted_residual.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace cvtrain::plan {

int64_t MakeDivisible(double value, int64_t divisor) {
  const auto half = static_cast<double>(divisor) / 2;
  int64_t rounded = static_cast<int64_t>(value + half) / divisor * divisor;
  rounded = std::max(divisor, rounded);
  return static_cast<double>(rounded) < 0.9 * value ? rounded + divisor : rounded;
}

Conv2d SameConv(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t groups) {
  return {.in_channels = in,
          .out_channels = out,
          .kernel = kernel,
          .stride = stride,
          .padding = (kernel - 1) / 2,
          .groups = groups};
}

void AppendConvNorm(const std::string& name, const Conv2d& conv, const NormOptions& norm,
                    std::optional<Activation::Kind> activation, GraphBuilder& graph) {
  graph.Append(name + ".0", conv);
  graph.Append(
      name + ".1",
      BatchNorm{.channels = conv.out_channels, .epsilon = norm.epsilon, .momentum = norm.momentum});
  if (activation.has_value()) graph.Append(name + ".2", Activation{*activation});
}

void AppendSqueezeExcite(const std::string& name, const SqueezeExcite& options,
                         GraphBuilder& graph) {
  const int input = graph.last();
  const auto conv = [](int64_t in, int64_t out) {
    return Conv2d{
        .in_channels = in, .out_channels = out, .bias = true, .bias_init = BiasInit::kZeros};
  };
  graph.Append(name + ".avgpool", AdaptiveAvgPool2d{});
  graph.Append(name + ".fc1", conv(options.channels, options.squeezed));
  graph.Append(name + ".activation", Activation{options.activation});
  graph.Append(name + ".fc2", conv(options.squeezed, options.channels));
  const int gate = graph.Append(name + ".scale_activation", Activation{options.gate});
  graph.Append(name + ".scale", ScaleChannels{}, input, gate);
}

void AppendInvertedResidual(const InvertedResidual& block, GraphBuilder& graph) {
  const int input = graph.last();
  int part = 0;
  const auto name = [&] { return absl::StrCat(block.name, ".block.", part++); };
  if (block.expanded != block.in_channels) {
    AppendConvNorm(name(), SameConv(block.in_channels, block.expanded, 1), block.norm,
                   block.activation, graph);
  }
  AppendConvNorm(
      name(), SameConv(block.expanded, block.expanded, block.kernel, block.stride, block.expanded),
      block.norm, block.activation, graph);
  if (block.squeeze_excite.has_value()) AppendSqueezeExcite(name(), *block.squeeze_excite, graph);
  AppendConvNorm(name(), SameConv(block.expanded, block.out_channels, 1), block.norm, std::nullopt,
                 graph);
  if (block.stride != 1 || block.in_channels != block.out_channels) return;
  const int path = graph.AppendDropPath(block.name + ".stochastic_depth", block.drop_path);
  graph.Append(block.name + ".add", Add{}, path, input);
}

}  // namespace cvtrain::plan
