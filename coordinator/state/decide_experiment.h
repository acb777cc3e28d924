#ifndef CVTRAIN_COORDINATOR_STATE_DECIDE_EXPERIMENT_H_
#define CVTRAIN_COORDINATOR_STATE_DECIDE_EXPERIMENT_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/state/cluster_state.h"
#include "coordinator/state/decision.h"
#include "cvtrain/v1/experiment.pb.h"
#include "cvtrain/v1/trial.pb.h"
#include "plan/recipe/resolve.h"

// What users may do to experiments and trials. Pure functions; `now` is data. Thread-compatible.
namespace cvtrain::coordinator {

// What plan/ needs to know of a version.
plan::DatasetFacts FactsOf(const v1::DatasetVersion& version);

// Validates `spec` and writes all defaults and the facts of its data set into it.
//
// Returns INVALID_ARGUMENT (RECIPE_INVALID, UNKNOWN_NAME, BAD_RESOURCE_NAME) and NOT_FOUND
// (DATASET_NOT_FOUND).
absl::StatusOr<v1::ExperimentSpec> ResolveSpec(const ClusterState& state,
                                               const v1::ExperimentSpec& spec);

// Creates an experiment with its first trials. The answer's resource is its name.
//
// Returns the errors of ResolveSpec(), NOT_FOUND (EXPERIMENT_NOT_FOUND, TRIAL_NOT_FOUND) for what
// it is to come after, ALREADY_EXISTS (EXPERIMENT_EXISTS) if the project has one of
// this name, and RESOURCE_EXHAUSTED (LIMIT_EXCEEDED) if too many are active.
Decision DecideCreateExperiment(const ClusterState& state,
                                const v1::CreateExperimentRequest& request,
                                const std::string& program_version, absl::Time now);

// Ends an experiment: queued trials at once, running ones when their workers have stopped.
//
// Returns NOT_FOUND (EXPERIMENT_NOT_FOUND), FAILED_PRECONDITION (EXPERIMENT_FINISHED), ABORTED
// (ETAG_MISMATCH).
Decision DecideCancelExperiment(const ClusterState& state,
                                const v1::CancelExperimentRequest& request, absl::Time now);

// Keeps trials of an experiment from starting, or lets them. Decides nothing if that is so.
//
// Errors as DecideCancelExperiment().
Decision DecideHoldExperiment(const ClusterState& state, const v1::HoldExperimentRequest& request,
                              absl::Time now);
Decision DecideReleaseExperiment(const ClusterState& state,
                                 const v1::ReleaseExperimentRequest& request, absl::Time now);

// Ends a trial: a queued one at once, a running one when its workers have stopped. Asking again
// with `now` hastens it.
//
// Returns NOT_FOUND (TRIAL_NOT_FOUND), FAILED_PRECONDITION (TRIAL_FINISHED), ABORTED
// (ETAG_MISMATCH).
Decision DecideCancelTrial(const ClusterState& state, const v1::CancelTrialRequest& request,
                           absl::Time now);

// Makes more trials of `experiment` if its search has more and there is room. Decides nothing if
// there is nothing to make.
//
// Returns NOT_FOUND (EXPERIMENT_NOT_FOUND).
Decision DecideAdvanceSearch(const ClusterState& state, const ExperimentName& experiment,
                             absl::Time now);

// Etags: the revision of the last change.
std::string EtagOf(int64_t revision);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STATE_DECIDE_EXPERIMENT_H_
