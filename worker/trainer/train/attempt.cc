#include "worker/trainer/train/attempt.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <string>

#include "common/errors.h"
#include "worker/trainer/train/memory_limit.h"
#include "worker/trainer/train/synthetic.h"
#include "worker/trainer/train/training_loop.h"

namespace cvtrain::trainer {
namespace {

v1::Exit::Suspect SuspectOf(const absl::Status& status) {
  if (ReasonOf(status) == Reason::kCheckpointBad) return v1::Exit::SUSPECT_CHECKPOINT;
  if (ReasonOf(status) == Reason::kShardBad) return v1::Exit::SUSPECT_SHARDS;
  return v1::Exit::SUSPECT_UNSPECIFIED;
}

// Of a loop that has ended, of either kind.
template <typename Loop>
AttemptResult ResultOf(const Loop& loop, const absl::Status& status, const TrainerHost& host) {
  AttemptResult result = {.cause = CauseOf(status),
                          .message = std::string(status.message()),
                          .end_step = loop.step(),
                          .sample_digest = loop.sample_digest(),
                          .suspect = SuspectOf(status)};
  if (status.ok()) return result;
  const StopRequest request = host.stop_request();
  if (ReasonOf(status) == Reason::kStopping) {
    result.cause =
        loop.stopped_with() != cvtrain::v1::CAUSE_UNSPECIFIED ? loop.stopped_with() : request.cause;
  } else if (request.mode == StopRequest::Mode::kNow) {
    // Whatever failed, failed because things were taken away: peers that stopped first, the store.
    result.cause = request.cause;
  }
  return result;
}

}  // namespace

AttemptResult RunAttempt(const v1::Start& start, const UniqueFd& checkpoint,
                         const AttemptServices& services) {
  const bool on_gpu = services.device.is_gpu();
  DropFreedMemory();
  SetMemoryLimit(on_gpu ? 0 : start.memory_bytes());
  services.device.SetMemoryLimit(start.memory_bytes());
  // The same bits in every run are promised on a CPU only: some operations have no such form on a
  // GPU, and the fastest ones are tried out there.
  at::globalContext().setDeterministicAlgorithms(!on_gpu, /*warn_only=*/false);
  at::globalContext().setBenchmarkCuDNN(on_gpu);
  at::set_num_threads(std::max(start.threads(), 1));
  if (start.recipe().task() == cvtrain::v1::Recipe::TASK_SYNTHETIC) {
    SyntheticLoop loop(start, services);
    const absl::Status status = loop.Run(checkpoint);
    return ResultOf(loop, status, services.host);
  }
  TrainingLoop loop(start, services);
  const absl::Status status = loop.Run(checkpoint);
  return ResultOf(loop, status, services.host);
}

cvtrain::v1::Cause CauseOf(const absl::Status& status) {
  if (status.ok()) return cvtrain::v1::CAUSE_FINISHED;
  switch (ReasonOf(status).value_or(Reason::kInternal)) {
    case Reason::kOutOfMemory:
      return cvtrain::v1::CAUSE_OUT_OF_MEMORY;
    case Reason::kDiverged:
      return cvtrain::v1::CAUSE_DIVERGED;
    case Reason::kShardBad:
    case Reason::kDataBad:
    case Reason::kShardNotFound:
      return cvtrain::v1::CAUSE_DATA;
    case Reason::kRecipeInvalid:
    case Reason::kFieldInvalid:
    case Reason::kUnknownName:
      return cvtrain::v1::CAUSE_USER_ERROR;
    case Reason::kDeviceFault:
      return cvtrain::v1::CAUSE_DEVICE_FAULT;
    case Reason::kPeerGone:
      return cvtrain::v1::CAUSE_WORKER_LOST;
    default:
      return cvtrain::v1::CAUSE_INTERNAL;
  }
}

bool IsReusableAfter(cvtrain::v1::Cause cause) {
  switch (cause) {
    case cvtrain::v1::CAUSE_FINISHED:
    case cvtrain::v1::CAUSE_RESIZED:
    case cvtrain::v1::CAUSE_PAUSED:
    case cvtrain::v1::CAUSE_PRUNED:
    case cvtrain::v1::CAUSE_PREEMPTED:
    case cvtrain::v1::CAUSE_CANCELLED:
      return true;
    default:
      return false;
  }
}

}  // namespace cvtrain::trainer
