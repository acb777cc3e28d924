#include "absl/strings/str_cat.h"
#include "plan/network/family.h"
#include "plan/network/inverted_residual.h"

namespace cvtrain::plan {
namespace {

constexpr double kStemWidth = 32;

// Blocks of one width, the first of which has the stride.
struct V1Stage {
  double width;
  int blocks;
  int64_t stride;
};
constexpr V1Stage kV1Stages[] = {{64, 1, 1}, {128, 2, 2}, {256, 2, 2}, {512, 6, 2}, {1024, 2, 2}};

void CheckMobileNetV1(const v1::Model& model, const std::string& path, Rules& rules) {
  const v1::MobileNetV1& own = model.mobilenet_v1();
  if (own.has_width()) rules.InRange(path + ".width", own.width(), Closed(0.1, 4));
  rules.InRange(path + ".dropout", own.dropout(), ProbabilityInterval());
}

void DescribeMobileNetV1(const v1::Model& model, GraphBuilder& graph) {
  const v1::MobileNetV1& own = model.mobilenet_v1();
  const auto append = [&](const std::string& conv, const std::string& norm, const Conv2d& op) {
    graph.Append(conv, op);
    graph.Append(norm, BatchNorm{op.out_channels});
    graph.Append(norm + ".act", Activation{Activation::Kind::kRelu6});
  };
  int64_t channels = MakeDivisible(kStemWidth * own.width());
  append("conv_stem", "bn1", SameConv(3, channels, 3, 2));
  int stage = 0;
  for (const V1Stage& one : kV1Stages) {
    const int64_t width = MakeDivisible(one.width * own.width());
    for (int i = 0; i < one.blocks; ++i) {
      const std::string name = absl::StrCat("blocks.", stage, ".", i);
      append(name + ".conv_dw", name + ".bn1",
             SameConv(channels, channels, 3, i == 0 ? one.stride : 1, channels));
      append(name + ".conv_pw", name + ".bn2", SameConv(channels, width, 1));
      channels = width;
    }
    ++stage;
  }
  graph.Append("global_pool", GlobalAvgPool{});
  graph.AppendDropout("dropout", own.dropout());
  graph.Append("classifier", Linear{.in_features = channels,
                                    .out_features = graph.num_classes(),
                                    .init = {WeightInit::Kind::kUniformFanOut},
                                    .bias_init = BiasInit::kZeros});
}

}  // namespace

const Family kMobileNetV1 = {
    .member = v1::Model::kMobilenetV1,
    .write_defaults =
        [](v1::Model& model) {
          CVT_DEFAULT(*model.mutable_mobilenet_v1(), width, 1);
          CVT_DEFAULT(*model.mutable_mobilenet_v1(), dropout, 0);
        },
    .check = CheckMobileNetV1,
    .describe = DescribeMobileNetV1,
};

}  // namespace cvtrain::plan
