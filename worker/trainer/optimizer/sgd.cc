#include "worker/trainer/optimizer/sgd.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <utility>

namespace cvtrain::trainer {

Sgd::Sgd(const Options& options, std::vector<ParameterGroup> groups)
    : options_(options), groups_(std::move(groups)) {
  at::NoGradGuard no_grad;
  for (const ParameterGroup& group : groups_) {
    std::vector<at::Tensor>& momenta = momenta_.emplace_back();
    if (options_.momentum == 0) continue;
    for (const at::Tensor& parameter : group.parameters) {
      momenta.push_back(at::zeros_like(parameter));
    }
  }
}

void Sgd::Step(double learning_rate) {
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < groups_.size(); ++i) {
    const ParameterGroup& group = groups_[i];
    if (group.parameters.empty()) continue;
    at::_fused_sgd_(group.parameters, AlignedGradients(group), momenta_[i], group.weight_decay,
                    options_.momentum, learning_rate * group.learning_rate_multiplier,
                    /*dampening=*/0, options_.nesterov, /*maximize=*/false,
                    /*is_first_step=*/false);
  }
}

std::vector<Optimizer::State> Sgd::States() const {
  std::vector<State> states;
  for (size_t i = 0; i < groups_.size(); ++i) {
    for (size_t j = 0; j < momenta_[i].size(); ++j) {
      states.push_back({"momentum/" + groups_[i].names[j], momenta_[i][j], i});
    }
  }
  return states;
}

}  // namespace cvtrain::trainer
