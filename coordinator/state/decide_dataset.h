#ifndef CVTRAIN_COORDINATOR_STATE_DECIDE_DATASET_H_
#define CVTRAIN_COORDINATOR_STATE_DECIDE_DATASET_H_

#include "absl/time/time.h"
#include "coordinator/state/cluster_state.h"
#include "coordinator/state/decision.h"
#include "cvtrain/v1/dataset.pb.h"

namespace cvtrain::coordinator {

// Makes a version of a data set visible, whose shards are all stored. If the newest version has
// the same digest nothing is decided. The answer's resource is the name of the version. Pure.
//
// Returns INVALID_ARGUMENT (BAD_RESOURCE_NAME, FIELD_INVALID) if the version contradicts itself:
// digests, indices and positions of shards, counts of images.
Decision DecideCommitDataset(const ClusterState& state,
                             const v1::CommitDatasetVersionRequest& request, absl::Time now);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STATE_DECIDE_DATASET_H_
