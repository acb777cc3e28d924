#ifndef CVTRAIN_WORKER_TRAINER_OPTIMIZER_OPTIMIZER_H_
#define CVTRAIN_WORKER_TRAINER_OPTIMIZER_OPTIMIZER_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace cvtrain::v1 {
class Optimizer;
}  // namespace cvtrain::v1

namespace cvtrain::trainer {

// Parameters that are changed alike.
struct ParameterGroup {
  std::vector<std::string> names;
  std::vector<at::Tensor> parameters;  // leaves that require gradients
  double learning_rate_multiplier = 1;
  double weight_decay = 0;
};

// Changes parameters by their gradients: all tensors of a group in one call, without a loop over
// them. Each kind is a file in this folder and a line in Create(). Thread-compatible. Throws
// c10::Error.
class Optimizer {
 public:
  // `spec` is resolved; weight decay is that of the groups. Creates gradients of zeros, in the
  // parameters' memory format, and keeps them: backward passes accumulate into them.
  static std::unique_ptr<Optimizer> Create(const cvtrain::v1::Optimizer& spec,
                                           std::vector<ParameterGroup> groups);

  virtual ~Optimizer() = default;

  // One update of every parameter from its gradient. `learning_rate`: of this step, before the
  // groups' multipliers.
  virtual void Step(double learning_rate) = 0;

  struct State {
    std::string name;  // in checkpoints: "momentum/conv1.weight"
    at::Tensor tensor;
    size_t group = 0;
  };
  // All that the next step depends on beside parameters and gradients, in a fixed order.
  virtual std::vector<State> States() const = 0;
};

// Of each parameter of `group`, its gradient in the parameter's memory format, which updates walk
// through both in. For the kinds of optimizers.
std::vector<at::Tensor> AlignedGradients(const ParameterGroup& group);

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_OPTIMIZER_OPTIMIZER_H_
