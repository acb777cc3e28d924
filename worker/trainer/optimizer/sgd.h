#ifndef CVTRAIN_WORKER_TRAINER_OPTIMIZER_SGD_H_
#define CVTRAIN_WORKER_TRAINER_OPTIMIZER_SGD_H_

#include <ATen/core/Tensor.h>

#include <vector>

#include "worker/trainer/optimizer/optimizer.h"

namespace cvtrain::trainer {

// Stochastic gradient descent with momentum, as torch::optim::SGD computes it.
//
//   g = gradient + weight_decay * w;  m = momentum * m + g
//   w -= rate * (nesterov ? g + momentum * m : m)
//
// Momentum starts at zero, which makes the first step that of torch.
class Sgd : public Optimizer {
 public:
  struct Options {
    double momentum = 0;  // in [0, 1)
    bool nesterov = false;
  };
  Sgd(const Options& options, std::vector<ParameterGroup> groups);

  void Step(double learning_rate) override;
  // `momentum/NAME` of each parameter, in order of groups; nothing without momentum.
  std::vector<State> States() const override;

 private:
  const Options options_;
  const std::vector<ParameterGroup> groups_;
  std::vector<std::vector<at::Tensor>> momenta_;  // by group and parameter
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_OPTIMIZER_SGD_H_
