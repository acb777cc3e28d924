#ifndef CVTRAIN_WORKER_TRAINER_OPTIMIZER_GRADIENTS_H_
#define CVTRAIN_WORKER_TRAINER_OPTIMIZER_GRADIENTS_H_

#include <ATen/core/Tensor.h>

#include <vector>

namespace cvtrain::trainer {

// What is done to all gradients at once. They throw c10::Error.

// The gradients of `parameters`, each of which has one.
std::vector<at::Tensor> GradientsOf(const std::vector<at::Tensor>& parameters);

// Makes the gradients zero, in place: backward passes and reducers go on using the same memory.
void ZeroGradients(const std::vector<at::Tensor>& parameters);

// Scales `gradients` so that their L2 norm, over all of them together, is at most `norm_max`; as
// torch's clip_grad_norm_(). Returns the norm that they had.
double ClipGradientNorm(std::vector<at::Tensor> gradients, double norm_max);

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_OPTIMIZER_GRADIENTS_H_
