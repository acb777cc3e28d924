#include <algorithm>
#include <array>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "plan/network/family.h"
#include "plan/network/residual.h"

namespace cvtrain::plan {
namespace {

// Convolutions before each pooling (Simonyan and Zisserman 2014, table 1: A, B, D, E).
struct VggVariant {
  int32_t depth;
  std::array<int, 5> convolutions;
};
constexpr VggVariant kVggVariants[] = {
    {11, {1, 1, 2, 2, 2}}, {13, {2, 2, 2, 2, 2}}, {16, {2, 2, 3, 3, 3}}, {19, {2, 2, 4, 4, 4}}};
constexpr std::array<int64_t, 5> kVggWidths = {64, 128, 256, 512, 512};
constexpr int64_t kVggSide = 7;
constexpr int64_t kVggHidden = 4096;

void CheckVgg(const v1::Model& model, const std::string& path, Rules& rules) {
  rules.OneOf(path + ".depth", model.vgg().depth(), {11, 13, 16, 19});
  rules.InRange(path + ".dropout", model.vgg().dropout(), ProbabilityInterval());
}

void DescribeVgg(const v1::Model& model, GraphBuilder& graph) {
  const VggVariant& variant =
      *std::find_if(std::begin(kVggVariants), std::end(kVggVariants),
                    [&](const auto& one) { return one.depth == model.vgg().depth(); });
  int64_t channels = 3;
  int index = 0;
  const auto name = [&] { return absl::StrCat("features.", index++); };
  for (size_t stage = 0; stage < kVggWidths.size(); ++stage) {
    for (int i = 0; i < variant.convolutions[stage]; ++i) {
      Conv2d conv = Conv3x3(channels, kVggWidths[stage]);
      conv.bias = true;
      conv.bias_init = BiasInit::kZeros;
      channels = kVggWidths[stage];
      graph.Append(name(), conv);
      graph.Append(name(), BatchNorm{channels});
      graph.Append(name(), Activation{});
    }
    graph.Append(name(), MaxPool2d{.kernel = 2, .stride = 2});
  }
  graph.Append("avgpool", AdaptiveAvgPool2d{kVggSide, kVggSide});
  graph.Append("flatten", Flatten{});
  const auto linear = [](int64_t in, int64_t out) {
    return Linear{.in_features = in,
                  .out_features = out,
                  .init = {WeightInit::Kind::kNormal, 0.01},
                  .bias_init = BiasInit::kZeros};
  };
  graph.Append("classifier.0", linear(channels * kVggSide * kVggSide, kVggHidden));
  graph.Append("classifier.1", Activation{});
  graph.AppendDropout("classifier.2", model.vgg().dropout());
  graph.Append("classifier.3", linear(kVggHidden, kVggHidden));
  graph.Append("classifier.4", Activation{});
  graph.AppendDropout("classifier.5", model.vgg().dropout());
  graph.Append("classifier.6", linear(kVggHidden, graph.num_classes()));
}

}  // namespace

const Family kVgg = {
    .member = v1::Model::kVgg,
    .write_defaults = [](v1::Model& model) { CVT_DEFAULT(*model.mutable_vgg(), dropout, 0.5); },
    .check = CheckVgg,
    .describe = DescribeVgg,
};

}  // namespace cvtrain::plan
