#ifndef CVTRAIN_WORKER_TRAINER_TRAIN_PROGRESS_METER_H_
#define CVTRAIN_WORKER_TRAINER_TRAIN_PROGRESS_METER_H_

#include <cstdint>

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

  // `start`: at the attempt's first step. `flops_total`: of the whole trial, as planned.
  ProgressMeter(const Axes& start, double flops_total)
      : flops_start_(start.flops), flops_total_(flops_total), axes_(start) {}

  // One more step of all ranks, which took `duration`, evaluations and checkpoints not included.
  void AddStep(int64_t samples, double flops, absl::Duration duration);
  // Time between steps.
  void AddOther(absl::Duration duration);

  const Axes& axes() const { return axes_; }
  // Over about the last two seconds of steps; 0 before the first.
  double images_per_second() const { return images_per_second_; }
  // Infinite before the first step.
  absl::Duration eta() const;

 private:
  const double flops_start_;
  const double flops_total_;
  Axes axes_;
  double images_per_second_ = 0;
  absl::Duration spent_;  // in this attempt
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_TRAIN_PROGRESS_METER_H_
