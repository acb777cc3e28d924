#ifndef CVTRAIN_COORDINATOR_ENGINE_VIEW_H_
#define CVTRAIN_COORDINATOR_ENGINE_VIEW_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/time/time.h"
#include "common/ids.h"
#include "coordinator/engine/command.h"
#include "coordinator/state/cluster_state.h"
#include "cvtrain/v1/experiment.pb.h"
#include "cvtrain/v1/worker.pb.h"

namespace cvtrain::coordinator {

class Scheduling;

// What workers said last, and what the scheduler remembers, beside the state: not journaled, gone
// after a restart.
struct LiveState {
  struct WorkerLive {
    v1::Worker::State state = v1::Worker::STATE_LOST;
    absl::Time renew_time = absl::InfinitePast();
    int64_t cache_bytes = 0;
    bool connected = false;
  };
  absl::btree_map<WorkerName, WorkerLive> workers;
  // Of running trials.
  absl::btree_map<TrialName, v1::Progress> progress;
  // The engine's; nullptr: who asks about the queue begins with no memory.
  Scheduling* scheduling = nullptr;
};

// What readers see: durable state, and live state beside it.
//
// References are valid during the callback that got the view. Thread-compatible.
class View {
 public:
  View(const ClusterState& state, const LiveState& live, const Instant& now)
      : state_(state), live_(live), now_(now) {}

  const ClusterState& state() const { return state_; }
  const LiveState& live() const { return live_; }
  const Instant& now() const { return now_; }

 private:
  const ClusterState& state_;
  const LiveState& live_;
  const Instant& now_;
};

// Whether `worker` may get work: its lease is current, it is connected and not cordoned.
bool TakesWork(const ClusterState::Worker& worker, const LiveState& live);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_ENGINE_VIEW_H_
