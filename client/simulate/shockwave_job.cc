#include "client/simulate/shockwave_job.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "client/simulate/batch_schedule.h"
#include "common/errors.h"
#include "common/status_macros.h"

namespace cvtrain::client {
namespace {

constexpr int64_t kEpochsMax = 100'000;
constexpr double kJobSecondsMax = 1e8;
// A job that runs for this many times what it declares is ended.
constexpr double kOvertime = 1.5;
// A restart is charged only to a job that runs nearly the whole round.
constexpr double kRestartChargedBelow = 5;

absl::Status BadJob(const ShockwaveJob& job, absl::string_view problem) {
  return InvalidArgument(Reason::kDataBad, absl::StrCat("line ", job.line, ": ", problem));
}

int64_t CeilingOf(int64_t steps, int64_t per_epoch) { return (steps + per_epoch - 1) / per_epoch; }

}  // namespace

ShockwaveRun::ShockwaveRun(const ShockwaveJob& job, const Throughputs& throughputs)
    : job_(job), throughputs_(&throughputs), batch_size_(job.batch_size), steps_total_(job.steps) {}

absl::StatusOr<ShockwaveRun> ShockwaveRun::Create(const ShockwaveJob& job,
                                                  const Throughputs& throughputs) {
  const int64_t epochs = EpochsOf(job);
  if (epochs > kEpochsMax) {
    return BadJob(
        job, absl::StrCat("total steps: must be at most ", kEpochsMax, " epochs, are ", epochs));
  }
  ShockwaveRun run(job, throughputs);
  run.speed_ = throughputs.StepsPerSecond(job.model, job.batch_size, job.gpus);
  const std::vector<int> batches = DeclaredBatches(job, epochs);
  run.left_after_.assign(batches.size() + 1, 0);
  for (size_t i = batches.size(); i-- > 0;) {
    const double speed = throughputs.StepsPerSecond(job.model, batches[i], job.gpus);
    if (speed <= 0 || run.speed_ <= 0) {
      return BadJob(job, absl::StrCat("the throughputs have none of ", TraceModelName(job.model),
                                      " with batch size ", batches[i], " on ", job.gpus,
                                      job.gpus == 1 ? " GPU" : " GPUs"));
    }
    const double steps = static_cast<double>(DatasetSize(job.model)) / batches[i];
    run.left_after_[i] = run.left_after_[i + 1] + steps / speed;
  }
  run.declared_ = run.left_after_.front();
  if (run.declared_ > kJobSecondsMax) {
    return BadJob(
        job, absl::StrCat("must take at most ", kJobSecondsMax, " seconds, takes ", run.declared_));
  }
  return run;
}

double ShockwaveRun::DeclaredLeft() const {
  const double epochs = static_cast<double>(steps_done_) /
                        static_cast<double>(StepsPerEpoch(job_.model, batch_size_));
  const auto whole = static_cast<size_t>(epochs);
  if (whole + 1 >= left_after_.size()) return 0;
  const double part = epochs - static_cast<double>(whole);
  return left_after_[whole] + part * (left_after_[whole + 1] - left_after_[whole]);
}

double ShockwaveRun::MeasuredLeft() const {
  return static_cast<double>(std::max<int64_t>(0, steps_total_ - steps_done_)) / speed_;
}

double ShockwaveRun::RunAlone() const {
  constexpr double kRound = 120;
  ShockwaveRun alone(*this);
  alone.batch_size_ = job_.batch_size;
  alone.speed_ = throughputs_->StepsPerSecond(job_.model, job_.batch_size, job_.gpus);
  alone.steps_total_ = job_.steps;
  alone.steps_done_ = 0;
  alone.served_ = 0;
  alone.grows_ = alone.shrinks_ = alone.done_ = false;
  while (!alone.done_) {
    alone.Observe();
    alone.RunRound(kRound, /*restart=*/false);
  }
  return alone.served_;
}

void ShockwaveRun::Observe() {
  const int64_t per_epoch = StepsPerEpoch(job_.model, batch_size_);
  const int64_t epoch = CeilingOf(steps_done_, per_epoch);
  if (job_.mode == BatchMode::kAccordion && job_.model != TraceModel::kTransformer) {
    const bool critical = IsCriticalAsSimulated(job_, epoch);
    if (batch_size_ == job_.batch_size && !critical) {
      grows_ = grows_ || batch_size_ != LargestBatch(job_.model);
    } else if (batch_size_ != job_.batch_size && critical) {
      shrinks_ = shrinks_ || batch_size_ != SmallestBatch(job_.model);
    }
  } else if (job_.mode == BatchMode::kNoiseScale) {
    const bool wanted = NoiseScaleBatch(job_, epoch) > batch_size_ ||
                        NoiseScaleBatch(job_, epoch + 1) > batch_size_;
    grows_ = grows_ || (wanted && batch_size_ != LargestBatch(job_.model));
  }
}

int64_t ShockwaveRun::RoundSteps(double round) const {
  return std::clamp<int64_t>(steps_total_ - steps_done_, 0, static_cast<int64_t>(speed_ * round));
}

double ShockwaveRun::RoundLength(double round) const {
  return static_cast<double>(RoundSteps(round)) / speed_;
}

void ShockwaveRun::RunRound(double round, bool restart) {
  int64_t steps = RoundSteps(round);
  double length = RoundLength(round);
  if (restart && length > round - kRestartChargedBelow) {
    steps =
        static_cast<int64_t>(static_cast<double>(steps) * ((length - RestartSeconds()) / length));
    length -= RestartSeconds();
  }
  served_ += length;
  steps_done_ += steps;
  // A job may be left with no steps by a change of its batch size: it ends with its next round.
  done_ = steps_done_ >= steps_total_ || served_ > std::floor(declared_ * kOvertime);
  Rescale();
}

void ShockwaveRun::Rescale() {
  const bool grows = grows_;
  if (!grows_ && !shrinks_) return;
  grows_ = shrinks_ = false;
  if (job_.model != TraceModel::kTransformer && job_.batch_size == LargestBatch(job_.model)) return;
  int wanted = job_.batch_size;
  if (job_.mode == BatchMode::kNoiseScale) {
    wanted = 2 * batch_size_;
  } else if (grows) {
    wanted = LargestBatch(job_.model);
  }
  const double speed = throughputs_->StepsPerSecond(job_.model, wanted, job_.gpus);
  if (speed <= 0) return;
  const int64_t before = StepsPerEpoch(job_.model, batch_size_);
  const int64_t after = StepsPerEpoch(job_.model, wanted);
  const int64_t epochs = CeilingOf(steps_total_, before);
  // Steps scale with the batch, unless that would change the number of epochs.
  const auto scaled =
      static_cast<int64_t>(std::ceil(static_cast<double>(steps_total_) * batch_size_ / wanted));
  steps_total_ = CeilingOf(scaled, after) == epochs ? scaled : after * epochs;
  steps_done_ = CeilingOf(steps_done_, before) * after;
  batch_size_ = wanted;
  speed_ = speed;
}

}  // namespace cvtrain::client
