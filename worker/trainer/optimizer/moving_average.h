#ifndef CVTRAIN_WORKER_TRAINER_OPTIMIZER_MOVING_AVERAGE_H_
#define CVTRAIN_WORKER_TRAINER_OPTIMIZER_MOVING_AVERAGE_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace cvtrain::trainer {

// Exponential moving averages of tensors, in one call for all of them (v1.Ema has the formula).
// They begin as copies. Thread-compatible. Throws c10::Error.
class MovingAverage {
 public:
  struct Options {
    double decay = 0.9999;  // in [0, 1)
    int32_t every_steps = 1;
    bool warmup = true;
  };

  // `sources`, which must be floating point, keep their memory for the life of this.
  MovingAverage(const Options& options, std::vector<at::Tensor> sources);

  // To be called when a step is done; `steps_done` counts it, so the first one is 1.
  void Update(int64_t steps_done);

  // Makes them copies again: the sources have become something else.
  void Restart();

  // In the order of the sources. The same tensors for life.
  const std::vector<at::Tensor>& averages() const { return averages_; }

 private:
  const Options options_;
  const std::vector<at::Tensor> sources_;
  std::vector<at::Tensor> averages_;
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_OPTIMIZER_MOVING_AVERAGE_H_
