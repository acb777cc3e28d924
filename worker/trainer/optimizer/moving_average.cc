#include "worker/trainer/optimizer/moving_average.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <utility>

namespace cvtrain::trainer {

MovingAverage::MovingAverage(const Options& options, std::vector<at::Tensor> sources)
    : options_(options), sources_(std::move(sources)) {
  at::NoGradGuard no_grad;
  // clone() keeps the memory format.
  for (const at::Tensor& source : sources_) averages_.push_back(source.detach().clone());
}

void MovingAverage::Restart() {
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < sources_.size(); ++i) averages_[i].copy_(sources_[i]);
}

void MovingAverage::Update(int64_t steps_done) {
  if (steps_done % options_.every_steps != 0) return;
  double decay = options_.decay;
  if (options_.warmup) {
    const double updates = static_cast<double>(steps_done / options_.every_steps - 1);
    decay = std::min(decay, (1 + updates) / (10 + updates));
  }
  at::NoGradGuard no_grad;
  at::_foreach_lerp_(averages_, sources_, 1 - decay);
}

}  // namespace cvtrain::trainer
