#include "worker/trainer/train/sgd.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <utility>

namespace cvtrain::trainer {
namespace {

// The gradient in its parameter's memory format, which the update walks through both in.
at::Tensor AlignedGradient(const at::Tensor& parameter) {
  const at::Tensor& gradient = parameter.grad();
  if (gradient.strides() == parameter.strides()) return gradient;
  return at::empty_like(parameter).copy_(gradient);
}

}  // namespace

Sgd::Sgd(const Options& options, std::vector<Group> groups)
    : options_(options), groups_(std::move(groups)) {
  at::NoGradGuard no_grad;
  for (const Group& group : groups_) {
    std::vector<at::Tensor>& momenta = momenta_.emplace_back();
    for (const at::Tensor& parameter : group.parameters) {
      parameter.mutable_grad() = at::zeros_like(parameter);
      if (options_.momentum != 0) momenta.push_back(at::zeros_like(parameter));
    }
  }
}

void Sgd::Step(double learning_rate) {
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < groups_.size(); ++i) {
    const Group& group = groups_[i];
    if (group.parameters.empty()) continue;
    std::vector<at::Tensor> gradients;
    gradients.reserve(group.parameters.size());
    for (const at::Tensor& parameter : group.parameters) {
      gradients.push_back(AlignedGradient(parameter));
    }
    at::_fused_sgd_(group.parameters, gradients, momenta_[i], group.weight_decay, options_.momentum,
                    learning_rate * group.learning_rate_multiplier,
                    /*dampening=*/0, options_.nesterov, /*maximize=*/false,
                    /*is_first_step=*/false);
  }
}

void Sgd::ZeroGradients() {
  at::NoGradGuard no_grad;
  for (const Group& group : groups_) {
    for (const at::Tensor& parameter : group.parameters) parameter.mutable_grad().zero_();
  }
}

std::vector<Sgd::State> Sgd::States() const {
  std::vector<State> states;
  for (size_t i = 0; i < groups_.size(); ++i) {
    for (size_t j = 0; j < momenta_[i].size(); ++j) {
      states.push_back({groups_[i].names[j], momenta_[i][j]});
    }
  }
  return states;
}

}  // namespace cvtrain::trainer
