#ifndef CVTRAIN_PLAN_NETWORK_MEMORY_H_
#define CVTRAIN_PLAN_NETWORK_MEMORY_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "plan/network/description.h"
#include "plan/network/shapes.h"

namespace cvtrain::plan {

// Whether each layer, by index, may put its output where its input was: it is an activation whose
// backward pass needs its output only, and nobody else needs its input. This saves the memory of
// one activation for each norm.
std::vector<bool> OverwritesInput(const NetworkDescription& network);

// Bytes that the forward pass of one image leaves for the backward pass, in float32: the inputs
// and outputs that layers need for their gradients, each once, the indices of max pooling (8 bytes
// each), and what attention keeps inside. Errors as InferShapes.
absl::StatusOr<int64_t> ActivationBytes(const NetworkDescription& network, ImageSize size);

struct MemoryOptions {
  ImageSize size;
  // Images of one micro-batch: those of one logical rank.
  int64_t batch_size = 1;
  // Numbers that the optimizer keeps per parameter: 1 for momentum.
  int optimizer_state_per_parameter = 1;
};

// Predicted peak of one process's memory, bytes: kProcessBytes, parameters with gradients and
// optimizer state, buffers, the activations of one micro-batch, and the gradients of its two
// largest tensors. Logical ranks that share a process run one after the other, so their number does
// not matter. Errors as InferShapes.
absl::StatusOr<int64_t> PeakMemoryBytes(const NetworkDescription& network,
                                        const MemoryOptions& options);

// A trainer before its first trial: its code, the libraries and their pools.
inline constexpr int64_t kProcessBytes = int64_t{256} << 20;

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_NETWORK_MEMORY_H_
