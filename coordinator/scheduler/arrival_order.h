#ifndef CVTRAIN_COORDINATOR_SCHEDULER_ARRIVAL_ORDER_H_
#define CVTRAIN_COORDINATOR_SCHEDULER_ARRIVAL_ORDER_H_

#include "coordinator/scheduler/policy.h"

namespace cvtrain::coordinator {

// Ranks jobs by when they came.
inline void RankByArrival(const PlanInput& input, absl::Span<Rank> ranks) {
  for (size_t i = 0; i < ranks.size(); ++i) {
    ranks[i].key = absl::ToDoubleSeconds(input.jobs[i].arrival - absl::UnixEpoch());
  }
}

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_SCHEDULER_ARRIVAL_ORDER_H_
