#ifndef CVTRAIN_COORDINATOR_STATE_DECIDE_WORKER_H_
#define CVTRAIN_COORDINATOR_STATE_DECIDE_WORKER_H_

#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/ids.h"
#include "coordinator/state/cluster_state.h"
#include "coordinator/state/decision.h"
#include "cvtrain/session/v1/session.pb.h"

// Workers come and go. Pure functions; `now` is data. Thread-compatible.
namespace cvtrain::coordinator {

// The lease of a worker has expired: its ranks are lost.
//
// Returns NOT_FOUND (WORKER_NOT_FOUND); decides nothing if it is lost already.
Decision DecideWorkerLost(const ClusterState& state, const WorkerName& worker,
                          absl::string_view reason, absl::Time now);

// A worker says hello. `lost` are attempts that it held before and holds no more. Decides nothing
// if the worker is known as it is and `lost` is empty.
//
// Returns INVALID_ARGUMENT (FIELD_INVALID) for bad slots, RESOURCE_EXHAUSTED (LIMIT_EXCEEDED) for
// too many slots or workers.
Decision DecideRegisterWorker(const ClusterState& state, const session::v1::Hello& hello,
                              const std::vector<AttemptName>& lost, absl::Time now);

// Unfinished attempts with ranks on `worker`, in order. Empty if it is not known.
std::vector<AttemptName> AttemptsOn(const ClusterState& state, const WorkerName& worker);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STATE_DECIDE_WORKER_H_
