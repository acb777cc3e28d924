#ifndef CVTRAIN_WORKER_TRAINER_TRAIN_PROGRESS_METER_H_
#define CVTRAIN_WORKER_TRAINER_TRAIN_PROGRESS_METER_H_

#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "cvtrain/v1/experiment.pb.h"

namespace cvtrain::trainer {

// How far a trial is and how fast it goes: the axes of its series, and the predicted time to its
// end, which assumes that a FLOP to come takes as long as one of this attempt has taken, with
// evaluations and checkpoints. Thread-compatible.
class ProgressMeter {
 public:
  // What the trial has spent so far, over all attempts.
  struct Axes {
    int64_t samples = 0;
    double flops = 0;
    absl::Duration wall_time;
  };

  // `start`: at the attempt's first step.
  explicit ProgressMeter(const Axes& start) : flops_start_(start.flops), axes_(start) {}

  // FLOPs of the whole trial, as planned.
  void SetTotal(double flops) { flops_total_ = flops; }
  bool has_total() const { return flops_total_.has_value(); }

  // One more step of all ranks, which took `duration`, evaluations and checkpoints not included.
  void AddStep(int64_t samples, double flops, absl::Duration duration);
  // Time between steps.
  void AddOther(absl::Duration duration);

  const Axes& axes() const { return axes_; }
  // Over about the last two seconds of steps; 0 before the first.
  double images_per_second() const { return images_per_second_; }
  // Infinite before the first step, or without a total.
  absl::Duration eta() const;

 private:
  const double flops_start_;
  std::optional<double> flops_total_;
  Axes axes_;
  double images_per_second_ = 0;
  absl::Duration spent_;  // in this attempt
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_TRAIN_PROGRESS_METER_H_
