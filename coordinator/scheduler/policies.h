#ifndef CVTRAIN_COORDINATOR_SCHEDULER_POLICIES_H_
#define CVTRAIN_COORDINATOR_SCHEDULER_POLICIES_H_

#include <memory>

#include "coordinator/scheduler/policy.h"

// The policies, one file each. A new one is a file, a line here and a line in registry.cc.
namespace cvtrain::coordinator {

// First come, first served; nobody passes the first one that does not fit.
std::unique_ptr<Policy> MakeFifo();

// First come, first served; whoever fits passes those that do not.
std::unique_ptr<Policy> MakeBackfill();

// Who has least left goes first; whoever fits passes those that do not.
std::unique_ptr<Policy> MakeShortest();

// Equal shares of the slots by time slices, as Gavel's simulator makes them of its max-min
// allocation (Narayanan et al., OSDI 2020).
std::unique_ptr<Policy> MakeMaxMin();

// Ours: docs/scheduling.md.
std::unique_ptr<Policy> MakeCvtrain();

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_SCHEDULER_POLICIES_H_
