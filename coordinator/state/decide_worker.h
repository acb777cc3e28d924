#ifndef CVTRAIN_COORDINATOR_STATE_DECIDE_WORKER_H_
#define CVTRAIN_COORDINATOR_STATE_DECIDE_WORKER_H_

#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/ids.h"
#include "coordinator/state/cluster_state.h"
#include "coordinator/state/decision.h"
#include "cvtrain/session/v1/session.pb.h"
#include "cvtrain/v1/worker.pb.h"

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

// A worker gets no new work, which holds until it is taken back, also if it goes and comes. With
// `drain` what it runs writes a checkpoint and goes on elsewhere. Decides nothing if all of that is
// so already.
//
// Returns NOT_FOUND (WORKER_NOT_FOUND), INVALID_ARGUMENT (BAD_RESOURCE_NAME, FIELD_INVALID).
Decision DecideCordonWorker(const ClusterState& state, const v1::CordonWorkerRequest& request,
                            absl::Time now);
Decision DecideUncordonWorker(const ClusterState& state, const v1::UncordonWorkerRequest& request,
                              absl::Time now);

// Sets a worker aside on which trials fail that may do better elsewhere: cordons it, and says why.
// That is one where, since one went well there and within half an hour, three different trials
// failed for reasons that may be the machine's (device fault, internal), while another worker that
// takes work has no failure: a recipe that crashes everywhere sets nobody aside. Decides nothing
// otherwise.
//
// Returns NOT_FOUND (WORKER_NOT_FOUND).
Decision DecideSetAside(const ClusterState& state, const WorkerName& worker, absl::Time now);

// Forgets a lost worker.
//
// Returns NOT_FOUND (WORKER_NOT_FOUND), FAILED_PRECONDITION (WRONG_STATE) if it is not lost.
Decision DecideRemoveWorker(const ClusterState& state, const v1::RemoveWorkerRequest& request,
                            absl::Time now);

// Unfinished attempts with ranks on `worker`, in order. Empty if it is not known.
std::vector<AttemptName> AttemptsOn(const ClusterState& state, const WorkerName& worker);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STATE_DECIDE_WORKER_H_
