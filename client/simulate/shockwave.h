#ifndef CVTRAIN_CLIENT_SIMULATE_SHOCKWAVE_H_
#define CVTRAIN_CLIENT_SIMULATE_SHOCKWAVE_H_

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/simulate/outcome.h"
#include "client/simulate/shockwave_trace.h"
#include "client/simulate/told.h"
#include "common/thread.h"
#include "coordinator/scheduler/policy.h"

namespace cvtrain::client {

struct SimulateOptions {
  int gpus = 32;
  ToldOptions told;
  // Ends a simulation early, with CANCELLED (STOPPING).
  StopToken stop;
};

// Runs `jobs` under `policy` as Shockwave's simulator does: in rounds of 120 s, one GPU a server,
// everyone may be stopped at the end of a round. A round ends with the last of its jobs; one that
// ends inside it gets its exact time, and its GPUs idle until the round's end. Who did not run in
// the round before loses 20 s, in all but the first round. A round that nobody runs in takes its
// whole time.
//
// INVALID_ARGUMENT (DATA_BAD) if a job needs more GPUs than there are, and as ShockwaveRun has it.
absl::StatusOr<Outcome> SimulateShockwave(absl::Span<const ShockwaveJob> jobs,
                                          const Throughputs& throughputs,
                                          coordinator::Policy& policy,
                                          const SimulateOptions& options);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_SIMULATE_SHOCKWAVE_H_
