#include <algorithm>

#include "absl/strings/str_cat.h"
#include "plan/network/family.h"
#include "plan/network/inverted_residual.h"

namespace cvtrain::plan {
namespace {

constexpr double kV2StemWidth = 32;
constexpr double kV2HeadWidth = 1280;

// Sandler et al. 2018, table 2.
struct V2Stage {
  int64_t expansion;
  double width;
  int blocks;
  int64_t stride;
};
constexpr V2Stage kV2Stages[] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                                 {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};

void CheckMobileNetV2(const v1::Model& model, const std::string& path, Rules& rules) {
  const v1::MobileNetV2& own = model.mobilenet_v2();
  if (own.has_width()) rules.InRange(path + ".width", own.width(), Closed(0.1, 4));
  rules.InRange(path + ".dropout", own.dropout(), ProbabilityInterval());
}

// Named otherwise than the blocks of later networks.
void AppendV2Block(const std::string& name, int64_t in, int64_t out, int64_t expansion,
                   int64_t stride, GraphBuilder& graph) {
  const int input = graph.last();
  const int64_t expanded = in * expansion;
  int part = 0;
  const auto next = [&] { return absl::StrCat(name, ".conv.", part++); };
  if (expansion != 1) {
    AppendConvNorm(next(), SameConv(in, expanded, 1), {}, Activation::Kind::kRelu6, graph);
  }
  AppendConvNorm(next(), SameConv(expanded, expanded, 3, stride, expanded), {},
                 Activation::Kind::kRelu6, graph);
  graph.Append(next(), SameConv(expanded, out, 1));
  const int path = graph.Append(next(), BatchNorm{out});
  if (stride == 1 && in == out) graph.Append(name + ".add", Add{}, input, path);
}

void DescribeMobileNetV2(const v1::Model& model, GraphBuilder& graph) {
  const v1::MobileNetV2& own = model.mobilenet_v2();
  int64_t channels = MakeDivisible(kV2StemWidth * own.width());
  AppendConvNorm("features.0", SameConv(3, channels, 3, 2), {}, Activation::Kind::kRelu6, graph);
  int index = 1;
  for (const V2Stage& stage : kV2Stages) {
    const int64_t width = MakeDivisible(stage.width * own.width());
    for (int i = 0; i < stage.blocks; ++i) {
      AppendV2Block(absl::StrCat("features.", index++), channels, width, stage.expansion,
                    i == 0 ? stage.stride : 1, graph);
      channels = width;
    }
  }
  const int64_t head = MakeDivisible(kV2HeadWidth * std::max(1.0, own.width()));
  AppendConvNorm(absl::StrCat("features.", index), SameConv(channels, head, 1), {},
                 Activation::Kind::kRelu6, graph);
  graph.Append("avgpool", GlobalAvgPool{});
  graph.AppendDropout("classifier.0", own.dropout());
  graph.Append("classifier.1", Linear{.in_features = head,
                                      .out_features = graph.num_classes(),
                                      .init = {WeightInit::Kind::kNormal, 0.01},
                                      .bias_init = BiasInit::kZeros});
}

}  // namespace

const Family kMobileNetV2 = {
    .member = v1::Model::kMobilenetV2,
    .write_defaults =
        [](v1::Model& model) {
          CVT_DEFAULT(*model.mutable_mobilenet_v2(), width, 1);
          CVT_DEFAULT(*model.mutable_mobilenet_v2(), dropout, 0.2);
        },
    .check = CheckMobileNetV2,
    .describe = DescribeMobileNetV2,
};

}  // namespace cvtrain::plan
