#include "worker/trainer/optimizer/adamw.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <utility>

namespace cvtrain::trainer {

AdamW::AdamW(const Options& options, std::vector<ParameterGroup> groups)
    : options_(options), groups_(std::move(groups)) {
  at::NoGradGuard no_grad;
  at::TensorOptions of_step(at::kFloat);
  for (const ParameterGroup& group : groups_) {
    if (!group.parameters.empty()) of_step = of_step.device(group.parameters[0].device());
  }
  step_ = at::zeros({}, of_step);
  for (const ParameterGroup& group : groups_) {
    std::vector<at::Tensor>& means = means_.emplace_back();
    std::vector<at::Tensor>& squares = squares_.emplace_back();
    for (const at::Tensor& parameter : group.parameters) {
      means.push_back(at::zeros_like(parameter));
      squares.push_back(at::zeros_like(parameter));
    }
    steps_.emplace_back(group.parameters.size(), step_);
  }
}

void AdamW::Step(double learning_rate) {
  at::NoGradGuard no_grad;
  step_.add_(1);
  for (size_t i = 0; i < groups_.size(); ++i) {
    const ParameterGroup& group = groups_[i];
    if (group.parameters.empty()) continue;
    at::_fused_adamw_(group.parameters, AlignedGradients(group), means_[i], squares_[i],
                      /*max_exp_avg_sqs=*/{}, steps_[i],
                      learning_rate * group.learning_rate_multiplier, options_.beta1,
                      options_.beta2, group.weight_decay, options_.epsilon, /*amsgrad=*/false,
                      /*maximize=*/false);
  }
}

std::vector<Optimizer::State> AdamW::States() const {
  std::vector<State> states;
  for (size_t i = 0; i < groups_.size(); ++i) {
    for (size_t j = 0; j < means_[i].size(); ++j) {
      states.push_back({"exp_avg/" + groups_[i].names[j], means_[i][j], i});
    }
  }
  for (size_t i = 0; i < groups_.size(); ++i) {
    for (size_t j = 0; j < squares_[i].size(); ++j) {
      states.push_back({"exp_avg_sq/" + groups_[i].names[j], squares_[i][j], i});
    }
  }
  states.push_back({"optimizer/step", step_, 0});
  return states;
}

}  // namespace cvtrain::trainer
