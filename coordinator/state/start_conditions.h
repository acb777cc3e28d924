#ifndef CVTRAIN_COORDINATOR_STATE_START_CONDITIONS_H_
#define CVTRAIN_COORDINATOR_STATE_START_CONDITIONS_H_

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "coordinator/state/cluster_state.h"
#include "cvtrain/v1/queue.pb.h"

namespace cvtrain::coordinator {

// Why something does not start, whatever is free.
struct StartBlock {
  v1::WaitReason reason = v1::WAIT_REASON_UNSPECIFIED;
  // For people: "waiting: held; `cvctl release exp/3` lets it start".
  std::string text;
  // From when on that is over, if only time is missing.
  absl::Time until = absl::InfiniteFuture();
};

// What keeps all trials of `experiment` from starting: a hold, a time to begin at, something that
// has not ended yet, in this order; nullopt if nothing does. Pure; thread-safe.
std::optional<StartBlock> BlockOf(const ClusterState& state,
                                  const ClusterState::Experiment& experiment, absl::Time now);

// What keeps a queued trial from its next attempt: see DelayOf().
std::optional<StartBlock> BlockOf(const ClusterState::Trial& trial, absl::Time now);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STATE_START_CONDITIONS_H_
