#ifndef CVTRAIN_COORDINATOR_STATE_DECIDE_CHECKPOINT_H_
#define CVTRAIN_COORDINATOR_STATE_DECIDE_CHECKPOINT_H_

#include "absl/time/time.h"
#include "coordinator/state/cluster_state.h"
#include "coordinator/state/decision.h"
#include "cvtrain/v1/checkpoint.pb.h"

// What users ask about checkpoints that no trial made. Pure functions; `now` is data.
// Thread-compatible.
namespace cvtrain::coordinator {

// Lists weights of others, whose bytes are stored and verified. One that is listed already, equal,
// decides nothing.
//
// Returns INVALID_ARGUMENT (FIELD_INVALID) with every broken field, and (REQUEST_ID_REUSED) if
// another checkpoint has this id; RESOURCE_EXHAUSTED (LIMIT_EXCEEDED) if it is too large, or as
// many were imported as may be.
Decision DecideImportCheckpoint(const ClusterState& state, const v1::ImportCheckpointHeader& header,
                                absl::Time now);

// Returns INVALID_ARGUMENT (BAD_RESOURCE_NAME), NOT_FOUND (CHECKPOINT_NOT_FOUND), and
// FAILED_PRECONDITION (WRONG_STATE) for one that a trial made and while an experiment that has not
// ended begins with it.
Decision DecideDeleteCheckpoint(const ClusterState& state,
                                const v1::DeleteCheckpointRequest& request, absl::Time now);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STATE_DECIDE_CHECKPOINT_H_
