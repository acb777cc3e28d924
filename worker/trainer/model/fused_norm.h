#ifndef CVTRAIN_WORKER_TRAINER_MODEL_FUSED_NORM_H_
#define CVTRAIN_WORKER_TRAINER_MODEL_FUSED_NORM_H_

#include <ATen/core/Tensor.h>

// Batch normalization with the addition and the ReLU that follow it in residual networks, on a CPU.
//
// LibTorch runs through memory once for each of them, and through it again for each on the way
// back. Here it is once to find mean and variance and once for all the rest, forwards; the same
// backwards. Results agree with LibTorch's to rounding, and are the same bits for the same threads
// and instruction set.
namespace cvtrain::trainer {

struct FusedNorm {
  // C each; trained or not.
  at::Tensor weight = {};
  at::Tensor bias = {};
  // C each, updated in place with the statistics of the batch (the unbiased variance), weighed by
  // `momentum`; undefined: none are kept.
  at::Tensor running_mean = {};
  at::Tensor running_var = {};
  double momentum = 0.1;
  double epsilon = 1e-5;
  // Added after normalization, of the shape of the input; undefined: nothing.
  at::Tensor added = {};
  bool relu = false;

  // relu(norm(x) + added), with the statistics of `x` itself: B x C x H x W, fp32, on the CPU, in
  // either memory format, which the result has, too; or B x C. Differentiable in x, weight, bias
  // and added.
  at::Tensor Apply(const at::Tensor& x) const;
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_MODEL_FUSED_NORM_H_
