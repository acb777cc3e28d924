#include "worker/trainer/optimizer/optimizer.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <utility>

#include "cvtrain/v1/recipe.pb.h"
#include "worker/trainer/optimizer/adamw.h"
#include "worker/trainer/optimizer/sgd.h"

namespace cvtrain::trainer {

std::unique_ptr<Optimizer> Optimizer::Create(const cvtrain::v1::Optimizer& spec,
                                             std::vector<ParameterGroup> groups) {
  at::NoGradGuard no_grad;
  for (const ParameterGroup& group : groups) {
    for (const at::Tensor& parameter : group.parameters) {
      parameter.mutable_grad() = at::zeros_like(parameter);
    }
  }
  if (spec.has_adamw()) {
    const cvtrain::v1::AdamW& adamw = spec.adamw();
    return std::make_unique<AdamW>(
        AdamW::Options{.beta1 = adamw.beta1(), .beta2 = adamw.beta2(), .epsilon = adamw.epsilon()},
        std::move(groups));
  }
  const cvtrain::v1::Sgd& sgd = spec.sgd();
  return std::make_unique<Sgd>(Sgd::Options{.momentum = sgd.momentum(), .nesterov = sgd.nesterov()},
                               std::move(groups));
}

std::vector<at::Tensor> AlignedGradients(const ParameterGroup& group) {
  std::vector<at::Tensor> gradients;
  gradients.reserve(group.parameters.size());
  for (const at::Tensor& parameter : group.parameters) {
    const at::Tensor& gradient = parameter.grad();
    gradients.push_back(gradient.strides() == parameter.strides()
                            ? gradient
                            : at::empty_like(parameter).copy_(gradient));
  }
  return gradients;
}

}  // namespace cvtrain::trainer
