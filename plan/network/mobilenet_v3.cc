#include <vector>

#include "absl/strings/str_cat.h"
#include "plan/network/family.h"
#include "plan/network/inverted_residual.h"

namespace cvtrain::plan {
namespace {

constexpr NormOptions kV3Norm = {.epsilon = 0.001, .momentum = 0.01};
constexpr double kV3StemWidth = 16;
// Channels of the last convolution over those of the last block.
constexpr int64_t kV3HeadExpansion = 6;

// A row of tables 1 and 2 of Howard et al. 2019.
struct V3Block {
  int64_t kernel;
  double expanded;
  double out;
  bool squeeze_excite;
  Activation::Kind activation;
  int64_t stride;
};

constexpr auto kRe = Activation::Kind::kRelu;
constexpr auto kHs = Activation::Kind::kHardSwish;

const std::vector<V3Block>& LargeBlocks() {
  static const auto* blocks = new std::vector<V3Block>{
      {3, 16, 16, false, kRe, 1},  {3, 64, 24, false, kRe, 2},  {3, 72, 24, false, kRe, 1},
      {5, 72, 40, true, kRe, 2},   {5, 120, 40, true, kRe, 1},  {5, 120, 40, true, kRe, 1},
      {3, 240, 80, false, kHs, 2}, {3, 200, 80, false, kHs, 1}, {3, 184, 80, false, kHs, 1},
      {3, 184, 80, false, kHs, 1}, {3, 480, 112, true, kHs, 1}, {3, 672, 112, true, kHs, 1},
      {5, 672, 160, true, kHs, 2}, {5, 960, 160, true, kHs, 1}, {5, 960, 160, true, kHs, 1},
  };
  return *blocks;
}

const std::vector<V3Block>& SmallBlocks() {
  static const auto* blocks = new std::vector<V3Block>{
      {3, 16, 16, true, kRe, 2},  {3, 72, 24, false, kRe, 2}, {3, 88, 24, false, kRe, 1},
      {5, 96, 40, true, kHs, 2},  {5, 240, 40, true, kHs, 1}, {5, 240, 40, true, kHs, 1},
      {5, 120, 48, true, kHs, 1}, {5, 144, 48, true, kHs, 1}, {5, 288, 96, true, kHs, 2},
      {5, 576, 96, true, kHs, 1}, {5, 576, 96, true, kHs, 1},
  };
  return *blocks;
}

void WriteMobileNetV3Defaults(v1::Model& model) {
  v1::MobileNetV3& own = *model.mutable_mobilenet_v3();
  if (own.size() == v1::MobileNetV3::SIZE_UNSPECIFIED) own.set_size(v1::MobileNetV3::SIZE_LARGE);
  CVT_DEFAULT(own, width, 1);
  CVT_DEFAULT(own, dropout, 0.2);
}

void CheckMobileNetV3(const v1::Model& model, const std::string& path, Rules& rules) {
  const v1::MobileNetV3& own = model.mobilenet_v3();
  if (own.has_width()) rules.InRange(path + ".width", own.width(), Closed(0.1, 4));
  rules.InRange(path + ".dropout", own.dropout(), ProbabilityInterval());
}

Linear ClassifierLayer(int64_t in, int64_t out) {
  return {.in_features = in,
          .out_features = out,
          .init = {WeightInit::Kind::kNormal, 0.01},
          .bias_init = BiasInit::kZeros};
}

void DescribeMobileNetV3(const v1::Model& model, GraphBuilder& graph) {
  const v1::MobileNetV3& own = model.mobilenet_v3();
  const bool large = own.size() == v1::MobileNetV3::SIZE_LARGE;
  const auto adjust = [&](double width) { return MakeDivisible(width * own.width()); };
  int64_t channels = adjust(kV3StemWidth);
  AppendConvNorm("features.0", SameConv(3, channels, 3, 2), kV3Norm, kHs, graph);
  int index = 1;
  for (const V3Block& block : large ? LargeBlocks() : SmallBlocks()) {
    const int64_t expanded = adjust(block.expanded);
    InvertedResidual residual = {.name = absl::StrCat("features.", index++),
                                 .in_channels = channels,
                                 .expanded = expanded,
                                 .out_channels = adjust(block.out),
                                 .kernel = block.kernel,
                                 .stride = block.stride,
                                 .activation = block.activation,
                                 .squeeze_excite = {},
                                 .norm = kV3Norm};
    if (block.squeeze_excite) {
      residual.squeeze_excite = {
          .channels = expanded,
          .squeezed = MakeDivisible(static_cast<double>(expanded / 4)),
      };
    }
    AppendInvertedResidual(residual, graph);
    channels = residual.out_channels;
  }
  const int64_t last = kV3HeadExpansion * channels;
  AppendConvNorm(absl::StrCat("features.", index), SameConv(channels, last, 1), kV3Norm, kHs,
                 graph);
  const int64_t hidden = adjust(large ? 1280 : 1024);
  graph.Append("avgpool", GlobalAvgPool{});
  graph.Append("classifier.0", ClassifierLayer(last, hidden));
  graph.Append("classifier.1", Activation{kHs});
  graph.AppendDropout("classifier.2", own.dropout());
  graph.Append("classifier.3", ClassifierLayer(hidden, graph.num_classes()));
}

}  // namespace

const Family kMobileNetV3 = {
    .member = v1::Model::kMobilenetV3,
    .write_defaults = WriteMobileNetV3Defaults,
    .check = CheckMobileNetV3,
    .describe = DescribeMobileNetV3,
};

}  // namespace cvtrain::plan
