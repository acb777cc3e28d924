#ifndef CVTRAIN_COORDINATOR_STATE_SEARCH_RESULTS_H_
#define CVTRAIN_COORDINATOR_STATE_SEARCH_RESULTS_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "coordinator/search/searcher.h"
#include "coordinator/state/cluster_state.h"
#include "cvtrain/v1/recipe.pb.h"

// What a search is told of its trials, and what it has used. Pure functions; thread-compatible.
namespace cvtrain::coordinator {

// Of one trial. Points into `record` and `rungs`.
TrialResult ResultOf(const storage::v1::TrialRecord& record, std::optional<double> objective,
                     absl::Span<const double> rungs);

// The record of a trial: the state's, or one that a decision has changed.
using RecordOf =
    absl::FunctionRef<const storage::v1::TrialRecord&(const ClusterState::Trial& trial)>;

// What the experiment has used at `now`, each field as SearchBudget has it. Costs a look at every
// attempt.
v1::SearchBudget UsedBy(const ClusterState::Experiment& experiment, RecordOf record_of,
                        absl::Time now);

// The bound of its budget that is used up, for people ("slot_hours: 12"), when it has made `trials`
// trials; empty if none is.
std::string UsedUpBound(const ClusterState::Experiment& experiment, RecordOf record_of,
                        size_t trials, absl::Time now);

// Whether its budget has a bound that is used up while trials run.
bool HasBoundOfUse(const v1::SearchBudget& budget);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STATE_SEARCH_RESULTS_H_
