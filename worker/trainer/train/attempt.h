#ifndef CVTRAIN_WORKER_TRAINER_TRAIN_ATTEMPT_H_
#define CVTRAIN_WORKER_TRAINER_TRAIN_ATTEMPT_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "common/clock.h"
#include "common/unique_fd.h"
#include "cvtrain/trainer/v1/trainer.pb.h"
#include "worker/trainer/collective/store_transport.h"
#include "worker/trainer/data/batch_source.h"
#include "worker/trainer/device/device.h"
#include "worker/trainer/snapshot/snapshotter.h"
#include "worker/trainer/train/host.h"

namespace cvtrain::trainer {

// What an attempt gets from around it; all of it outlives the attempt.
struct AttemptServices {
  TrainerHost& host;
  CheckpointSink& checkpoints;
  StoreTransport& store;
  const BatchSourceFactory& batch_sources;
  const Clock& clock;
  Device& device = Device::Cpu();
};

struct AttemptResult {
  cvtrain::v1::Cause cause = cvtrain::v1::CAUSE_UNSPECIFIED;
  std::string message;  // for people
  int64_t end_step = 0;
  // Of the trial from its step 0 on, hex.
  std::string sample_digest;
  // What was found damaged, if that is why it ended.
  v1::Exit::Suspect suspect = v1::Exit::SUSPECT_UNSPECIFIED;
};

// Runs one rank of an attempt from its first step to its end, whatever that is. `checkpoint` is
// valid if `start` has a resume point, or a checkpoint whose weights it begins with.
//
// Called on one thread per process, always the same: LibTorch's compute threads belong to it.
AttemptResult RunAttempt(const v1::Start& start, const UniqueFd& checkpoint,
                         const AttemptServices& services);

// What an attempt that failed with `status` reports.
cvtrain::v1::Cause CauseOf(const absl::Status& status);

// Whether a process that ended an attempt with `cause` may serve another one.
bool IsReusableAfter(cvtrain::v1::Cause cause);

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_TRAIN_ATTEMPT_H_
