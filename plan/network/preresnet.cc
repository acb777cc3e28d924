#include "absl/strings/str_cat.h"
#include "plan/network/family.h"
#include "plan/network/residual.h"

namespace cvtrain::plan {
namespace {

// Of the convolutions in a block, over all stages, and of those outside.
constexpr int kLayersPerBlock = 9;
constexpr int kLayersOutside = 2;
constexpr int kPreResNetDepthMax = 1001;
constexpr int64_t kPreResNetWidth = 16;

void CheckPreResNet(const v1::Model& model, const std::string& path, Rules& rules) {
  if (!model.preresnet().has_depth()) return;
  const int depth = model.preresnet().depth();
  if (depth < kLayersPerBlock + kLayersOutside || depth > kPreResNetDepthMax ||
      (depth - kLayersOutside) % kLayersPerBlock != 0) {
    rules.Add(path + ".depth", "must be 9 n + 2: 20, 29, 56, 110, 164, ... up to 1001",
              absl::StrCat(depth));
  }
}

// Norm, activation, convolution, three times; the shortcut is of what came in.
int64_t AppendPreActivationBlock(const std::string& name, int64_t in, int64_t width, int64_t stride,
                                 GraphBuilder& graph) {
  const int64_t out = BlockOutChannels(BlockKind::kBottleneck, width);
  int shortcut = graph.last();
  graph.Append(name + ".bn1", BatchNorm{in});
  graph.Append(name + ".relu1", Activation{});
  graph.Append(name + ".conv1", Conv1x1(in, width));
  graph.Append(name + ".bn2", BatchNorm{width});
  graph.Append(name + ".relu2", Activation{});
  graph.Append(name + ".conv2", Conv3x3(width, width, stride));
  graph.Append(name + ".bn3", BatchNorm{width});
  graph.Append(name + ".relu3", Activation{});
  const int path = graph.Append(name + ".conv3", Conv1x1(width, out));
  if (stride != 1 || in != out) {
    shortcut = graph.Append(name + ".downsample.0", Conv1x1(in, out, stride), shortcut);
  }
  graph.Append(name + ".add", Add{}, path, shortcut);
  return out;
}

void DescribePreResNet(const v1::Model& model, GraphBuilder& graph) {
  const int blocks = (model.preresnet().depth() - kLayersOutside) / kLayersPerBlock;
  int64_t channels = kPreResNetWidth;
  graph.Append("conv1", Conv3x3(3, channels));
  for (int stage = 0; stage < 3; ++stage) {
    for (int i = 0; i < blocks; ++i) {
      channels =
          AppendPreActivationBlock(absl::StrCat("layer", stage + 1, ".", i), channels,
                                   kPreResNetWidth << stage, stage > 0 && i == 0 ? 2 : 1, graph);
    }
  }
  graph.Append("bn", BatchNorm{channels});
  graph.Append("relu", Activation{});
  graph.Append("avgpool", GlobalAvgPool{});
  graph.Append("fc",
               Linear{.in_features = channels, .out_features = graph.num_classes(), .bias = false});
}

}  // namespace

const Family kPreResNet = {
    .member = v1::Model::kPreresnet,
    .write_defaults = [](v1::Model& model) { CVT_DEFAULT(*model.mutable_preresnet(), depth, 20); },
    .check = CheckPreResNet,
    .describe = DescribePreResNet,
};

}  // namespace cvtrain::plan
