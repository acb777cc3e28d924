#ifndef CVTRAIN_CLIENT_SIMULATE_PHILLY_H_
#define CVTRAIN_CLIENT_SIMULATE_PHILLY_H_

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/simulate/outcome.h"
#include "client/simulate/philly_trace.h"
#include "client/simulate/shockwave.h"
#include "coordinator/scheduler/policy.h"

namespace cvtrain::client {

// Runs `jobs`, which are in order of submission, under `policy` on one pool of nodes of eight GPUs:
// rigid, never stopped, packed. A job of up to eight GPUs is on the fullest node that holds it, the
// first of those; a larger one on empty nodes, the first ones, and the fullest that holds the rest.
// It is planned once for each moment at which jobs end or come, for all of them together; if
// nothing of that will happen and jobs wait, every 120 s.
//
// INVALID_ARGUMENT (DATA_BAD) if a job needs more than there is, or options.gpus is no multiple of
// eight; (USAGE) for told measured: nothing of a rigid job is measured before it ends.
absl::StatusOr<Outcome> SimulatePhilly(absl::Span<const PhillyJob> jobs,
                                       coordinator::Policy& policy, const SimulateOptions& options);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_SIMULATE_PHILLY_H_
