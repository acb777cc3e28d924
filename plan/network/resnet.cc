#include <algorithm>
#include <array>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "plan/network/family.h"
#include "plan/network/residual.h"

namespace cvtrain::plan {
namespace {

struct ResNetVariant {
  int32_t depth;
  BlockKind kind;
  std::array<int64_t, 4> blocks;
};

constexpr ResNetVariant kResNetVariants[] = {
    {18, BlockKind::kBasic, {2, 2, 2, 2}},        {34, BlockKind::kBasic, {3, 4, 6, 3}},
    {50, BlockKind::kBottleneck, {3, 4, 6, 3}},   {101, BlockKind::kBottleneck, {3, 4, 23, 3}},
    {152, BlockKind::kBottleneck, {3, 8, 36, 3}},
};

constexpr int64_t kStemChannels = 64;

void CheckResNet(const v1::Model& model, const std::string& path, Rules& rules) {
  rules.OneOf(path + ".depth", model.resnet().depth(), {18, 34, 50, 101, 152});
}

void DescribeResNet(const v1::Model& model, GraphBuilder& graph) {
  const ResNetVariant& variant =
      *std::find_if(std::begin(kResNetVariants), std::end(kResNetVariants),
                    [&](const auto& one) { return one.depth == model.resnet().depth(); });
  graph.Append(
      "conv1",
      Conv2d{
          .in_channels = 3, .out_channels = kStemChannels, .kernel = 7, .stride = 2, .padding = 3});
  graph.Append("bn1", BatchNorm{kStemChannels});
  graph.Append("relu", Activation{});
  graph.Append("maxpool", MaxPool2d{.kernel = 3, .stride = 2, .padding = 1});

  int64_t channels = kStemChannels;
  for (size_t i = 0; i < variant.blocks.size(); ++i) {
    channels = AppendResidualStage({.name = absl::StrCat("layer", i + 1),
                                    .kind = variant.kind,
                                    .in_channels = channels,
                                    .width = kStemChannels << i,
                                    .blocks = variant.blocks[i],
                                    .stride = i == 0 ? 1 : 2,
                                    .zero_init_residual = model.resnet().zero_init_residual()},
                                   graph);
  }
  AppendClassifier(channels, graph);
}

}  // namespace

const Family kResNet = {
    .member = v1::Model::kResnet,
    .write_defaults =
        [](v1::Model& model) { CVT_DEFAULT(*model.mutable_resnet(), zero_init_residual, false); },
    .check = CheckResNet,
    .describe = DescribeResNet,
};

}  // namespace cvtrain::plan
