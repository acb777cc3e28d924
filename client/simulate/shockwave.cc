#include "client/simulate/shockwave.h"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/simulate/shockwave_job.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "coordinator/scheduler/plan.h"

namespace cvtrain::client {
namespace {

using coordinator::Plan;
using coordinator::PlanInput;
using coordinator::PlanJob;
using coordinator::PlanWorker;

constexpr double kRoundSeconds = 120;
// After so many rounds that nobody ran in, nobody ever will.
constexpr int kIdleRoundsMax = 1'000;

absl::Time At(double seconds) { return absl::UnixEpoch() + absl::Seconds(seconds); }

// A job of the trace and what the simulation keeps of it.
struct SimulatedJob {
  ShockwaveRun run;
  double factor = 1;  // of what is told
  double alone = 0;   // what it will take; only for the oracle
  bool ran_before = false;
  coordinator::SlotShares shares = {};
};

class Rounds {
 public:
  Rounds(coordinator::Policy& policy, const SimulateOptions& options,
         std::vector<SimulatedJob> jobs)
      : policy_(policy),
        options_(options),
        jobs_(std::move(jobs)),
        workers_(static_cast<size_t>(options.gpus), PlanWorker{.slots = 1}) {
    outcome_.jobs.resize(jobs_.size());
    for (size_t i = 0; i < jobs_.size(); ++i) {
      outcome_.jobs[i].arrival = jobs_[i].run.job().arrival_seconds;
      outcome_.jobs[i].alone = jobs_[i].run.declared();
    }
  }

  absl::StatusOr<Outcome> Run() {
    int idle_rounds = 0;
    while (next_ < jobs_.size() || !active_.empty()) {
      if (options_.stop.stop_requested()) return Cancelled(Reason::kStopping, "interrupted");
      for (const size_t i : active_) jobs_[i].run.Observe();
      Welcome();
      const std::vector<size_t> running = Decide();
      idle_rounds = running.empty() ? idle_rounds + 1 : 0;
      if (idle_rounds > kIdleRoundsMax) {
        return Internal(Reason::kInternal, "the policy runs none of the jobs that there are");
      }
      PlayRound(running);
    }
    return std::move(outcome_);
  }

 private:
  // Takes in who has come; if there is nobody, jumps to the next arrival.
  void Welcome() {
    if (active_.empty()) now_ = std::max(now_, jobs_[next_].run.job().arrival_seconds);
    while (next_ < jobs_.size() && jobs_[next_].run.job().arrival_seconds <= now_) {
      active_.push_back(next_++);
    }
  }

  PlanJob Describe(size_t i) const {
    const SimulatedJob& job = jobs_[i];
    const ShockwaveRun& run = job.run;
    double left = 0;
    double served_forecast = run.served();
    switch (options_.told.told) {
      case Told::kOracle:
        left = std::max(1.0, job.alone - run.served());
        break;
      case Told::kMeasured:
        left = run.MeasuredLeft();
        break;
      case Told::kDeclared:
      case Told::kWrong:
        left = run.DeclaredLeft() * job.factor;
        served_forecast = run.declared() * job.factor - left;
        break;
    }
    PlanJob plan;
    // 0 is nobody's.
    plan.id = static_cast<int64_t>(i) + 1;
    plan.weight = run.job().weight;
    plan.arrival = At(run.job().arrival_seconds);
    plan.stages.push_back({.slots = run.job().gpus, .left = absl::Seconds(left)});
    plan.served = absl::Seconds(run.served());
    plan.served_forecast = absl::Seconds(served_forecast);
    plan.forecast_error = options_.told.error();
    plan.shares = job.shares;
    plan.preemptible_at = At(now_);
    plan.preemptible_after = absl::ZeroDuration();
    plan.restart_cost = absl::Seconds(ShockwaveRun::RestartSeconds());
    return plan;
  }

  // Who runs in the next round.
  std::vector<size_t> Decide() {
    std::vector<PlanJob> jobs;
    jobs.reserve(active_.size());
    for (const size_t i : active_) jobs.push_back(Describe(i));
    const Plan plan = MakePlan(policy_, PlanInput{At(now_), jobs, workers_}, {.queue = false});
    for (const auto& one : plan.preempted) Active(one.job).shares.clear();
    for (const auto& one : plan.started) Active(one.job).shares = one.shares;
    std::vector<size_t> running;
    for (const size_t i : active_) {
      if (!jobs_[i].shares.empty()) running.push_back(i);
    }
    return running;
  }

  SimulatedJob& Active(int32_t index) { return jobs_[active_[static_cast<size_t>(index)]]; }

  void PlayRound(const std::vector<size_t>& running) {
    double length = running.empty() ? kRoundSeconds : 0;
    for (const size_t i : running) {
      SimulatedJob& job = jobs_[i];
      const double ran = job.run.RoundLength(kRoundSeconds);
      length = std::max(length, ran);
      if (!job.ran_before && outcome_.jobs[i].served > 0) ++outcome_.restarts;
      job.run.RunRound(kRoundSeconds, /*restart=*/!first_round_ && !job.ran_before);
      outcome_.jobs[i].served = job.run.served();
      if (job.run.done()) outcome_.jobs[i].end = now_ + ran;
    }
    for (const size_t i : active_) {
      jobs_[i].ran_before = !jobs_[i].shares.empty();
      if (jobs_[i].run.done()) jobs_[i].shares.clear();
    }
    active_.erase(std::remove_if(active_.begin(), active_.end(),
                                 [this](size_t i) { return jobs_[i].run.done(); }),
                  active_.end());
    now_ += length;
    first_round_ = false;
  }

  coordinator::Policy& policy_;
  const SimulateOptions& options_;
  std::vector<SimulatedJob> jobs_;
  const std::vector<PlanWorker> workers_;
  double now_ = 0;
  bool first_round_ = true;
  size_t next_ = 0;             // job to come
  std::vector<size_t> active_;  // come and not done, in the order of the trace
  Outcome outcome_;
};

}  // namespace

absl::StatusOr<Outcome> SimulateShockwave(absl::Span<const ShockwaveJob> jobs,
                                          const Throughputs& throughputs,
                                          coordinator::Policy& policy,
                                          const SimulateOptions& options) {
  std::vector<SimulatedJob> simulated;
  for (size_t i = 0; i < jobs.size(); ++i) {
    const ShockwaveJob& job = jobs[i];
    if (job.gpus > options.gpus) {
      return InvalidArgument(
          Reason::kDataBad,
          absl::StrCat("line ", job.line, ", gpus: must be at most ", options.gpus,
                       ", which is all that --gpus gives, got ", job.gpus));
    }
    CVT_ASSIGN_OR_RETURN(ShockwaveRun run, ShockwaveRun::Create(job, throughputs));
    const double alone = options.told.told == Told::kOracle ? run.RunAlone() : 0;
    simulated.push_back({std::move(run), ToldFactor(options.told, i), alone});
  }
  return Rounds(policy, options, std::move(simulated)).Run();
}

}  // namespace cvtrain::client
