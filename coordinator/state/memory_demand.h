#ifndef CVTRAIN_COORDINATOR_STATE_MEMORY_DEMAND_H_
#define CVTRAIN_COORDINATOR_STATE_MEMORY_DEMAND_H_

#include <cstdint>

#include "coordinator/state/cluster_state.h"

namespace cvtrain::coordinator {

// Bytes of tensors that a rank of a trial of `spec` is predicted to need at least, in the smallest
// micro-batches: a slot must have as many. 0 if that cannot be said: of a synthetic task, and of a
// search that changes what memory depends on. Pure.
int64_t PredictRankMemory(const ClusterState& state, const v1::ExperimentSpec& spec);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STATE_MEMORY_DEMAND_H_
