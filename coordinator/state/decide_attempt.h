#ifndef CVTRAIN_COORDINATOR_STATE_DECIDE_ATTEMPT_H_
#define CVTRAIN_COORDINATOR_STATE_DECIDE_ATTEMPT_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/ids.h"
#include "coordinator/state/cluster_state.h"
#include "coordinator/state/decision.h"
#include "cvtrain/session/v1/session.pb.h"

// What workers report about attempts, and the granting of slots. Pure functions; `now` is data.
// Thread-compatible.
namespace cvtrain::coordinator {

// Whose report it is. Views into the request.
struct LeaseClaim {
  absl::string_view worker;   // "workers/w1"
  absl::string_view attempt;  // "experiments/1/trials/2/attempts/3"
  int64_t lease_generation = 0;
};

// OK if `claim` is of a worker that has unfinished ranks in an attempt of this generation: what
// it reports counts.
//
// Returns INVALID_ARGUMENT (BAD_RESOURCE_NAME); ABORTED (LEASE_LOST) if the attempt has ended, has
// another generation, does not exist, or the worker has no part in it that has not ended.
absl::Status CheckLease(const ClusterState& state, const LeaseClaim& claim);

struct RankSlot {
  WorkerName worker;
  int32_t slot = 0;

  friend bool operator==(const RankSlot&, const RankSlot&) = default;
};

// All slots of one trial, in order of rank.
struct TrialPlacement {
  TrialName trial;
  std::vector<RankSlot> ranks;
};

// Gives slots to a queued trial: its next attempt begins. It goes on from the newest checkpoint.
//
// Returns FAILED_PRECONDITION (WRONG_STATE) if the trial is not queued, needs another number of
// slots, or a slot is not free.
Decision DecideAllocate(const ClusterState& state, const TrialPlacement& placement, absl::Time now);

// An attempt is to make way for trial `by`: it writes a checkpoint and stops, and its trial waits
// again. Decides nothing if it is to stop already. No retry budget pays for that.
//
// Returns NOT_FOUND (TRIAL_NOT_FOUND, ATTEMPT_NOT_FOUND), and FAILED_PRECONDITION (WRONG_STATE) if
// the attempt has ended.
Decision DecidePreempt(const ClusterState& state, const AttemptName& attempt, const TrialName& by,
                       absl::Time now);

// Takes in facts. Those that are known are skipped; if all are, nothing is decided. The end of a
// part that has not ended is never known, whatever its number: the worker has lost facts that it
// had sent, and would hold the slots for ever. An attempt whose last part ends decides its trial:
// ended, or queued again within the budget of the cause. A part that fails stops the others.
//
// Returns ABORTED (LEASE_LOST), changing nothing, as CheckLease(), except for facts that are all
// known. INVALID_ARGUMENT (FIELD_INVALID) if there are none or more than 100, if sequences have a
// gap or a fact has no kind.
Decision DecideFacts(const ClusterState& state, const session::v1::ReportFactsRequest& request,
                     absl::Time now);

// Lists a checkpoint that is stored and verified, and deletes what the trial's policy keeps no
// longer: kept are the newest, the last `keep_last`, the best `keep_best` by the objective. One
// that is listed already, equal, decides nothing.
//
// Returns the errors of CheckLease(); INVALID_ARGUMENT (FIELD_INVALID) if another checkpoint has
// this name or a field is out of range.
Decision DecideCommitCheckpoint(const ClusterState& state,
                                const session::v1::UploadCheckpointHeader& header, absl::Time now);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STATE_DECIDE_ATTEMPT_H_
