#ifndef CVTRAIN_PLAN_NETWORK_COST_H_
#define CVTRAIN_PLAN_NETWORK_COST_H_

#include "absl/status/statusor.h"
#include "plan/network/description.h"
#include "plan/network/shapes.h"

namespace cvtrain::plan {

// FLOPs of the forward pass for one image: two per multiply-add of the convolutions, linear layers
// and products of attention, biases included. Norms, activations, pooling and sums are not counted,
// as is the convention in the literature. A training step is three times this. Errors as
// InferShapes.
absl::StatusOr<double> ForwardFlops(const NetworkDescription& network, ImageSize size);

// FLOPs of a training step over those of its forward pass.
inline constexpr double kTrainingFlopsFactor = 3.0;

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_NETWORK_COST_H_
