#include "plan/network/parameters.h"

#include <cmath>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"

namespace cvtrain::plan {
namespace {

// Of transformers: Dosovitskiy et al. and Liu et al., whose truncation at two is out of reach.
constexpr double kEmbeddingDeviation = 0.02;
// timm's class token.
constexpr double kClassTokenDeviation = 1e-6;

struct Start {
  TensorInit init = TensorInit::kZeros;
  double scale = 0;
};

double OneOverRoot(int64_t fan) { return 1.0 / std::sqrt(static_cast<double>(fan)); }

Start StartOf(const WeightInit& init, int64_t fan_in, int64_t fan_out) {
  switch (init.kind) {
    case WeightInit::Kind::kKaimingNormalFanOut:
      return {TensorInit::kNormal, std::sqrt(2.0 / static_cast<double>(fan_out))};
    case WeightInit::Kind::kUniformFanIn:
      return {TensorInit::kUniform, OneOverRoot(fan_in)};
    case WeightInit::Kind::kUniformFanOut:
      return {TensorInit::kUniform, OneOverRoot(fan_out)};
    case WeightInit::Kind::kNormal:
      return {TensorInit::kNormal, init.deviation};
  }
  CVT_CHECK(false) << "unknown WeightInit";
  return {};
}

Start StartOf(BiasInit init, int64_t fan_in) {
  if (init == BiasInit::kZeros) return {};
  return {TensorInit::kUniform, OneOverRoot(fan_in)};
}

// Appends the tensors of one layer, in torch's order of registration.
struct TensorCollector {
  const Layer& layer;
  int index;
  std::vector<TensorSpec>& tensors;

  void Append(std::string name, TensorKind kind, std::vector<int64_t> shape, Start start) const {
    tensors.push_back({std::move(name), index, kind, start.init, std::move(shape), start.scale});
  }
  void Add(const char* name, TensorKind kind, std::vector<int64_t> shape, Start start = {}) const {
    Append(absl::StrCat(layer.name, ".", name), kind, std::move(shape), start);
  }

  void AddProjections(int64_t channels) const {
    const Start start = {TensorInit::kNormal, kEmbeddingDeviation};
    Add("qkv.weight", TensorKind::kQueryKeyValueWeight, {3 * channels, channels}, start);
    Add("qkv.bias", TensorKind::kQueryKeyValueBias, {3 * channels});
    Add("proj.weight", TensorKind::kProjectionWeight, {channels, channels}, start);
    Add("proj.bias", TensorKind::kProjectionBias, {channels});
  }

  void operator()(const Conv2d& conv) const {
    const int64_t area = conv.kernel * conv.kernel;
    const int64_t fan_in = conv.in_channels / conv.groups * area;
    Add("weight", TensorKind::kWeight,
        {conv.out_channels, conv.in_channels / conv.groups, conv.kernel, conv.kernel},
        StartOf(conv.init, fan_in, conv.out_channels / conv.groups * area));
    if (conv.bias) {
      Add("bias", TensorKind::kBias, {conv.out_channels}, StartOf(conv.bias_init, fan_in));
    }
  }

  void operator()(const BatchNorm& norm) const {
    Add("weight", TensorKind::kNormWeight, {norm.channels},
        {norm.zero_init ? TensorInit::kZeros : TensorInit::kOnes});
    Add("bias", TensorKind::kNormBias, {norm.channels});
    Add("running_mean", TensorKind::kRunningMean, {norm.channels});
    Add("running_var", TensorKind::kRunningVar, {norm.channels}, {TensorInit::kOnes});
    Add("num_batches_tracked", TensorKind::kBatchCounter, {});
  }

  void operator()(const LayerNorm& norm) const {
    Add("weight", TensorKind::kNormWeight, {norm.channels}, {TensorInit::kOnes});
    Add("bias", TensorKind::kNormBias, {norm.channels});
  }

