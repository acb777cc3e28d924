#include "plan/network/residual.h"

#include "absl/strings/str_cat.h"

namespace cvtrain::plan {
namespace {

constexpr int64_t kBottleneckExpansion = 4;

struct Block {
  std::string name;
  int64_t in_channels = 0;
  int64_t stride = 1;
};

// The block's convolutions without its shortcut; returns the index of the last.
int AppendBasicPath(const ResidualStage& stage, const Block& block, GraphBuilder& graph) {
  const int64_t width = stage.width;
  graph.Append(block.name + ".conv1", Conv3x3(block.in_channels, width, block.stride));
  graph.Append(block.name + ".bn1", BatchNorm{width});
  graph.Append(block.name + ".relu1", Activation{});
  graph.Append(block.name + ".conv2", Conv3x3(width, width));
  return graph.Append(block.name + ".bn2", BatchNorm{width, stage.zero_init_residual});
}

int AppendBottleneckPath(const ResidualStage& stage, const Block& block, GraphBuilder& graph) {
  const int64_t width = stage.width;
  const int64_t out = BlockOutChannels(stage.kind, width);
  graph.Append(block.name + ".conv1", Conv1x1(block.in_channels, width));
  graph.Append(block.name + ".bn1", BatchNorm{width});
  graph.Append(block.name + ".relu1", Activation{});
  graph.Append(block.name + ".conv2", Conv3x3(width, width, block.stride));
  graph.Append(block.name + ".bn2", BatchNorm{width});
  graph.Append(block.name + ".relu2", Activation{});
  graph.Append(block.name + ".conv3", Conv1x1(width, out));
  return graph.Append(block.name + ".bn3", BatchNorm{out, stage.zero_init_residual});
}

void AppendBlock(const ResidualStage& stage, const Block& block, GraphBuilder& graph) {
  const int64_t out = BlockOutChannels(stage.kind, stage.width);
  const int input = graph.last();
  const int path = stage.kind == BlockKind::kBasic ? AppendBasicPath(stage, block, graph)
                                                   : AppendBottleneckPath(stage, block, graph);
  int shortcut = input;
  if (block.stride != 1 || block.in_channels != out) {
    graph.Append(block.name + ".downsample.0", Conv1x1(block.in_channels, out, block.stride),
                 input);
    shortcut = graph.Append(block.name + ".downsample.1", BatchNorm{out});
  }
  graph.Append(block.name + ".add", Add{}, path, shortcut);
  graph.Append(block.name + ".relu", Activation{});
}

}  // namespace

int64_t BlockOutChannels(BlockKind kind, int64_t width) {
  return kind == BlockKind::kBasic ? width : width * kBottleneckExpansion;
}

Conv2d Conv3x3(int64_t in, int64_t out, int64_t stride) {
  return {.in_channels = in, .out_channels = out, .kernel = 3, .stride = stride, .padding = 1};
}

Conv2d Conv1x1(int64_t in, int64_t out, int64_t stride) {
  return {.in_channels = in, .out_channels = out, .kernel = 1, .stride = stride};
}

int64_t AppendResidualStage(const ResidualStage& stage, GraphBuilder& graph) {
  const int64_t out = BlockOutChannels(stage.kind, stage.width);
  for (int64_t i = 0; i < stage.blocks; ++i) {
    AppendBlock(stage,
                {.name = absl::StrCat(stage.name, ".", i),
                 .in_channels = i == 0 ? stage.in_channels : out,
                 .stride = i == 0 ? stage.stride : 1},
                graph);
  }
  return out;
}

void AppendClassifier(int64_t channels, GraphBuilder& graph) {
  graph.Append("avgpool", GlobalAvgPool{});
  graph.Append("fc", Linear{channels, graph.num_classes()});
}

}  // namespace cvtrain::plan
