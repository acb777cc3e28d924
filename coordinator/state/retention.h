#ifndef CVTRAIN_COORDINATOR_STATE_RETENTION_H_
#define CVTRAIN_COORDINATOR_STATE_RETENTION_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/ids.h"
#include "coordinator/state/cluster_state.h"
#include "cvtrain/v1/recipe.pb.h"

namespace cvtrain::coordinator {

// Why a checkpoint is kept: `resume` (the newest complete one, from which the next attempt goes on,
// and the one from which an attempt that has not begun is about to), `last`, `best`. Several may
// hold.
struct KeptCheckpoint {
  CheckpointName name;
  std::vector<std::string> kept_as;  // empty: it may go
};

// Whether the state that `a` holds of a trial is older than that of `b`: of an earlier attempt, or
// at an earlier step of the same one. When they were listed says nothing: two buffers of a trainer
// are sent side by side, and what waited on a disk comes last.
bool IsOlder(const storage::v1::CheckpointRecord& a, const storage::v1::CheckpointRecord& b);

// One checkpoint of a trial, as far as keeping it goes.
struct CheckpointStep {
  CheckpointName name;
  int64_t step = 0;
  bool damaged = false;
};

// Judges `checkpoints` of a trial, the newest last, by its policy: the last `keep_last`, and by the
// objective at their steps the best `keep_best`, of equal ones the older. The newest is always
// kept. Nothing goes on from damaged ones, so they are not among the last; they may be among the
// best, since a worker's word alone destroys none of those. In the order of `checkpoints`. Pure.
std::vector<KeptCheckpoint> JudgeCheckpoints(const v1::CheckpointPolicy& policy,
                                             const v1::Objective& objective,
                                             const storage::v1::TrialRecord& trial,
                                             const std::vector<CheckpointStep>& checkpoints);

// The first experiment that has not ended and begins with its weights (init_from), by number; only
// of those that are not in `ended`.
std::optional<ExperimentName> BegunWith(const ClusterState& state, const CheckpointName& name,
                                        const std::set<int64_t>& ended = {});

// Those of a trial in the state, the newest last.
std::vector<CheckpointStep> CheckpointSteps(const ClusterState& state,
                                            const ClusterState::Trial& trial);

// The policy in the trial's resolved recipe.
v1::CheckpointPolicy PolicyOf(const storage::v1::TrialRecord& trial);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STATE_RETENTION_H_
