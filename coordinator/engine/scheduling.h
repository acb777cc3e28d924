#ifndef CVTRAIN_COORDINATOR_ENGINE_SCHEDULING_H_
#define CVTRAIN_COORDINATOR_ENGINE_SCHEDULING_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/time/time.h"
#include "common/ids.h"
#include "coordinator/engine/demand.h"
#include "coordinator/engine/forecaster.h"
#include "coordinator/engine/view.h"
#include "coordinator/scheduler/policy.h"
#include "coordinator/state/decide_attempt.h"
#include "cvtrain/v1/queue.pb.h"

namespace cvtrain::coordinator {

// One trial that waits or runs, as the scheduler sees it.
struct QueueLine {
  const ClusterState::Experiment* experiment = nullptr;
  const ClusterState::Trial* trial = nullptr;
  // Of one that waits.
  v1::WaitReason reason = v1::WAIT_REASON_UNSPECIFIED;
  std::string text;
  v1::RankRule rule = v1::RANK_RULE_UNSPECIFIED;
  TrialName behind;  // number 0: nobody
  // Now, if it runs; InfiniteFuture() if nobody can say.
  absl::Time start = absl::InfiniteFuture();
  absl::Time end = absl::InfiniteFuture();
  absl::Duration left;
  std::string basis;
  // Of one that runs; InfiniteFuture(): never.
  absl::Time preemptible_at = absl::InfiniteFuture();
  absl::Duration restart_cost;
};

// Everyone who runs, and everyone who waits in the order in which they would be served; those who
// may not start whatever is free come last. Valid as long as the state does not change.
struct QueueReport {
  std::vector<QueueLine> running;
  std::vector<QueueLine> waiting;
};

// What is supposed in a report, and not so.
struct QueueChange {
  // Workers that there would be, and those that there would not be.
  std::vector<PlanWorker> more;
  std::set<WorkerName> without;
  // It would be first, or its experiment would have no limit of running trials.
  TrialName first;
  ExperimentName unlimited;
};

// What was said of a trial before.
struct QueuePrediction {
  absl::Time at;
  absl::Time start;
  absl::Time end;
};

// Places trials by the scheduling core, and says why the others wait. What it remembers beside the
// state (forecasts, how crowded the cluster was, what was predicted) begins anew with the
// coordinator. Thread-compatible.
class Scheduling {
 public:
  Scheduling();

  struct Preemption {
    AttemptName attempt;
    TrialName by;
  };
  struct Decisions {
    std::vector<TrialPlacement> placements;
    std::vector<Preemption> preemptions;
    // Trials that were looked at: what a call costs.
    size_t considered = 0;
  };
  // Who begins now, and who is to make way. One who waits for slots of somebody who is still
  // stopping begins at a later call.
  Decisions Decide(const ClusterState& state, const LiveState& live, const Instant& now);

  // The queue; decides nothing.
  QueueReport Report(const ClusterState& state, const LiveState& live, const Instant& now,
                     const QueueChange& change = {});

  // Remembers what is predicted of trials that are new. Cheap if called often.
  void NotePredictions(const ClusterState& state, const LiveState& live, const Instant& now);
  // The first one of a trial that has not ended; nullopt if there is none yet.
  std::optional<QueuePrediction> FirstPrediction(const TrialName& trial) const;

 private:
  Forecaster forecaster_;
  std::unique_ptr<Policy> policy_;
  absl::btree_map<TrialName, QueuePrediction> predictions_;
  absl::Duration noted_at_ = -absl::InfiniteDuration();
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_ENGINE_SCHEDULING_H_
