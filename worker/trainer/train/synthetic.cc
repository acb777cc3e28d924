#include "worker/trainer/train/synthetic.h"

#include <signal.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "common/errors.h"
#include "common/ids.h"
#include "common/status_macros.h"
#include "worker/trainer/snapshot/restore.h"
#include "worker/trainer/train/guard.h"
#include "worker/trainer/train/manifest.h"
#include "worker/trainer/train/proto_time.h"

namespace cvtrain::trainer {
namespace {

using cvtrain::v1::Synthetic;

constexpr char kLearningCurve[] = "val/top1";

}  // namespace

SyntheticLoop::SyntheticLoop(const v1::Start& start, const AttemptServices& services)
    : start_(start),
      spec_(start.recipe().synthetic()),
      services_(services),
      reports_(start.rank() == 0),
      epoch_steps_(std::max<int64_t>(
          spec_.has_steps_per_epoch() ? spec_.steps_per_epoch() : spec_.steps(), 1)) {}

absl::Status SyntheticLoop::Run(const UniqueFd& checkpoint) {
  return Guard("running a synthetic trial", [&]() -> absl::Status {
    CVT_RETURN_IF_ERROR(Prepare(checkpoint));
    return Train();
  });
}

absl::Status SyntheticLoop::Prepare(const UniqueFd& checkpoint) {
  const int64_t bytes = spec_.has_checkpoint_bytes() ? spec_.checkpoint_bytes() : 1024;
  state_ = at::zeros({bytes}, at::kByte);
  const std::vector<SnapshotTensor> states = {
      {"synthetic.state", state_, storage::v1::Tensor::ROLE_PARAMETER}};
  if (start_.has_resume()) {
    CVT_ASSIGN_OR_RETURN(const auto manifest, Restore(checkpoint, start_.resume().size_bytes(),
                                                      ExpectationOf(start_), states));
    step_ = manifest.step();
    wall_time_ = absl::Seconds(manifest.wall_time_seconds());
    saves_.BeginAt(step_);
  }
  start_step_ = step_;
  if (reports_) {
    CVT_ASSIGN_OR_RETURN(snapshotter_, Snapshotter::Create(states, services_.checkpoints));
  }
  return absl::OkStatus();
}

absl::Status SyntheticLoop::Train() {
  if (reports_) {
    session::v1::Fact fact;
    fact.mutable_started()->set_start_step(step_);
    services_.host.ReportFact(std::move(fact));
  }
  while (step_ < spec_.steps()) {
    CVT_RETURN_IF_ERROR(Step());
    if (EndsEpoch()) ReportEvaluation();
    const StopRequest request = services_.host.stop_request();
    if (request.mode != StopRequest::Mode::kNone && step_ < spec_.steps()) {
      stopped_with_ = request.cause;
      if (request.mode == StopRequest::Mode::kCheckpoint) {
        ReportStage();
        CVT_RETURN_IF_ERROR(Save(Snapshotter::WhenBusy::kWait));
      }
      return Cancelled(Reason::kStopping, absl::StrCat("stopped after step ", step_));
    }
    if (snapshotter_ != nullptr) saves_.NoteLosses(*snapshotter_, step_);
    if (CheckpointIsDue()) CVT_RETURN_IF_ERROR(Save(Snapshotter::WhenBusy::kSkip));
  }
  ReportStage();
  return Save(Snapshotter::WhenBusy::kWait);
}

absl::Status SyntheticLoop::Step() {
  CVT_RETURN_IF_ERROR(FailIfAsked());
  const absl::Duration begin = services_.clock.SteadyNow();
  const double milliseconds = spec_.has_step_time_ms() ? spec_.step_time_ms() : 10;
  services_.host.WaitFor(absl::Milliseconds(milliseconds));
  const absl::Duration duration = services_.clock.SteadyNow() - begin;
  wall_time_ += duration;
  ReportStep(duration);
  ++step_;
  return absl::OkStatus();
}

absl::Status SyntheticLoop::FailIfAsked() const {
  if (!spec_.has_fail_at_step() || step_ != spec_.fail_at_step()) return absl::OkStatus();
  const auto attempt = AttemptName::Parse(start_.attempt());
  const int64_t attempts = spec_.has_fail_attempts() ? spec_.fail_attempts() : 1;
  if (attempt.ok() && attempt->number() > attempts) return absl::OkStatus();
  const std::string message = absl::StrCat("the synthetic recipe fails at step ", step_);
  switch (spec_.failure()) {
    case Synthetic::FAILURE_OUT_OF_MEMORY:
      return ResourceExhausted(Reason::kOutOfMemory, message);
    case Synthetic::FAILURE_DIVERGED:
      return FailedPrecondition(Reason::kDiverged, message);
    case Synthetic::FAILURE_DATA:
      return DataLoss(Reason::kDataBad, message);
    case Synthetic::FAILURE_CRASH:
      ::raise(SIGKILL);
      break;
    case Synthetic::FAILURE_HANG:
      // Deaf to stop requests, as a real hang is: only the end of the process ends it.
      absl::Notification().WaitForNotification();
      break;
    default:
      break;
  }
  return InvalidArgument(Reason::kRecipeInvalid, message);
}

int32_t SyntheticLoop::EpochsDone() const { return static_cast<int32_t>(step_ / epoch_steps_); }

bool SyntheticLoop::CheckpointIsDue() const {
  const cvtrain::v1::CheckpointInterval& every = start_.recipe().checkpoint().every();
  if (saves_.IsOverdue(step_)) return true;
  if (every.steps() > 0) return step_ % every.steps() == 0;
  return step_ % epoch_steps_ == 0 && EpochsDone() % std::max(every.epochs(), 1) == 0;
}

absl::Status SyntheticLoop::Save(Snapshotter::WhenBusy when_busy) {
  if (snapshotter_ == nullptr) return absl::OkStatus();
  CVT_RETURN_IF_ERROR(snapshotter_->FinishCopy());
  saves_.NoteLosses(*snapshotter_, step_);
  if (saves_.HasSaved(step_)) return absl::OkStatus();
  storage::v1::CheckpointManifest manifest = ManifestOf(start_);
  manifest.set_step(step_);
  manifest.set_epoch(EpochsDone());
  manifest.set_step_in_epoch(step_ % epoch_steps_);
  manifest.set_wall_time_seconds(absl::ToDoubleSeconds(wall_time_));
  CVT_ASSIGN_OR_RETURN(const bool saved, snapshotter_->Save(manifest, when_busy, [this] {
    return services_.host.stop_request().mode == StopRequest::Mode::kNow;
  }));
  saves_.Note(step_, saved);
  return absl::OkStatus();
}

void SyntheticLoop::ReportStep(absl::Duration duration) {
  const double done = static_cast<double>(step_ + 1) / static_cast<double>(spec_.steps());
  const double loss = std::exp(-5 * done);
  if (reports_) {
    services_.host.ReportPoint("loss", step_, loss);
    services_.host.ReportPoint("step_seconds", step_, absl::ToDoubleSeconds(duration));
    services_.host.ReportPoint("epoch", step_,
                               static_cast<double>(step_ + 1) / static_cast<double>(epoch_steps_));
    services_.host.ReportPoint("wall_time", step_, absl::ToDoubleSeconds(wall_time_));
  }
  cvtrain::v1::Progress progress;
  progress.set_step(step_ + 1);
  progress.set_step_total(spec_.steps());
  progress.set_epoch(static_cast<int32_t>((step_ + 1) / epoch_steps_));
  progress.set_epoch_total(static_cast<int32_t>((spec_.steps() + epoch_steps_ - 1) / epoch_steps_));
  progress.set_stage_total(1);
  progress.set_loss(loss);
  *progress.mutable_eta() = ToProto(duration * (spec_.steps() - step_ - 1));
  services_.host.ReportProgress(progress);
}

void SyntheticLoop::ReportEvaluation() {
  if (!reports_) return;
  const double final = spec_.has_final_metric() ? spec_.final_metric() : 50;
  const double done = static_cast<double>(step_) / static_cast<double>(spec_.steps());
  const double value = final * (1 - std::exp(-5 * done));
  services_.host.ReportPoint(kLearningCurve, step_ - 1, value);
  session::v1::Fact fact;
  cvtrain::v1::EvaluationResult& result = *fact.mutable_evaluation();
  result.set_step(step_);
  result.set_epoch(EpochsDone());
  *result.mutable_time() = ToProto(services_.clock.WallNow());
  (*result.mutable_metrics())[kLearningCurve] = value;
  services_.host.ReportFact(std::move(fact));
}

void SyntheticLoop::ReportStage() {
  if (!reports_ || step_ == start_step_) return;
  session::v1::Fact fact;
  fact.mutable_stage()->set_steps(step_ - start_step_);
  *fact.mutable_stage()->mutable_duration() = ToProto(wall_time_);
  services_.host.ReportFact(std::move(fact));
}

}  // namespace cvtrain::trainer
