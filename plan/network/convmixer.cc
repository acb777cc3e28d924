#include "absl/strings/str_cat.h"
#include "plan/network/family.h"

namespace cvtrain::plan {
namespace {

void WriteConvMixerDefaults(v1::Model& model) {
  v1::ConvMixer& own = *model.mutable_convmixer();
  CVT_DEFAULT(own, width, 768);
  CVT_DEFAULT(own, depth, 32);
  CVT_DEFAULT(own, kernel, 7);
  CVT_DEFAULT(own, patch, 7);
  if (own.activation() == v1::ConvMixer::ACTIVATION_UNSPECIFIED) {
    own.set_activation(v1::ConvMixer::ACTIVATION_GELU);
  }
  CVT_DEFAULT(own, pointwise_residual, false);
  CVT_DEFAULT(own, dropout, 0);
}

void CheckConvMixer(const v1::Model& model, const std::string& path, Rules& rules) {
  const v1::ConvMixer& own = model.convmixer();
  if (own.has_width()) rules.InRange(path + ".width", own.width(), Closed(8, 4096));
  if (own.has_depth()) rules.InRange(path + ".depth", own.depth(), Closed(1, 256));
  if (own.has_kernel() && (own.kernel() < 1 || own.kernel() > 31 || own.kernel() % 2 == 0)) {
    rules.Add(path + ".kernel", "must be odd, from 1 to 31", absl::StrCat(own.kernel()));
  }
  if (own.has_patch()) rules.InRange(path + ".patch", own.patch(), Closed(1, 64));
  rules.InRange(path + ".dropout", own.dropout(), ProbabilityInterval());
}

void DescribeConvMixer(const v1::Model& model, GraphBuilder& graph) {
  const v1::ConvMixer& own = model.convmixer();
  const int64_t width = own.width();
  const Activation activation = {own.activation() == v1::ConvMixer::ACTIVATION_RELU
                                     ? Activation::Kind::kRelu
                                     : Activation::Kind::kGelu};
  // A convolution, which starts as torch's, its activation, its norm.
  const auto append = [&](const std::string& name, int first, Conv2d conv) {
    conv.bias = true;
    conv.init = {WeightInit::Kind::kUniformFanIn};
    graph.Append(absl::StrCat(name, ".", first), conv);
    graph.Append(absl::StrCat(name, ".", first + 1), activation);
    return graph.Append(absl::StrCat(name, ".", first + 2), BatchNorm{width});
  };
  append("stem", 0,
         {.in_channels = 3, .out_channels = width, .kernel = own.patch(), .stride = own.patch()});
  for (int i = 0; i < own.depth(); ++i) {
    const std::string name = absl::StrCat("blocks.", i);
    int input = graph.last();
    const int spatial = append(name + ".0.fn", 0,
                               {.in_channels = width,
                                .out_channels = width,
                                .kernel = own.kernel(),
                                .padding = (own.kernel() - 1) / 2,
                                .groups = width});
    input = graph.Append(name + ".0", Add{}, spatial, input);
    const int pointwise = append(name, 1, {.in_channels = width, .out_channels = width});
    if (own.pointwise_residual()) graph.Append(name + ".add", Add{}, pointwise, input);
  }
  graph.Append("pooling", GlobalAvgPool{});
  graph.AppendDropout("head_drop", own.dropout());
  graph.Append("head", Linear{.in_features = width, .out_features = graph.num_classes()});
}

}  // namespace

const Family kConvMixer = {
    .member = v1::Model::kConvmixer,
    .write_defaults = WriteConvMixerDefaults,
    .check = CheckConvMixer,
    .describe = DescribeConvMixer,
};

}  // namespace cvtrain::plan
