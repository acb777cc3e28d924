#include "absl/strings/str_cat.h"
#include "plan/network/family.h"
#include "plan/network/residual.h"

namespace cvtrain::plan {
namespace {

constexpr int kStagesMax = 8;

void WriteSmallResNetDefaults(v1::Model& model) {
  v1::SmallResNet& small = *model.mutable_small_resnet();
  if (small.widths_size() == 0) {
    for (int width : {16, 32, 64, 128}) small.add_widths(width);
  }
  const int blocks = small.blocks_size() == 0 ? 2 : small.blocks(0);
  while (small.blocks_size() < small.widths_size()) small.add_blocks(blocks);
  if (small.stem() == v1::SmallResNet::STEM_UNSPECIFIED) {
    small.set_stem(v1::SmallResNet::STEM_POOLED);
  }
  CVT_DEFAULT(small, zero_init_residual, true);
}

void CheckSmallResNet(const v1::Model& model, const std::string& path, Rules& rules) {
  const v1::SmallResNet& small = model.small_resnet();
  if (small.widths_size() > kStagesMax) {
    rules.Add(path + ".widths", absl::StrCat("must have 1 to ", kStagesMax, " entries"),
              absl::StrCat(small.widths_size()));
  }
  for (int i = 0; i < small.widths_size(); ++i) {
    rules.InRange(absl::StrCat(path, ".widths.", i), small.widths(i), Closed(8, 2048));
  }
  const int stages = small.widths_size() == 0 ? 4 : small.widths_size();
  if (small.blocks_size() > 1 && small.blocks_size() != stages) {
    rules.Add(path + ".blocks", absl::StrCat("must have one entry, or ", stages, " as widths"),
              absl::StrCat(small.blocks_size()));
  }
  for (int i = 0; i < small.blocks_size(); ++i) {
    rules.InRange(absl::StrCat(path, ".blocks.", i), small.blocks(i), Closed(1, 64));
  }
}

void DescribeSmallResNet(const v1::Model& model, GraphBuilder& graph) {
  const v1::SmallResNet& small = model.small_resnet();
  const bool is_pooled = small.stem() != v1::SmallResNet::STEM_CIFAR;
  int64_t channels = small.widths(0);
  graph.Append("conv1", Conv3x3(3, channels, is_pooled ? 2 : 1));
  graph.Append("bn1", BatchNorm{channels});
  graph.Append("relu", Activation{});
  if (is_pooled) {
    graph.Append("maxpool", MaxPool2d{.kernel = 3, .stride = 2, .padding = 1});
  }
  for (int i = 0; i < small.widths_size(); ++i) {
    channels = AppendResidualStage({.name = absl::StrCat("layer", i + 1),
                                    .kind = BlockKind::kBasic,
                                    .in_channels = channels,
                                    .width = small.widths(i),
                                    .blocks = small.blocks(i),
                                    .stride = i == 0 ? 1 : 2,
                                    .zero_init_residual = small.zero_init_residual()},
                                   graph);
  }
  AppendClassifier(channels, graph);
}

}  // namespace

const Family kSmallResNet = {
    .member = v1::Model::kSmallResnet,
    .write_defaults = WriteSmallResNetDefaults,
    .check = CheckSmallResNet,
    .describe = DescribeSmallResNet,
};

}  // namespace cvtrain::plan
