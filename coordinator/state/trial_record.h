#ifndef CVTRAIN_COORDINATOR_STATE_TRIAL_RECORD_H_
#define CVTRAIN_COORDINATOR_STATE_TRIAL_RECORD_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/ids.h"
#include "cvtrain/storage/v1/event.pb.h"
#include "cvtrain/storage/v1/snapshot.pb.h"
#include "cvtrain/v1/recipe.pb.h"
#include "cvtrain/v1/trial.pb.h"

// How the record of one trial changes: the functions that both applying and deciding use, the one
// on the state, the other on a copy. They know no policy. Pure functions; thread-compatible.
namespace cvtrain::coordinator {

bool HasEnded(v1::Trial::State state);
bool HasEnded(const storage::v1::AttemptRecord& attempt);

TrialName NameOf(const storage::v1::TrialRecord& trial);
AttemptName NameOf(const storage::v1::TrialRecord& trial,
                   const storage::v1::AttemptRecord& attempt);

// The attempt that has not ended; nullptr if there is none. Only the last one can be open.
const storage::v1::AttemptRecord* OpenAttempt(const storage::v1::TrialRecord& trial);
storage::v1::AttemptRecord* OpenAttempt(storage::v1::TrialRecord& trial);

// The part of `worker` ("workers/w1"); nullptr if it has none.
const storage::v1::AttemptPart* FindPart(const storage::v1::AttemptRecord& attempt,
                                         absl::string_view worker);

// "out of memory"
std::string CauseText(v1::Cause cause);

// Causes with which an attempt fails, rather than being ended by someone.
bool IsFailure(v1::Cause cause);

// Begins an attempt. Returns DATA_LOSS (JOURNAL_DAMAGED) if one is open, or it is not the next.
absl::Status BeginAttempt(storage::v1::TrialRecord& trial,
                          const storage::v1::AttemptAllocated& event, int64_t revision,
                          absl::Time time);

// Applies one fact of `worker`. Returns DATA_LOSS (JOURNAL_DAMAGED) if it is not the next of an
// unfinished part of the open attempt.
absl::Status ApplyFact(storage::v1::TrialRecord& trial, absl::string_view worker,
                       const storage::v1::Fact& fact, absl::Time time);

// Ends the part of `worker` with cause worker lost. Errors as ApplyFact().
absl::Status LosePart(storage::v1::TrialRecord& trial, absl::string_view worker, absl::Time time);

void ApplyTransition(storage::v1::TrialRecord& trial,
                     const storage::v1::TrialTransition& transition, absl::Time time);

// When a queued trial may be tried again: a trial that keeps failing at the same place must not
// turn over as fast as the machine can. The first failure costs no time; each further attempt that
// failed or never began, from the same step, doubles the wait after it: 1 s to 60 s.
absl::Time NotBefore(const storage::v1::TrialRecord& trial);

// How long a queued trial must wait yet. Zero if the wait is over, and if it would be longer than
// any: then the clock went back, and nobody waits for it to catch up.
absl::Duration DelayOf(const storage::v1::TrialRecord& trial, absl::Time now);

// What a trial is judged by: the objective of its search; without one, the last `val/top1`.
v1::Objective ObjectiveOf(const v1::ExperimentSpec& spec);

// The objective after all evaluations; nullopt if there is no finite value.
std::optional<double> ObjectiveValue(const v1::Objective& objective,
                                     const storage::v1::TrialRecord& trial);

// The objective at the epoch of each rung that `trial` has reached, in order: after the evaluations
// up to it, NaN where there is no finite value.
std::vector<double> RungValues(const v1::Objective& objective, const std::vector<int32_t>& rungs,
                               const storage::v1::TrialRecord& trial);

// The objective's metric in the evaluation at `step`; nullopt if there is no finite value.
std::optional<double> ObjectiveAtStep(const v1::Objective& objective,
                                      const storage::v1::TrialRecord& trial, int64_t step);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STATE_TRIAL_RECORD_H_
