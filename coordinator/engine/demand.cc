#include "coordinator/engine/demand.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/container/btree_map.h"
#include "common/limits.h"
#include "coordinator/state/conclude.h"
#include "coordinator/state/proto_time.h"
#include "coordinator/state/trial_record.h"

namespace cvtrain::coordinator {
namespace {

constexpr int kTrialBits = 32;
// What a stop and a start cost at least and at most: a checkpoint written, another trainer filled.
constexpr absl::Duration kRestartCostMin = absl::Seconds(3);
constexpr absl::Duration kRestartCostMax = absl::Minutes(10);
// Something is always left of what has not ended.
constexpr absl::Duration kLeftMin = absl::Seconds(1);
// A trial that was tried so often is left alone.
constexpr int kAttemptsPreemptibleMax = limits::kAttemptsPerTrialMax / 2;

// How far a trial has come, as far as the journal knows, and when.
struct Journaled {
  int64_t steps = 0;
  absl::Duration served;            // until then
  std::optional<absl::Time> since;  // of the attempt that runs
};

// Workers' clocks may be wrong: an attempt began after it was granted, and has begun.
absl::Time StartOf(const storage::v1::AttemptRecord& attempt, absl::Time now) {
  return std::min(
      std::max(FromTimestamp(attempt.start_time()), FromTimestamp(attempt.grant_time())), now);
}

Journaled ProgressOf(const storage::v1::TrialRecord& trial, absl::Time now) {
  Journaled progress;
  for (const storage::v1::AttemptRecord& attempt : trial.attempts()) {
    if (!attempt.has_start_time()) continue;
    const absl::Time start = StartOf(attempt, now);
    if (HasEnded(attempt)) {
      progress.steps = std::max(progress.steps, attempt.end_step());
      progress.served += std::max(FromTimestamp(attempt.end_time()) - start, absl::ZeroDuration());
      continue;
    }
    progress.since = start;
    // An attempt that goes on from an older checkpoint has steps to do again.
    progress.steps = attempt.start_step();
    if (trial.evaluations().empty()) continue;
    const storage::v1::Evaluation& last = *trial.evaluations().rbegin();
    const absl::Duration until = FromTimestamp(last.time()) - FromTimestamp(attempt.start_time());
    if (last.step() <= attempt.start_step() || until < absl::ZeroDuration() ||
        until > now - start) {
      continue;
    }
    progress.steps = last.step();
    progress.served += until;
    progress.since = start + until;
  }
  return progress;
}

// What is left of a trial, stage by stage, `steps` of it being done.
std::vector<JobStage> StagesLeft(const TrialForecast& forecast, double steps, int32_t slots,
                                 int64_t memory_bytes) {
  std::vector<JobStage> stages;
  for (const TrialForecast::Stage& stage : forecast.stages) {
    const double done = std::clamp(steps, 0.0, stage.steps);
    steps -= done;
    if (done >= stage.steps && &stage != &forecast.stages.back()) continue;
    const double part = stage.steps > 0 ? 1 - done / stage.steps : 0;
    stages.push_back({.slots = slots, .left = stage.duration * part, .memory_bytes = memory_bytes});
  }
  return stages;
}

// What has passed since the last news is done, too, as far as anyone can tell.
void Pass(absl::Duration passed, std::vector<JobStage>& stages) {
  size_t first = 0;
  while (first + 1 < stages.size() && passed >= stages[first].left) passed -= stages[first++].left;
  stages.erase(stages.begin(), stages.begin() + static_cast<std::ptrdiff_t>(first));
  stages.front().left = std::max(stages.front().left - passed, kLeftMin);
}

// From the grant of an attempt to its first step, twice: once to write a checkpoint, once to start.
absl::Duration RestartCost(const storage::v1::TrialRecord& trial, absl::Time now) {
  for (auto attempt = trial.attempts().rbegin(); attempt != trial.attempts().rend(); ++attempt) {
    if (!attempt->has_start_time()) continue;
    const absl::Duration start = StartOf(*attempt, now) - FromTimestamp(attempt->grant_time());
    return std::clamp(kRestartCostMin + 2 * start, kRestartCostMin, kRestartCostMax);
  }
  return kRestartCostMin;
}

class Gatherer {
 public:
  Gatherer(const ClusterState& state, const LiveState& live, Forecaster& forecaster,
           const Instant& now)
      : state_(state), live_(live), forecaster_(forecaster), steady_(now.steady), wall_(now.wall) {
    // The wall clock may go back; the journal does not.
    demand_.now = std::max(now.wall, state.time());
  }

  Demand Run() {
    AddWorkers();
    for (const int64_t number : state_.active()) AddExperiment(state_.experiments().at(number));
    return std::move(demand_);
  }

 private:
  void AddWorkers() {
    for (const auto& [name, worker] : state_.workers()) {
      std::map<int, size_t> kinds;  // index into demand_.workers
      for (const v1::Slot& slot : worker.record.slots()) {
        const auto [kind, is_new] = kinds.try_emplace(slot.kind(), demand_.workers.size());
        if (is_new) {
          demand_.workers.push_back({.open = TakesWork(worker, live_),
                                     .kind = slot.kind(),
                                     .memory_bytes = slot.memory_bytes()});
          demand_.slots.push_back({.worker = name});
        }
        PlanWorker& group = demand_.workers[kind->second];
        ++group.slots;
        group.memory_bytes = std::min(group.memory_bytes, slot.memory_bytes());
        groups_[{name, slot.index()}] = static_cast<int32_t>(kind->second);
        if (!worker.busy.contains(slot.index())) {
          demand_.slots[kind->second].free.push_back(slot.index());
        }
      }
    }
  }

