#include "coordinator/engine/assignment.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "coordinator/state/trial_record.h"

namespace cvtrain::coordinator {
namespace {

absl::Status Describe(const ClusterState& state, const std::string& name,
                      session::v1::ResumePoint& point) {
  CVT_ASSIGN_OR_RETURN(const CheckpointName parsed, CheckpointName::Parse(name));
  CVT_ASSIGN_OR_RETURN(const storage::v1::CheckpointRecord* checkpoint,
                       state.FindCheckpoint(parsed));
  point.set_checkpoint(checkpoint->name());
  point.set_size_bytes(checkpoint->size_bytes());
  point.set_digest(checkpoint->digest());
  point.set_step(checkpoint->step());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<session::v1::Assign> MakeAssign(const ClusterState& state, const AttemptName& name,
                                               const WorkerName& worker) {
  CVT_ASSIGN_OR_RETURN(const ClusterState::Trial* trial, state.FindTrial(name.trial()));
  CVT_ASSIGN_OR_RETURN(const ClusterState::Experiment* experiment,
                       state.FindExperiment(name.trial().experiment()));
  CVT_ASSIGN_OR_RETURN(const storage::v1::AttemptRecord* attempt, state.FindAttempt(name));
  const v1::ExperimentSpec& spec = experiment->record.spec();
  session::v1::Assign assign;
  assign.set_attempt(name.ToString());
  assign.set_lease_generation(attempt->lease_generation());
  if (!assign.mutable_recipe()->ParseFromString(trial->record.recipe())) {
    return DataLoss(Reason::kJournalDamaged,
                    absl::StrCat(name.ToString(), ": its recipe cannot be read"));
  }
  assign.set_recipe_digest(trial->record.recipe_digest());
  assign.set_plan_version(experiment->record.plan_version());
  if (assign.recipe().task() != v1::Recipe::TASK_SYNTHETIC) {
    const v1::DatasetSource& source = assign.recipe().dataset();
    CVT_ASSIGN_OR_RETURN(
        const v1::DatasetVersion* version,
        state.FindDatasetVersion(DatasetVersionName(DatasetName(source.name()), source.version())));
    *assign.mutable_dataset() = *version;
  }
  assign.set_world_size(attempt->ranks_size());
  assign.set_logical_ranks(spec.resources().logical_ranks());
  const std::string worker_name = worker.ToString();
  for (int rank = 0; rank < attempt->ranks_size(); ++rank) {
    if (attempt->ranks(rank).worker() != worker_name) continue;
    session::v1::RankAssignment& assignment = *assign.add_ranks();
    assignment.set_rank(rank);
    assignment.set_slot(attempt->ranks(rank).slot());
  }
  if (!attempt->resumed_from().empty()) {
    CVT_RETURN_IF_ERROR(Describe(state, attempt->resumed_from(), *assign.mutable_resume()));
  } else if (assign.recipe().has_init_from()) {
    CVT_RETURN_IF_ERROR(
        Describe(state, assign.recipe().init_from().checkpoint(), *assign.mutable_init()));
  }
  *assign.mutable_objective() = ObjectiveOf(spec);
  *assign.mutable_grant_time() = attempt->grant_time();
  return assign;
}

session::v1::StopAttempt MakeStop(const AttemptName& name,
                                  const storage::v1::AttemptRecord& attempt) {
  session::v1::StopAttempt stop;
  stop.set_attempt(name.ToString());
  stop.set_lease_generation(attempt.lease_generation());
  stop.set_mode(attempt.stop().now() ? session::v1::StopAttempt::MODE_NOW
                                     : session::v1::StopAttempt::MODE_CHECKPOINT);
  stop.set_cause(attempt.stop().cause());
  return stop;
}

}  // namespace cvtrain::coordinator
