#ifndef CVTRAIN_PLAN_NETWORK_PARAMETERS_H_
#define CVTRAIN_PLAN_NETWORK_PARAMETERS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "plan/network/description.h"

namespace cvtrain::plan {

enum class TensorKind {
  kWeight,        // of a convolution or a linear layer
  kBias,          // of the same
  kNormWeight,    // of a batch norm
  kNormBias,      // of a batch norm
  kRunningMean,   // buffer: not trained
  kRunningVar,    // buffer: not trained
  kBatchCounter,  // buffer: one int64, `num_batches_tracked`
};

// How a tensor starts; the trainer does the drawing.
enum class TensorInit {
  kZeros,
  kOnes,
  // Normal with mean 0 and variance 2 / fan_out, fan_out = out_channels /
  // groups * kernel^2 (He et al.; torchvision's ResNet).
  kKaimingNormalFanOut,
  // Uniform in +-1/sqrt(fan_in): what torch gives a linear layer.
  kUniformFanIn,
};

struct TensorSpec {
  // As in torchvision's state_dict(): `layer1.0.bn1.running_mean`.
  std::string name;
  // Index into NetworkDescription::layers.
  int layer = 0;
  TensorKind kind = TensorKind::kWeight;
  TensorInit init = TensorInit::kZeros;
  std::vector<int64_t> shape;
  // For the two random inits, else 0.
  int64_t fan = 0;

  int64_t ElementCount() const;
  // Trained by the optimizer; the others are buffers.
  bool IsParameter() const;
};

// All tensors of the network's state, parameters and buffers, in torchvision's
// order of state_dict().
std::vector<TensorSpec> StateTensors(const NetworkDescription& network);

// Numbers that are trained.
int64_t ParameterCount(const NetworkDescription& network);

// Bytes of parameters (float32) and of buffers.
int64_t ParameterBytes(const NetworkDescription& network);
int64_t BufferBytes(const NetworkDescription& network);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_NETWORK_PARAMETERS_H_
