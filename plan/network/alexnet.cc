#include "absl/strings/str_cat.h"
#include "plan/network/family.h"

namespace cvtrain::plan {
namespace {

struct AlexConv {
  int64_t out_channels;
  int64_t kernel;
  int64_t stride;
  int64_t padding;
  bool pooled;
};
constexpr AlexConv kAlexConvs[] = {{96, 11, 4, 2, true},
                                   {256, 5, 1, 2, true},
                                   {384, 3, 1, 1, false},
                                   {384, 3, 1, 1, false},
                                   {256, 3, 1, 1, true}};
// Of what the convolutions make of 224 pixels; other sizes are brought to it.
constexpr int64_t kAlexSide = 6;
constexpr int64_t kAlexHidden = 4096;

void DescribeAlexNet(const v1::Model& /*model*/, GraphBuilder& graph) {
  int64_t channels = 3;
  int index = 0;
  const auto feature = [&] { return absl::StrCat("features.", index++); };
  for (const AlexConv& one : kAlexConvs) {
    graph.Append(feature(), Conv2d{.in_channels = channels,
                                   .out_channels = one.out_channels,
                                   .kernel = one.kernel,
                                   .stride = one.stride,
                                   .padding = one.padding,
                                   .bias = true,
                                   .init = {WeightInit::Kind::kUniformFanIn}});
    channels = one.out_channels;
    graph.Append(feature(), BatchNorm{channels});
    graph.Append(feature(), Activation{});
    if (one.pooled) graph.Append(feature(), MaxPool2d{.kernel = 2, .stride = 2});
  }
  graph.Append("avgpool", AdaptiveAvgPool2d{kAlexSide, kAlexSide});
  graph.Append("flatten", Flatten{});
  index = 0;
  const auto classifier = [&] { return absl::StrCat("classifier.", index++); };
  int64_t features = channels * kAlexSide * kAlexSide;
  for (int i = 0; i < 2; ++i) {
    graph.Append(classifier(), Linear{.in_features = features, .out_features = kAlexHidden});
    graph.Append(classifier(), BatchNorm{kAlexHidden});
    graph.Append(classifier(), Activation{});
    features = kAlexHidden;
  }
  graph.Append(classifier(),
               Linear{.in_features = features, .out_features = graph.num_classes(), .bias = false});
}

}  // namespace

const Family kAlexNet = {
    .member = v1::Model::kAlexnet,
    .write_defaults = [](v1::Model&) {},
    .check = [](const v1::Model&, const std::string&, Rules&) {},
    .describe = DescribeAlexNet,
};

}  // namespace cvtrain::plan
