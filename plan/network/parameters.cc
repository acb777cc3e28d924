#include "plan/network/parameters.h"

#include <utility>

#include "common/status_macros.h"

namespace cvtrain::plan {
namespace {

// Appends the tensors of one layer, in torch's order of registration.
struct TensorCollector {
  const Layer& layer;
  int index;
  std::vector<TensorSpec>& tensors;

  void Add(const char* name, TensorKind kind, TensorInit init, std::vector<int64_t> shape,
           int64_t fan = 0) const {
    tensors.push_back({layer.name + "." + name, index, kind, init, std::move(shape), fan});
  }

  void operator()(const Conv2d& conv) const {
    const int64_t area = conv.kernel * conv.kernel;
    Add("weight", TensorKind::kWeight, TensorInit::kKaimingNormalFanOut,
        {conv.out_channels, conv.in_channels / conv.groups, conv.kernel, conv.kernel},
        conv.out_channels / conv.groups * area);
    if (conv.bias) {
      Add("bias", TensorKind::kBias, TensorInit::kUniformFanIn, {conv.out_channels},
          conv.in_channels / conv.groups * area);
    }
  }

  void operator()(const BatchNorm2d& norm) const {
    Add("weight", TensorKind::kNormWeight, norm.zero_init ? TensorInit::kZeros : TensorInit::kOnes,
        {norm.channels});
    Add("bias", TensorKind::kNormBias, TensorInit::kZeros, {norm.channels});
    Add("running_mean", TensorKind::kRunningMean, TensorInit::kZeros, {norm.channels});
    Add("running_var", TensorKind::kRunningVar, TensorInit::kOnes, {norm.channels});
    Add("num_batches_tracked", TensorKind::kBatchCounter, TensorInit::kZeros, {});
  }

  void operator()(const Linear& linear) const {
    Add("weight", TensorKind::kWeight, TensorInit::kUniformFanIn,
        {linear.out_features, linear.in_features}, linear.in_features);
    Add("bias", TensorKind::kBias, TensorInit::kUniformFanIn, {linear.out_features},
        linear.in_features);
  }

  void operator()(const Relu&) const {}
  void operator()(const MaxPool2d&) const {}
  void operator()(const GlobalAvgPool&) const {}
  void operator()(const plan::Add&) const {}
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
  switch (kind) {
    case TensorKind::kWeight:
    case TensorKind::kBias:
    case TensorKind::kNormWeight:
    case TensorKind::kNormBias:
      return true;
    case TensorKind::kRunningMean:
    case TensorKind::kRunningVar:
    case TensorKind::kBatchCounter:
      return false;
  }
  CVT_CHECK(false) << "unknown TensorKind";
  return false;
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
    const int64_t width =
        tensor.kind == TensorKind::kBatchCounter ? sizeof(int64_t) : sizeof(float);
    bytes += tensor.ElementCount() * width;
  }
  return bytes;
}

}  // namespace cvtrain::plan
