#include "worker/trainer/train/progress_meter.h"

#include <algorithm>
#include <cmath>

namespace cvtrain::trainer {
namespace {

// Older steps fade from the rate with this time constant.
constexpr double kRateSeconds = 2.0;

}  // namespace

void ProgressMeter::AddStep(int64_t samples, double flops, absl::Duration duration) {
  axes_.samples += samples;
  axes_.flops += flops;
  AddOther(duration);
  const double seconds = std::max(absl::ToDoubleSeconds(duration), 1e-9);
  const double rate = static_cast<double>(samples) / seconds;
  const double weight = images_per_second_ == 0 ? 1 : 1 - std::exp(-seconds / kRateSeconds);
  images_per_second_ += weight * (rate - images_per_second_);
}

void ProgressMeter::AddOther(absl::Duration duration) {
  axes_.wall_time += duration;
  spent_ += duration;
}

absl::Duration ProgressMeter::eta() const {
  const double done = axes_.flops - flops_start_;
  if (done <= 0 || !flops_total_.has_value()) return absl::InfiniteDuration();
  return spent_ * (std::max(*flops_total_ - axes_.flops, 0.0) / done);
}

}  // namespace cvtrain::trainer
