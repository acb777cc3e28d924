#include "worker/trainer/optimizer/gradients.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>

namespace cvtrain::trainer {
namespace {

// What torch adds to the norm before it divides by it.
constexpr double kNormEpsilon = 1e-6;

}  // namespace

std::vector<at::Tensor> GradientsOf(const std::vector<at::Tensor>& parameters) {
  std::vector<at::Tensor> gradients;
  gradients.reserve(parameters.size());
  for (const at::Tensor& parameter : parameters) gradients.push_back(parameter.grad());
  return gradients;
}

void ZeroGradients(const std::vector<at::Tensor>& parameters) {
  at::NoGradGuard no_grad;
  at::_foreach_zero_(GradientsOf(parameters));
}

double ClipGradientNorm(std::vector<at::Tensor> gradients, double norm_max) {
  at::NoGradGuard no_grad;
  const double norm = at::stack(at::_foreach_norm(gradients, 2)).norm(2).item<double>();
  const double scale = std::min(norm_max / (norm + kNormEpsilon), 1.0);
  // Also if the norm is not a number, which the gradients then become too.
  if (!(scale >= 1)) at::_foreach_mul_(gradients, scale);
  return norm;
}

}  // namespace cvtrain::trainer
