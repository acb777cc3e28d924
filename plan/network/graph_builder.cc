#include "plan/network/graph_builder.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace cvtrain::plan {
namespace {

constexpr int64_t kBottleneckExpansion = 4;

Conv2d Conv3x3(int64_t in, int64_t out, int64_t stride) {
  return {.in_channels = in, .out_channels = out, .kernel = 3, .stride = stride, .padding = 1};
}

Conv2d Conv1x1(int64_t in, int64_t out, int64_t stride) {
  return {.in_channels = in, .out_channels = out, .kernel = 1, .stride = stride};
}

struct Block {
  std::string name;
  int64_t in_channels = 0;
  int64_t stride = 1;
};

// The block's convolutions without its shortcut; returns the index of the last.
int AppendBasicPath(const ResidualStage& stage, const Block& block, GraphBuilder& graph) {
  const int64_t width = stage.width;
  graph.Append(block.name + ".conv1", Conv3x3(block.in_channels, width, block.stride));
  graph.Append(block.name + ".bn1", BatchNorm2d{width});
  graph.Append(block.name + ".relu1", Relu{});
  graph.Append(block.name + ".conv2", Conv3x3(width, width, 1));
  return graph.Append(block.name + ".bn2", BatchNorm2d{width, stage.zero_init_residual});
}

int AppendBottleneckPath(const ResidualStage& stage, const Block& block, GraphBuilder& graph) {
  const int64_t width = stage.width;
  const int64_t out = BlockOutChannels(stage.kind, width);
  graph.Append(block.name + ".conv1", Conv1x1(block.in_channels, width, 1));
  graph.Append(block.name + ".bn1", BatchNorm2d{width});
  graph.Append(block.name + ".relu1", Relu{});
  graph.Append(block.name + ".conv2", Conv3x3(width, width, block.stride));
  graph.Append(block.name + ".bn2", BatchNorm2d{width});
  graph.Append(block.name + ".relu2", Relu{});
  graph.Append(block.name + ".conv3", Conv1x1(width, out, 1));
  return graph.Append(block.name + ".bn3", BatchNorm2d{out, stage.zero_init_residual});
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
    shortcut = graph.Append(block.name + ".downsample.1", BatchNorm2d{out});
  }
  graph.AppendAdd(block.name + ".add", path, shortcut);
  graph.Append(block.name + ".relu", Relu{});
}

}  // namespace

GraphBuilder::GraphBuilder(std::string family, int64_t num_classes) {
  network_.family = std::move(family);
  network_.num_classes = num_classes;
}

int GraphBuilder::Append(std::string name, LayerOp op, int input) {
  network_.layers.push_back({std::move(name), op, {input}});
  return last();
}

int GraphBuilder::Append(std::string name, LayerOp op) {
  return Append(std::move(name), op, last());
}

int GraphBuilder::AppendAdd(std::string name, int left, int right) {
  network_.layers.push_back({std::move(name), Add{}, {left, right}});
  return last();
}

int64_t BlockOutChannels(BlockKind kind, int64_t width) {
  return kind == BlockKind::kBasic ? width : width * kBottleneckExpansion;
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

void AppendClassifier(int64_t channels, int64_t num_classes, GraphBuilder& graph) {
  graph.Append("avgpool", GlobalAvgPool{});
  graph.Append("fc", Linear{channels, num_classes});
}

}  // namespace cvtrain::plan
