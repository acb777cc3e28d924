#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/network/families.h"
#include "plan/network/graph_builder.h"

namespace cvtrain::plan {
namespace {

constexpr int64_t kBlocksDefault = 2;

absl::Status Invalid(absl::string_view field, absl::string_view rule) {
  return InvalidArgument(Reason::kRecipeInvalid,
                         absl::StrCat("recipe.model.small_resnet.", field, ": ", rule));
}

bool AllWithin(const std::vector<int64_t>& values, int64_t low, int64_t high) {
  return std::all_of(values.begin(), values.end(),
                     [=](int64_t value) { return value >= low && value <= high; });
}

}  // namespace

absl::StatusOr<NetworkDescription> DescribeSmallResNet(const v1::SmallResNet& model,
                                                       int64_t num_classes) {
  std::vector<int64_t> widths(model.widths().begin(), model.widths().end());
  if (widths.empty()) {
    widths = {16, 32, 64, 128};
  }
  std::vector<int64_t> blocks(model.blocks().begin(), model.blocks().end());
  if (blocks.size() < 2) {
    blocks.assign(widths.size(), blocks.empty() ? kBlocksDefault : blocks.front());
  }
  if (widths.size() > 8 || !AllWithin(widths, 8, 2048)) {
    return Invalid("widths", "must be 1 to 8 numbers of 8 to 2048");
  }
  if (blocks.size() != widths.size() || !AllWithin(blocks, 1, 64)) {
    return Invalid("blocks", "must be one number of 1 to 64, or one for each of widths");
  }

  const bool is_pooled = model.stem() != v1::SmallResNet::STEM_CIFAR;
  GraphBuilder graph("small_resnet", num_classes);
  graph.Append("conv1", Conv2d{.in_channels = 3,
                               .out_channels = widths[0],
                               .kernel = 3,
                               .stride = is_pooled ? 2 : 1,
                               .padding = 1});
  graph.Append("bn1", BatchNorm2d{widths[0]});
  graph.Append("relu", Relu{});
  if (is_pooled) {
    graph.Append("maxpool", MaxPool2d{.kernel = 3, .stride = 2, .padding = 1});
  }
  int64_t channels = widths[0];
  for (size_t i = 0; i < widths.size(); ++i) {
    channels = AppendResidualStage(
        {.name = absl::StrCat("layer", i + 1),
         .kind = BlockKind::kBasic,
         .in_channels = channels,
         .width = widths[i],
         .blocks = blocks[i],
         .stride = i == 0 ? 1 : 2,
         .zero_init_residual = !model.has_zero_init_residual() || model.zero_init_residual()},
        graph);
  }
  AppendClassifier(channels, num_classes, graph);
  return std::move(graph).Build();
}

}  // namespace cvtrain::plan
