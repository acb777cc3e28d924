#ifndef CVTRAIN_PLAN_NETWORK_COST_H_
#define CVTRAIN_PLAN_NETWORK_COST_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "plan/network/description.h"

namespace cvtrain::plan {

// Shape of one image inside the network.
struct Shape {
  int64_t channels = 0;
  int64_t height = 0;
  int64_t width = 0;

  int64_t ElementCount() const { return channels * height * width; }
  friend bool operator==(const Shape&, const Shape&) = default;
};

// Size of an input image, pixels.
struct ImageSize {
  int64_t height = 0;
  int64_t width = 0;
};

// Shape of each layer's output, by index.
//
// Returns INVALID_ARGUMENT (RECIPE_INVALID) if the image is so small that a
// layer would be empty, and INTERNAL if the description contradicts itself
// (channels that do not match, an edge to a later layer).
absl::StatusOr<std::vector<Shape>> InferShapes(const NetworkDescription& network, ImageSize size);

// FLOPs of the forward pass for one image: two per multiply-add of the
// convolutions and linear layers, biases included. Norms, activations, pooling
// and sums are not counted, as is the convention in the literature. A training
// step is three times this. Errors as InferShapes.
absl::StatusOr<double> ForwardFlops(const NetworkDescription& network, ImageSize size);

// FLOPs of a training step over those of its forward pass.
inline constexpr double kTrainingFlopsFactor = 3.0;

// Bytes that the forward pass of one image leaves for the backward pass, in
// float32: the image, what convolutions, activations and pooling put out, and
// the indices of max pooling (8 bytes each). The outputs of norms and sums are
// overwritten by the activation after them. Errors as InferShapes.
absl::StatusOr<int64_t> ActivationBytes(const NetworkDescription& network, ImageSize size);

struct MemoryOptions {
  ImageSize size;
  // Images of one micro-batch: those of one logical rank.
  int64_t batch_size = 1;
  // Numbers that the optimizer keeps per parameter: 1 for momentum.
  int optimizer_state_per_parameter = 1;
};

// Predicted peak of one process's memory, bytes: kProcessBytes, parameters
// with gradients and optimizer state, buffers, the activations of one
// micro-batch, and the gradients of its two largest tensors. Logical ranks
// that share a process run one after the other, so their number does not
// matter. Errors as InferShapes.
absl::StatusOr<int64_t> PeakMemoryBytes(const NetworkDescription& network,
                                        const MemoryOptions& options);

// A trainer before its first trial: its code, the libraries and their pools.
inline constexpr int64_t kProcessBytes = int64_t{256} << 20;

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_NETWORK_COST_H_
