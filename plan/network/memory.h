#ifndef CVTRAIN_PLAN_NETWORK_MEMORY_H_
#define CVTRAIN_PLAN_NETWORK_MEMORY_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "plan/network/description.h"
#include "plan/network/shapes.h"

namespace cvtrain::plan {

// Whether each layer, by index, may put its output where its input was: it is an activation whose
// backward pass needs its output only (ReLU; that of ReLU6 wants its input, and LibTorch would copy
// it), and nobody else needs its input. This saves the memory of one activation for each norm.
std::vector<bool> OverwritesInput(const NetworkDescription& network);

// Bytes that the forward pass of one image leaves for the backward pass, in float32: the inputs
// and outputs that layers need for their gradients, each once, the indices of max pooling (8 bytes
// each), and what attention keeps inside. `frozen`, by layer, are not trained; empty means none.
// What comes before the first layer that is trained leaves nothing. Errors as InferShapes.
absl::StatusOr<int64_t> ActivationBytes(const NetworkDescription& network, ImageSize size,
                                        const std::vector<bool>& frozen = {});

struct MemoryOptions {
  ImageSize size;
  // Images that are run at once: a micro-batch of one logical rank.
  int64_t batch_size = 1;
  // Numbers that the optimizer keeps per trained parameter: 1 for momentum, 2 for AdamW.
  int optimizer_state_per_parameter = 1;
  // Averages of parameters and buffers are kept beside them.
  bool averaged = false;
  // By layer; empty means none.
  std::vector<bool> frozen = {};
  // Convolutions and products are computed in 16 bits.
  bool half_precision = false;
  // Images that are made ready at once where they are run in parts: those of a logical rank.
  int64_t whole_batch_size = 0;
  // Something before the network is trained, so gradients go through all of it.
  bool input_has_gradient = false;
};

// Predicted peak of one process's memory, bytes: kProcessBytes, parameters with gradients and
// optimizer state, buffers, averages, and the most that a step of one micro-batch takes at a time,
// followed layer by layer: outputs that are alive or kept for the backward pass, gradients that are
// alive, and the scratch of a layer. Logical ranks that share a process run one after the other, so
// their number does not matter. Within 15 % of what tensors take on a CPU, for every family
// (tests/unit/worker/trainer/train/memory_forecast_test.cc). Errors as InferShapes.
absl::StatusOr<int64_t> PeakMemoryBytes(const NetworkDescription& network,
                                        const MemoryOptions& options);

// A trainer before its first trial: its code, the libraries and their pools.
inline constexpr int64_t kProcessBytes = int64_t{256} << 20;

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_NETWORK_MEMORY_H_
