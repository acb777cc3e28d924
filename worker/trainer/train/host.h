#ifndef CVTRAIN_WORKER_TRAINER_TRAIN_HOST_H_
#define CVTRAIN_WORKER_TRAINER_TRAIN_HOST_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cvtrain/session/v1/session.pb.h"
#include "cvtrain/v1/experiment.pb.h"
#include "cvtrain/v1/log.pb.h"
#include "cvtrain/v1/trial.pb.h"

namespace cvtrain::trainer {

// That somebody wants the attempt to end.
struct StopRequest {
  enum class Mode { kNone, kCheckpoint, kNow };
  Mode mode = Mode::kNone;
  // What the attempt ends with.
  cvtrain::v1::Cause cause = cvtrain::v1::CAUSE_UNSPECIFIED;
};

// Whom an attempt reports to and takes stop requests from: the agent, in production. Reports are
// gathered and sent later, in order; they never fail, and wait only if far too many have gathered.
// Thread-safe.
class TrainerHost {
 public:
  virtual ~TrainerHost() = default;

  virtual void ReportPoint(absl::string_view metric, int64_t step, double value) = 0;
  // `sequence` and `time` are filled in on the way.
  virtual void ReportFact(session::v1::Fact fact) = 0;
  // Replaces what was reported before; `update_time` is filled in.
  virtual void ReportProgress(const cvtrain::v1::Progress& progress) = 0;
  // Something was done that no report tells of, as a batch of an evaluation: the attempt does not
  // hang. Points, facts and progress of another step say the same.
  virtual void NoteActivity() = 0;
  virtual void Log(cvtrain::v1::LogLevel level, absl::string_view text) = 0;

  // What was asked of the attempt so far; never gets weaker.
  virtual StopRequest stop_request() const = 0;
  // Lets `duration` pass; less if a request to stop at once arrives.
  virtual void WaitFor(absl::Duration duration) const = 0;
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_TRAIN_HOST_H_
