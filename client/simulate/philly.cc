#include "client/simulate/philly.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "coordinator/scheduler/plan.h"

namespace cvtrain::client {
namespace {

using coordinator::PlanJob;
using coordinator::PlanWorker;

constexpr int kGpusPerNode = 8;
// If jobs wait and nothing else will happen, a policy is asked again after each pause, and at most
// so many times: one that gives out shares of the time may make them wait for that.
constexpr absl::Duration kPause = absl::Seconds(120);
constexpr int kPausesMax = 1'000;

// Who waits and who runs, moment after moment.
class RigidJobs {
 public:
  RigidJobs(absl::Span<const PhillyJob> jobs, coordinator::Policy& policy,
            const SimulateOptions& options)
      : trace_(jobs),
        policy_(policy),
        options_(options),
        nodes_(static_cast<size_t>(options.gpus / kGpusPerNode),
               PlanWorker{.slots = kGpusPerNode}) {
    outcome_.jobs.resize(jobs.size());
  }

  absl::StatusOr<Outcome> Run() {
    int pauses = 0;
    while (next_ < trace_.size() || !ends_.empty() || waiting_ > 0) {
      if (options_.stop.stop_requested()) return Cancelled(Reason::kStopping, "interrupted");
      const bool nothing_comes = next_ == trace_.size() && ends_.empty();
      pauses = nothing_comes ? pauses + 1 : 0;
      if (pauses > kPausesMax) {
        return Internal(Reason::kInternal, "the policy runs none of the jobs that there are");
      }
      now_ = nothing_comes ? now_ + kPause : NextMoment();
      while (!ends_.empty() && ends_.top().first == now_) End();
      Submit();
      Decide();
    }
    return std::move(outcome_);
  }

 private:
  using JobEnd = std::pair<absl::Time, size_t>;  // and which job of the trace

  static double SecondsOf(absl::Time time, absl::Time from) {
    return absl::ToDoubleSeconds(time - from);
  }

  absl::Time NextMoment() const {
    const absl::Time comes =
        next_ < trace_.size() ? trace_[next_].submitted : absl::InfiniteFuture();
    return ends_.empty() ? comes : std::min(comes, ends_.top().first);
  }

  // All that come now.
  void Submit() {
    for (; next_ < trace_.size() && trace_[next_].submitted <= now_; ++next_) {
      const PhillyJob& job = trace_[next_];
      PlanJob plan;
      plan.id = static_cast<int64_t>(next_) + 1;
      plan.arrival = now_;
      plan.stages.push_back({.slots = job.gpus, .left = Forecast(next_)});
      plan.forecast_error = options_.told.error();
      plan.packed = true;
      active_.push_back(std::move(plan));
      ++waiting_;
      outcome_.jobs[next_] = {.arrival = SecondsOf(now_, trace_.front().submitted),
                              .served = job.duration_seconds,
                              .alone = job.duration_seconds};
    }
  }

  absl::Duration Forecast(size_t i) const {
    return absl::Seconds(trace_[i].duration_seconds * ToldFactor(options_.told, i));
  }

  // The first of those that end now.
  void End() {
    const size_t i = ends_.top().second;
    ends_.pop();
    outcome_.jobs[i].end = SecondsOf(now_, trace_.front().submitted);
    for (PlanJob& job : active_) {
      if (job.id != static_cast<int64_t>(i) + 1) continue;
      // The order in which they stand means nothing.
      std::swap(job, active_.back());
      active_.pop_back();
      return;
    }
  }

  void Decide() {
    if (waiting_ == 0) return;
    for (PlanJob& job : active_) {
      if (!job.runs()) continue;
      const auto i = static_cast<size_t>(job.id - 1);
      job.served = job.served_forecast = now_ - started_[i];
      job.stages.front().left = std::max(Forecast(i) - job.served, absl::ZeroDuration());
    }
    const coordinator::Plan plan = MakePlan(policy_, {now_, active_, nodes_}, {.queue = false});
    for (const coordinator::StartedJob& one : plan.started) {
      PlanJob& job = active_[static_cast<size_t>(one.job)];
      const auto i = static_cast<size_t>(job.id - 1);
      job.shares = one.shares;
      started_[i] = now_;
      ends_.emplace(now_ + absl::Seconds(trace_[i].duration_seconds), i);
      --waiting_;
    }
  }

  const absl::Span<const PhillyJob> trace_;
  coordinator::Policy& policy_;
  const SimulateOptions& options_;
  const std::vector<PlanWorker> nodes_;
  absl::Time now_;
  size_t next_ = 0;  // job to come
  size_t waiting_ = 0;
  std::vector<PlanJob> active_;
  std::vector<absl::Time> started_ = std::vector<absl::Time>(trace_.size());
  std::priority_queue<JobEnd, std::vector<JobEnd>, std::greater<>> ends_;
  Outcome outcome_;
};

}  // namespace

absl::StatusOr<Outcome> SimulatePhilly(absl::Span<const PhillyJob> jobs,
                                       coordinator::Policy& policy,
                                       const SimulateOptions& options) {
  if (options.told.told == Told::kMeasured) {
    return InvalidArgument(Reason::kUsage,
                           "--know measured: nothing of a rigid job is measured before it ends; "
                           "take declared, oracle or wrong");
  }
  if (options.gpus % kGpusPerNode != 0) {
    return InvalidArgument(Reason::kUsage,
                           absl::StrCat("--gpus: must be a multiple of ", kGpusPerNode,
                                        " for this trace, got ", options.gpus));
  }
  for (const PhillyJob& job : jobs) {
    if (job.gpus <= options.gpus) continue;
    return InvalidArgument(Reason::kDataBad,
                           absl::StrCat("line ", job.line, ", num_gpus: must be at most ",
                                        options.gpus, ", which is all that --gpus gives, got ",
                                        job.gpus, "; --gpus-max leaves larger ones out"));
  }
  return RigidJobs(jobs, policy, options).Run();
}

}  // namespace cvtrain::client
