#ifndef CVTRAIN_WORKER_TRAINER_TRAIN_SYNTHETIC_H_
#define CVTRAIN_WORKER_TRAINER_TRAIN_SYNTHETIC_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "common/unique_fd.h"
#include "cvtrain/trainer/v1/trainer.pb.h"
#include "worker/trainer/snapshot/snapshotter.h"
#include "worker/trainer/train/attempt.h"
#include "worker/trainer/train/save_record.h"

namespace cvtrain::trainer {

// One rank of an attempt at a synthetic trial: takes time, reports a curve, evaluates, writes
// checkpoints and goes on from them, and fails at will, like TrainingLoop but without data, network
// or collectives. `val/top1` after step s of n is final * (1 - exp(-5 s / n)).
//
// Thread-compatible.
class SyntheticLoop {
 public:
  // `start` and `services` must outlive this.
  SyntheticLoop(const v1::Start& start, const AttemptServices& services);

  // As TrainingLoop::Run(), with the errors that the recipe asks for.
  absl::Status Run(const UniqueFd& checkpoint);

  int64_t step() const { return step_; }
  // There are no samples.
  std::string sample_digest() const { return {}; }
  cvtrain::v1::Cause stopped_with() const { return stopped_with_; }

 private:
  absl::Status Prepare(const UniqueFd& checkpoint);
  absl::Status Train();
  absl::Status Step();
  // Does what the recipe asks for, in the attempts in which it asks.
  absl::Status FailIfAsked() const;
  absl::Status Save(Snapshotter::WhenBusy when_busy);
  bool CheckpointIsDue() const;
  bool EndsEpoch() const { return step_ % epoch_steps_ == 0 || step_ == spec_.steps(); }
  int32_t EpochsDone() const;
  void ReportStep(absl::Duration duration);
  void ReportEvaluation();
  void ReportStage();

  const v1::Start& start_;
  const cvtrain::v1::Synthetic& spec_;
  const AttemptServices& services_;
  const bool reports_;  // rank 0
  const int64_t epoch_steps_;

  at::Tensor state_;                          // what checkpoints carry
  std::unique_ptr<Snapshotter> snapshotter_;  // rank 0 only
  int64_t step_ = 0;                          // steps done
  int64_t start_step_ = 0;
  SaveRecord saves_;
  absl::Duration wall_time_;
  cvtrain::v1::Cause stopped_with_ = cvtrain::v1::CAUSE_UNSPECIFIED;
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_TRAIN_SYNTHETIC_H_
