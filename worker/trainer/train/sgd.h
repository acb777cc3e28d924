#ifndef CVTRAIN_WORKER_TRAINER_TRAIN_SGD_H_
#define CVTRAIN_WORKER_TRAINER_TRAIN_SGD_H_

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace cvtrain::trainer {

// Stochastic gradient descent with momentum, as torch::optim::SGD computes it, over all tensors of
// a group in one pass over the memory.
//
//   g = gradient + weight_decay * w;  m = momentum * m + g
//   w -= rate * (nesterov ? g + momentum * m : m)
//
// Momentum starts at zero, which makes the first step that of torch. Thread-compatible. Throws
// c10::Error.
class Sgd {
 public:
  struct Options {
    double momentum = 0;  // in [0, 1)
    bool nesterov = false;
  };
  struct Group {
    std::vector<std::string> names;
    std::vector<at::Tensor> parameters;  // leaves that require gradients
    double learning_rate_multiplier = 1;
    double weight_decay = 0;
  };

  // Creates gradients of zeros, in the parameters' memory format, and keeps them: backward passes
  // accumulate into them.
  Sgd(const Options& options, std::vector<Group> groups);

  // One update of every parameter from its gradient.
  void Step(double learning_rate);

  // Gradients become zero, in place.
  void ZeroGradients();

  // The momentum of each parameter, in order of groups; empty without momentum.
  struct State {
    std::string parameter;
    at::Tensor momentum;
  };
  std::vector<State> States() const;

 private:
  const Options options_;
  const std::vector<Group> groups_;
  std::vector<std::vector<at::Tensor>> momenta_;  // by group and parameter
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_TRAIN_SGD_H_