  void operator()(const Linear& linear) const {
    Add("weight", TensorKind::kWeight, {linear.out_features, linear.in_features},
        StartOf(linear.init, linear.in_features, linear.out_features));
    if (linear.bias) {
      Add("bias", TensorKind::kBias, {linear.out_features},
          StartOf(linear.bias_init, linear.in_features));
    }
  }

  // Named like the attributes of the model itself, as timm does.
  void operator()(const EmbedTokens& tokens) const {
    Append("cls_token", TensorKind::kClassToken, {1, 1, tokens.channels},
           {TensorInit::kNormal, kClassTokenDeviation});
    Append("pos_embed", TensorKind::kPositions,
           {1, 1 + tokens.grid_height * tokens.grid_width, tokens.channels},
           {TensorInit::kNormal, kEmbeddingDeviation});
  }

  void operator()(const SelfAttention& attention) const { AddProjections(attention.channels); }

  void operator()(const WindowAttention& attention) const {
    const int64_t offsets = 2 * attention.window - 1;
    const int64_t places = attention.window * attention.window;
    Add("relative_position_bias_table", TensorKind::kOffsetBias,
        {offsets * offsets, attention.heads}, {TensorInit::kNormal, kEmbeddingDeviation});
    Add("relative_position_index", TensorKind::kOffsetIndex, {places * places},
        {TensorInit::kOffsets, static_cast<double>(attention.window)});
    AddProjections(attention.channels);
  }

  void operator()(const Activation&) const {}
  void operator()(const MaxPool2d&) const {}
  void operator()(const AdaptiveAvgPool2d&) const {}
  void operator()(const GlobalAvgPool&) const {}
  void operator()(const GridAvgPool&) const {}
  void operator()(const Flatten&) const {}
  void operator()(const plan::Add&) const {}
  void operator()(const ScaleChannels&) const {}
  void operator()(const Dropout&) const {}
  void operator()(const DropPath&) const {}
  void operator()(const ToGrid&) const {}
  void operator()(const ClassToken&) const {}
  void operator()(const MergePatches&) const {}
};

}  // namespace

int64_t TensorSpec::ElementCount() const {
  int64_t count = 1;
  for (int64_t side : shape) {
    count *= side;
  }
  return count;
}

bool TensorSpec::IsParameter() const {
  return kind != TensorKind::kRunningMean && kind != TensorKind::kRunningVar && !IsInteger();
}

bool TensorSpec::IsInteger() const {
  return kind == TensorKind::kBatchCounter || kind == TensorKind::kOffsetIndex;
}

bool TensorSpec::Decays() const {
  return kind == TensorKind::kWeight || kind == TensorKind::kQueryKeyValueWeight ||
         kind == TensorKind::kProjectionWeight;
}

std::vector<TensorSpec> StateTensors(const NetworkDescription& network) {
  std::vector<TensorSpec> tensors;
  for (size_t i = 0; i < network.layers.size(); ++i) {
    const Layer& layer = network.layers[i];
    std::visit(TensorCollector{layer, static_cast<int>(i), tensors}, layer.op);
  }
  return tensors;
}

int64_t ParameterCount(const NetworkDescription& network) {
  int64_t count = 0;
  for (const TensorSpec& tensor : StateTensors(network)) {
    if (tensor.IsParameter()) count += tensor.ElementCount();
  }
  return count;
}

int64_t ParameterBytes(const NetworkDescription& network) {
  return ParameterCount(network) * int64_t{sizeof(float)};
}

int64_t BufferBytes(const NetworkDescription& network) {
  int64_t bytes = 0;
  for (const TensorSpec& tensor : StateTensors(network)) {
    if (tensor.IsParameter()) continue;
    bytes += tensor.ElementCount() *
             static_cast<int64_t>(tensor.IsInteger() ? sizeof(int64_t) : sizeof(float));
  }
  return bytes;
}

}  // namespace cvtrain::plan
