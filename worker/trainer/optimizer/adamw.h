#ifndef CVTRAIN_WORKER_TRAINER_OPTIMIZER_ADAMW_H_
#define CVTRAIN_WORKER_TRAINER_OPTIMIZER_ADAMW_H_

#include <ATen/core/Tensor.h>

#include <vector>

#include "worker/trainer/optimizer/optimizer.h"

namespace cvtrain::trainer {

// Adam with decoupled weight decay (Loshchilov and Hutter 2017), as torch::optim::AdamW computes
// it. At step t, counting from 1:
//
//   w -= rate * weight_decay * w
//   m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
//   w -= rate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
class AdamW : public Optimizer {
 public:
  struct Options {
    double beta1 = 0.9;  // in [0, 1), both
    double beta2 = 0.999;
    double epsilon = 1e-8;
  };
  AdamW(const Options& options, std::vector<ParameterGroup> groups);

  void Step(double learning_rate) override;
  // `exp_avg/NAME` (m) of each parameter in order of groups, `exp_avg_sq/NAME` (v), and
  // `optimizer/step` (t).
  std::vector<State> States() const override;

 private:
  const Options options_;
  const std::vector<ParameterGroup> groups_;
  // By group and parameter.
  std::vector<std::vector<at::Tensor>> means_, squares_;
  at::Tensor step_;                             // t, one float32: all parameters share it
  std::vector<std::vector<at::Tensor>> steps_;  // the same, as often as a group has parameters
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_OPTIMIZER_ADAMW_H_
