#ifndef CVTRAIN_COORDINATOR_ENGINE_DEMAND_H_
#define CVTRAIN_COORDINATOR_ENGINE_DEMAND_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/ids.h"
#include "coordinator/engine/forecaster.h"
#include "coordinator/engine/view.h"
#include "coordinator/scheduler/plan.h"
#include "coordinator/state/cluster_state.h"
#include "coordinator/state/start_conditions.h"

namespace cvtrain::coordinator {

// What the scheduling core is told: trials as jobs, and workers. Made of journaled facts and of
// forecasts of them; of live facts only who may get work.
struct Demand {
  struct Job {
    const ClusterState::Experiment* experiment = nullptr;
    const ClusterState::Trial* trial = nullptr;
    std::string basis;  // of its forecast
  };
  // Slots of one kind of one worker.
  struct Slots {
    WorkerName worker;
    // Indices of those that nobody holds, ascending.
    std::vector<int32_t> free = {};
  };
  // A queued trial that may not start whatever is free.
  struct Blocked {
    Job job;
    StartBlock block;
    absl::Duration left;
  };

  absl::Time now;
  // One entry of `trials` for each job, and one of `slots` for each worker.
  std::vector<PlanJob> jobs;
  std::vector<Job> trials;
  std::vector<PlanWorker> workers;
  std::vector<Slots> slots;
  std::vector<Blocked> blocked;

  PlanInput input() const { return {.now = now, .jobs = jobs, .workers = workers}; }
};

// The id by which the core knows a trial, and back.
int64_t JobId(const TrialName& trial);
TrialName TrialOfJob(int64_t id);

// Trials whose attempt is to stop are no jobs: their slots count as free, since they soon will be.
// Workers that are lost, suspect, not connected or cordoned are closed.
//
// A running trial may be stopped once it has run for kRunAtLeast, unless it will be done sooner
// than a stop and a start take: a stop writes a checkpoint where the trial is, so no step is lost,
// and any moment costs the same.
Demand GatherDemand(const ClusterState& state, const LiveState& live, Forecaster& forecaster,
                    const Instant& now);

inline constexpr absl::Duration kRunAtLeast = absl::Minutes(1);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_ENGINE_DEMAND_H_
