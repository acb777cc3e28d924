#include "plan/network/transformer.h"

namespace cvtrain::plan {
namespace {

constexpr double kTransformerDeviation = 0.02;
constexpr int64_t kPerceptronExpansion = 4;

}  // namespace

Linear TransformerLinear(int64_t in, int64_t out, bool bias) {
  return {.in_features = in,
          .out_features = out,
          .bias = bias,
          .init = {WeightInit::Kind::kNormal, kTransformerDeviation},
          .bias_init = BiasInit::kZeros};
}

Conv2d PatchConv(int64_t channels, int64_t patch) {
  return {.in_channels = 3,
          .out_channels = channels,
          .kernel = patch,
          .stride = patch,
          .bias = true,
          .init = {WeightInit::Kind::kUniformFanIn}};
}

void AppendTransformerBlock(const TransformerBlock& block, GraphBuilder& graph) {
  const LayerNorm norm = {.channels = block.channels, .epsilon = block.epsilon};
  const int64_t hidden = kPerceptronExpansion * block.channels;
  int input = graph.last();
  graph.Append(block.name + ".norm1", norm);
  graph.Append(block.name + ".attn", block.attention);
  int path = graph.AppendDropPath(block.name + ".drop_path1", block.drop_path);
  input = graph.Append(block.name + ".add1", Add{}, input, path);
  graph.Append(block.name + ".norm2", norm);
  graph.Append(block.hidden_name, TransformerLinear(block.channels, hidden));
  graph.Append(block.name + ".mlp.act", Activation{Activation::Kind::kGelu});
  graph.Append(block.output_name, TransformerLinear(hidden, block.channels));
  path = graph.AppendDropPath(block.name + ".drop_path2", block.drop_path);
  graph.Append(block.name + ".add2", Add{}, input, path);
}

}  // namespace cvtrain::plan
