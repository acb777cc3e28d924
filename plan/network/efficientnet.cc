#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "plan/network/family.h"
#include "plan/network/inverted_residual.h"

namespace cvtrain::plan {
namespace {

// How the networks grow from B0 (Tan and Le 2019), by the digit after B.
struct Scaling {
  double width;
  double depth;
  double dropout;
};
constexpr Scaling kScalings[] = {
    {1.0, 1.0, 0.2}, {1.0, 1.1, 0.2}, {1.1, 1.2, 0.3}, {1.2, 1.4, 0.3}, {1.4, 1.8, 0.4}};
constexpr int kScaleMax = 4;

// Blocks of B0 of one width, the first of which has the stride.
struct B0Stage {
  int64_t expansion;
  int64_t kernel;
  int64_t stride;
  double width;
  double blocks;
};
constexpr B0Stage kB0Stages[] = {{1, 3, 1, 16, 1}, {6, 3, 2, 24, 2},  {6, 5, 2, 40, 2},
                                 {6, 3, 2, 80, 3}, {6, 5, 1, 112, 3}, {6, 5, 2, 192, 4},
                                 {6, 3, 1, 320, 1}};
constexpr double kB0StemWidth = 32;
constexpr int64_t kHeadFactor = 4;

int BlocksOf(const B0Stage& stage, const Scaling& scaling) {
  return static_cast<int>(std::ceil(stage.blocks * scaling.depth));
}

void WriteEfficientNetDefaults(v1::Model& model) {
  v1::EfficientNet& own = *model.mutable_efficientnet();
  CVT_DEFAULT(own, scale, 0);
  CVT_DEFAULT(own, dropout, kScalings[std::clamp(own.scale(), 0, kScaleMax)].dropout);
  CVT_DEFAULT(own, drop_path, 0.2);
}

void CheckEfficientNet(const v1::Model& model, const std::string& path, Rules& rules) {
  const v1::EfficientNet& own = model.efficientnet();
  rules.InRange(path + ".scale", own.scale(), Closed(0, kScaleMax));
  rules.InRange(path + ".dropout", own.dropout(), ProbabilityInterval());
  rules.InRange(path + ".drop_path", own.drop_path(), ProbabilityInterval());
}

void DescribeEfficientNet(const v1::Model& model, GraphBuilder& graph) {
  const v1::EfficientNet& own = model.efficientnet();
  const Scaling& scaling = kScalings[own.scale()];
  int all = 0;
  for (const B0Stage& stage : kB0Stages) all += BlocksOf(stage, scaling);

  int64_t channels = MakeDivisible(kB0StemWidth * scaling.width);
  AppendConvNorm("features.0", SameConv(3, channels, 3, 2), {}, Activation::Kind::kSilu, graph);
  int number = 1;
  int done = 0;
  for (const B0Stage& stage : kB0Stages) {
    const int64_t width = MakeDivisible(stage.width * scaling.width);
    for (int i = 0; i < BlocksOf(stage, scaling); ++i) {
      const int64_t expanded = channels * stage.expansion;
      AppendInvertedResidual(
          {.name = absl::StrCat("features.", number, ".", i),
           .in_channels = channels,
           .expanded = expanded,
           .out_channels = width,
           .kernel = stage.kernel,
           .stride = i == 0 ? stage.stride : 1,
           .activation = Activation::Kind::kSilu,
           .squeeze_excite = SqueezeExcite{.channels = expanded,
                                           .squeezed = std::max<int64_t>(1, channels / 4),
                                           .activation = Activation::Kind::kSilu,
                                           .gate = Activation::Kind::kSigmoid},
           .drop_path = own.drop_path() * done / all},
          graph);
      channels = width;
      ++done;
    }
    ++number;
  }
  const int64_t head = kHeadFactor * channels;
  AppendConvNorm(absl::StrCat("features.", number), SameConv(channels, head, 1), {},
                 Activation::Kind::kSilu, graph);
  graph.Append("avgpool", GlobalAvgPool{});
  graph.AppendDropout("classifier.0", own.dropout());
  graph.Append("classifier.1", Linear{.in_features = head,
                                      .out_features = graph.num_classes(),
                                      .init = {WeightInit::Kind::kUniformFanOut},
                                      .bias_init = BiasInit::kZeros});
}

}  // namespace

const Family kEfficientNet = {
    .member = v1::Model::kEfficientnet,
    .write_defaults = WriteEfficientNetDefaults,
    .check = CheckEfficientNet,
    .describe = DescribeEfficientNet,
};

}  // namespace cvtrain::plan
