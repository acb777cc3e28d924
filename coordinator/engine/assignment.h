#ifndef CVTRAIN_COORDINATOR_ENGINE_ASSIGNMENT_H_
#define CVTRAIN_COORDINATOR_ENGINE_ASSIGNMENT_H_

#include "absl/status/statusor.h"
#include "common/ids.h"
#include "coordinator/state/cluster_state.h"
#include "cvtrain/session/v1/session.pb.h"

namespace cvtrain::coordinator {

// Everything that `worker` needs to run its ranks of an attempt: a pure function of the state.
//
// Returns NOT_FOUND (TRIAL_NOT_FOUND, ATTEMPT_NOT_FOUND, DATASET_NOT_FOUND, CHECKPOINT_NOT_FOUND)
// and DATA_LOSS (JOURNAL_DAMAGED) if the stored recipe cannot be read: bugs, all of them.
absl::StatusOr<session::v1::Assign> MakeAssign(const ClusterState& state,
                                               const AttemptName& attempt,
                                               const WorkerName& worker);

// The stop of an attempt that has one.
session::v1::StopAttempt MakeStop(const AttemptName& name,
                                  const storage::v1::AttemptRecord& attempt);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_ENGINE_ASSIGNMENT_H_
