#ifndef CVTRAIN_COORDINATOR_STATE_MEMORY_DEMAND_H_
#define CVTRAIN_COORDINATOR_STATE_MEMORY_DEMAND_H_

#include <cstdint>

#include "coordinator/state/cluster_state.h"

namespace cvtrain::coordinator {

// Bytes that a rank of a trial of `spec` is predicted to take at most; 0 if that cannot be said, as
// of a synthetic task. Trials of a search that changes sizes or batches may take more: they then
// run in micro-batches. Pure.
int64_t PredictRankMemory(const ClusterState& state, const v1::ExperimentSpec& spec);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STATE_MEMORY_DEMAND_H_
