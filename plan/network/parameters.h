#ifndef CVTRAIN_PLAN_NETWORK_PARAMETERS_H_
#define CVTRAIN_PLAN_NETWORK_PARAMETERS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "plan/network/description.h"

namespace cvtrain::plan {

// What a tensor is to its layer, which has at most one of each.
enum class TensorKind {
  kWeight,        // of a convolution or a linear layer
  kBias,          // of the same
  kNormWeight,    // of a norm
  kNormBias,      // of a norm
  kRunningMean,   // buffer: not trained
  kRunningVar,    // buffer: not trained
  kBatchCounter,  // buffer: one int64, `num_batches_tracked`
  kQueryKeyValueWeight,
  kQueryKeyValueBias,
  kProjectionWeight,
  kProjectionBias,
  kOffsetBias,   // of attention in windows, by offset and head
  kOffsetIndex,  // buffer: int64, the row of kOffsetBias for each pair of places
  kClassToken,
  kPositions,  // what is added to tokens for where they are
};
inline constexpr int kTensorKindCount = 15;

// How a tensor starts; the trainer does the drawing.
enum class TensorInit {
  kZeros,
  kOnes,
  kNormal,   // mean 0, deviation `scale`
  kUniform,  // in +-`scale`
  // The offsets of the places of a window of side `scale`, as rows of kOffsetBias.
  kOffsets,
};

struct TensorSpec {
  // As in torchvision's state_dict(): `layer1.0.bn1.running_mean`.
  std::string name;
  // Index into NetworkDescription::layers.
  int layer = 0;
  TensorKind kind = TensorKind::kWeight;
  TensorInit init = TensorInit::kZeros;
  std::vector<int64_t> shape;
  double scale = 0;

  int64_t ElementCount() const;
  // Trained by the optimizer; the others are buffers.
  bool IsParameter() const;
  // Integers of 64 bits; the others are float32.
  bool IsInteger() const;
  // Weights of convolutions, linear layers and projections decay; norms, biases and what is learned
  // about places do not unless asked.
  bool Decays() const;
};

// All tensors of the network's state, parameters and buffers, layer by layer.
std::vector<TensorSpec> StateTensors(const NetworkDescription& network);

// Numbers that are trained.
int64_t ParameterCount(const NetworkDescription& network);

// Bytes of parameters (float32) and of buffers.
int64_t ParameterBytes(const NetworkDescription& network);
int64_t BufferBytes(const NetworkDescription& network);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_NETWORK_PARAMETERS_H_
