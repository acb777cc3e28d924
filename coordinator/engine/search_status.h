#ifndef CVTRAIN_COORDINATOR_ENGINE_SEARCH_STATUS_H_
#define CVTRAIN_COORDINATOR_ENGINE_SEARCH_STATUS_H_

#include "absl/time/time.h"
#include "coordinator/state/cluster_state.h"
#include "cvtrain/v1/experiment.pb.h"

namespace cvtrain::coordinator {

// What the search of an experiment has found by `now`. Costs a look at all of its trials. Pure;
// thread-compatible.
v1::SearchStatus SearchStatusOf(const ClusterState::Experiment& experiment, absl::Time now);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_ENGINE_SEARCH_STATUS_H_
