#ifndef CVTRAIN_WORKER_TRAINER_OPTIMIZER_LOSS_SCALER_H_
#define CVTRAIN_WORKER_TRAINER_OPTIMIZER_LOSS_SCALER_H_

#include <ATen/core/Tensor.h>

#include <vector>

namespace cvtrain::trainer {

// Keeps small gradients of float16 from vanishing: losses are multiplied by a scale before the
// backward pass, gradients divided by it after. The scale halves when a gradient overflows, and
// doubles after 2,000 steps without; torch's GradScaler with its defaults. Thread-compatible.
// Throws c10::Error.
class LossScaler {
 public:
  // `place`: where the gradients are.
  explicit LossScaler(at::Device place = at::Device(at::DeviceType::CPU));

  double scale() const;

  // Divides `gradients` by the scale, in place; false if one of them is not finite: the step must
  // be left out. All ranks get the same answer, since they have the same gradients.
  bool Unscale(std::vector<at::Tensor> gradients);
  // Ends the step that Unscale() began.
  void Update();

  // `scale` and the steps since it changed: what checkpoints keep.
  const at::Tensor& scale_tensor() const { return scale_; }
  const at::Tensor& good_steps() const { return good_steps_; }

 private:
  at::Tensor scale_;       // one float32
  at::Tensor good_steps_;  // one int32
  at::Tensor overflow_;    // one float32: of the step under way
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_OPTIMIZER_LOSS_SCALER_H_
