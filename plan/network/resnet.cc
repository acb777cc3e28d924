#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/network/families.h"
#include "plan/network/graph_builder.h"

namespace cvtrain::plan {
namespace {

struct Variant {
  int32_t depth;
  BlockKind kind;
  std::array<int64_t, 4> blocks;
};

constexpr Variant kVariants[] = {
    {18, BlockKind::kBasic, {2, 2, 2, 2}},
    {34, BlockKind::kBasic, {3, 4, 6, 3}},
    {50, BlockKind::kBottleneck, {3, 4, 6, 3}},
};

constexpr int64_t kStemChannels = 64;

const Variant* FindVariant(int32_t depth) {
  for (const Variant& variant : kVariants) {
    if (variant.depth == depth) return &variant;
  }
  return nullptr;
}

}  // namespace

absl::StatusOr<NetworkDescription> DescribeResNet(const v1::ResNet& model, int64_t num_classes) {
  const Variant* variant = FindVariant(model.depth());
  if (variant == nullptr) {
    return InvalidArgument(
        Reason::kRecipeInvalid,
        absl::StrCat("recipe.model.resnet.depth: must be 18, 34 or 50, got ", model.depth()));
  }
  GraphBuilder graph("resnet", num_classes);
  graph.Append(
      "conv1",
      Conv2d{
          .in_channels = 3, .out_channels = kStemChannels, .kernel = 7, .stride = 2, .padding = 3});
  graph.Append("bn1", BatchNorm2d{kStemChannels});
  graph.Append("relu", Relu{});
  graph.Append("maxpool", MaxPool2d{.kernel = 3, .stride = 2, .padding = 1});

  int64_t channels = kStemChannels;
  for (size_t i = 0; i < variant->blocks.size(); ++i) {
    channels = AppendResidualStage({.name = absl::StrCat("layer", i + 1),
                                    .kind = variant->kind,
                                    .in_channels = channels,
                                    .width = kStemChannels << i,
                                    .blocks = variant->blocks[i],
                                    .stride = i == 0 ? 1 : 2,
                                    .zero_init_residual = model.zero_init_residual()},
                                   graph);
  }
  AppendClassifier(channels, num_classes, graph);
  return std::move(graph).Build();
}

}  // namespace cvtrain::plan