  void AddExperiment(const ClusterState::Experiment& experiment) {
    // Only those that have not ended matter; the queued ones are listed, the running ones are few.
    if (experiment.queued.empty() && experiment.trials_by_state[v1::Trial::STATE_RUNNING] == 0) {
      return;
    }
    const std::optional<StartBlock> block = BlockOf(state_, experiment, demand_.now);
    for (const int64_t number : experiment.queued) {
      AddQueued(experiment, experiment.trials.at(number), block);
    }
    int32_t left = experiment.trials_by_state[v1::Trial::STATE_RUNNING];
    for (auto trial = experiment.trials.rbegin(); left > 0 && trial != experiment.trials.rend();
         ++trial) {
      if (trial->second.record.state() != v1::Trial::STATE_RUNNING) continue;
      --left;
      AddRunning(experiment, trial->second);
    }
  }

  void AddQueued(const ClusterState::Experiment& experiment, const ClusterState::Trial& trial,
                 std::optional<StartBlock> block) {
    std::string basis;
    PlanJob job = JobOf(experiment, trial, basis);
    // By the wall clock: if it went back, the time of the journal stands still, and nobody waits
    // for the clock to catch up (see DelayOf).
    if (!block.has_value()) block = BlockOf(trial, wall_);
    const Demand::Job known = {&experiment, &trial, std::move(basis)};
    if (block.has_value()) {
      demand_.blocked.push_back({known, *std::move(block), job.left()});
      return;
    }
    job.preemptible_after = kRunAtLeast;
    demand_.jobs.push_back(std::move(job));
    demand_.trials.push_back(known);
  }

  void AddRunning(const ClusterState::Experiment& experiment, const ClusterState::Trial& trial) {
    const storage::v1::AttemptRecord* attempt = OpenAttempt(trial.record);
    if (attempt == nullptr || attempt->has_stop()) return;
    std::string basis;
    PlanJob job = JobOf(experiment, trial, basis);
    absl::btree_map<int32_t, int32_t> shares;
    for (const storage::v1::RankPlacement& rank : attempt->ranks()) {
      if (FindPart(*attempt, rank.worker())->ended()) continue;
      const auto group = groups_.find({*WorkerName::Parse(rank.worker()), rank.slot()});
      if (group != groups_.end()) ++shares[group->second];
    }
    for (const auto& [worker, slots] : shares) job.shares.push_back({worker, slots});
    if (job.shares.empty()) return;  // its workers are gone, and it soon will be
    if (attempt->has_start_time() && job.left() > job.restart_cost &&
        trial.record.attempts_size() < kAttemptsPreemptibleMax) {
      job.preemptible_at = StartOf(*attempt, demand_.now) + kRunAtLeast;
    }
    demand_.jobs.push_back(std::move(job));
    demand_.trials.push_back({&experiment, &trial, std::move(basis)});
  }

  PlanJob JobOf(const ClusterState::Experiment& experiment, const ClusterState::Trial& trial,
                std::string& basis) {
    const v1::ExperimentSpec& spec = experiment.record.spec();
    const TrialForecast& forecast = forecaster_.Forecast(state_, experiment, trial, steady_);
    basis = forecast.basis;
    const Journaled progress = ProgressOf(trial.record, demand_.now);
    const absl::Duration since_news =
        progress.since.has_value() ? std::max(demand_.now - *progress.since, absl::ZeroDuration())
                                   : absl::ZeroDuration();
    PlanJob job;
    job.id = JobId(trial.name);
    job.priority = spec.priority();
    job.arrival = FromTimestamp(trial.record.create_time());
    job.stages =
        StagesLeft(forecast, static_cast<double>(progress.steps),
                   std::max(spec.resources().slots(), 1), experiment.rank_memory_bytes.value_or(0));
    job.served_forecast = forecast.duration() - job.left() + since_news;
    job.served = progress.served + since_news;
    Pass(since_news, job.stages);
    job.forecast_error = forecast.error;
    job.restart_cost = RestartCost(trial.record, demand_.now);
    job.group = experiment.name.number();
    job.group_running_max = RunningTrialsMax(spec);
    return job;
  }

  const ClusterState& state_;
  const LiveState& live_;
  Forecaster& forecaster_;
  const absl::Duration steady_;
  const absl::Time wall_;
  // Index into demand_.workers, by worker and slot.
  absl::btree_map<std::pair<WorkerName, int32_t>, int32_t> groups_;
  Demand demand_;
};

}  // namespace

int64_t JobId(const TrialName& trial) {
  return (trial.experiment().number() << kTrialBits) + trial.number();
}

TrialName TrialOfJob(int64_t id) {
  return TrialName(ExperimentName(id >> kTrialBits), id & ((int64_t{1} << kTrialBits) - 1));
}

Demand GatherDemand(const ClusterState& state, const LiveState& live, Forecaster& forecaster,
                    const Instant& now) {
  return Gatherer(state, live, forecaster, now).Run();
}

}  // namespace cvtrain::coordinator
