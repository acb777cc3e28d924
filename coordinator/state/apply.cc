#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "coordinator/state/event_applier.h"
#include "coordinator/state/proto_time.h"
#include "coordinator/state/search_results.h"
#include "coordinator/state/trial_record.h"
#include "plan/recipe/search_points.h"

namespace cvtrain::coordinator {
namespace {

using storage::v1::AttemptRecord;
using storage::v1::Event;

constexpr int kWorkerFailuresKept = 10;
constexpr size_t kFailureMessageSizeBytesMax = 256;

std::pair<double, int64_t> RankingKey(const ClusterState::Experiment& experiment,
                                      const ClusterState::Trial& trial) {
  const bool maximize = ObjectiveOf(experiment.record.spec()).mode() != v1::Objective::MODE_MIN;
  return {maximize ? -*trial.objective : *trial.objective, trial.name.number()};
}

}  // namespace

void IndexTrial(ClusterState::Experiment& experiment, ClusterState::Trial& trial) {
  const v1::Objective objective = ObjectiveOf(experiment.record.spec());
  trial.objective = ObjectiveValue(objective, trial.record);
  trial.rungs = RungValues(objective, plan::SearchRungs(experiment.record.spec()), trial.record);
  const size_t index = static_cast<size_t>(trial.name.number()) - 1;
  if (index >= experiment.results.size()) experiment.results.resize(index + 1);
  experiment.results[index] = ResultOf(trial.record, trial.objective, trial.rungs);
  ++experiment.trials_by_state[static_cast<size_t>(trial.record.state())];
  if (trial.record.state() == v1::Trial::STATE_QUEUED) {
    experiment.queued.insert(trial.name.number());
  }
  if (trial.IsRanked()) experiment.ranking.insert(RankingKey(experiment, trial));
}

void UnindexTrial(ClusterState::Experiment& experiment, const ClusterState::Trial& trial) {
  --experiment.trials_by_state[static_cast<size_t>(trial.record.state())];
  experiment.queued.erase(trial.name.number());
  if (trial.objective) experiment.ranking.erase(RankingKey(experiment, trial));
}

absl::Status EventApplier::Damaged(absl::string_view what) const {
  return DataLoss(Reason::kJournalDamaged, absl::StrCat("event ", event_.revision(), ": ", what));
}

absl::Status EventApplier::Run() {
  if (event_.revision() != state_.revision_ + 1) {
    return Damaged(absl::StrCat("comes where ", state_.revision_ + 1, " is next"));
  }
  state_.revision_ = event_.revision();
  state_.time_ = std::max(state_.time_, FromTimestamp(event_.time()));
  CVT_RETURN_IF_ERROR(ApplyKind());
  CVT_RETURN_IF_ERROR(Follow(event_.consequences()));
  state_.requests_.Forget(state_.time_);
  if (!event_.has_request()) return absl::OkStatus();
  storage::v1::RequestRecord record;
  record.set_id(event_.request().id());
  record.set_fingerprint(event_.request().fingerprint());
  record.set_resource(event_.request().resource());
  record.set_revision(event_.revision());
  *record.mutable_time() = ToTimestamp(state_.time_);
  return state_.requests_.Add(std::move(record));
}

absl::Status EventApplier::ApplyKind() {
  switch (event_.kind_case()) {
    case Event::kExperimentCreated:
      return Created(event_.experiment_created());
    case Event::kExperimentCancelled: {
      CVT_ASSIGN_OR_RETURN(Experiment * experiment,
                           FindExperiment(event_.experiment_cancelled().experiment()));
      experiment->record.set_cancel_requested(true);
      experiment->record.set_search_done(true);
      experiment->record.set_trials_left(0);
      experiment->record.set_revision(event_.revision());
      return absl::OkStatus();
    }
    case Event::kTrialCancelled:
    case Event::kSearchAdvanced:
    case Event::kAttemptPreempted:
      return absl::OkStatus();  // all that they change is in their consequences
    case Event::kWorkerRegistered:
      return Registered(event_.worker_registered());
    case Event::kWorkerLost:
      return Lost(event_.worker_lost());
    case Event::kAttemptAllocated:
      return Allocated(event_.attempt_allocated());
    case Event::kFactsReported:
      return Facts(event_.facts_reported());
    case Event::kCheckpointCommitted:
      return Committed(event_.checkpoint_committed());
    case Event::kDatasetCommitted:
      return Committed(event_.dataset_committed());
    case Event::kCheckpointImported:
      return Imported(event_.checkpoint_imported());
    case Event::kCheckpointDeleted:
      return Deleted(event_.checkpoint_deleted());
    case Event::kWorkerCordoned:
      return Cordoned(event_.worker_cordoned());
    case Event::kWorkerRemoved: {
      CVT_ASSIGN_OR_RETURN(const ClusterState::Worker* worker,
                           FindWorker(event_.worker_removed().worker()));
      if (!worker->busy.empty()) {
        return Damaged(absl::StrCat("removes ", worker->record.name(), ", which runs something"));
      }
      state_.workers_.erase(WorkerName(worker->name));
      return absl::OkStatus();
    }
    case Event::kExperimentHeld: {
      CVT_ASSIGN_OR_RETURN(Experiment * experiment,
                           FindExperiment(event_.experiment_held().experiment()));
      experiment->record.set_held(event_.experiment_held().held());
      experiment->record.set_revision(event_.revision());
      return absl::OkStatus();
    }
    case Event::KIND_NOT_SET:
      break;
  }
  return Damaged("has no kind that this program knows");
}

absl::StatusOr<ClusterState::Experiment*> EventApplier::FindExperiment(absl::string_view name) {
  absl::StatusOr<ExperimentName> parsed = ExperimentName::Parse(name);
  if (parsed.ok()) {
    const auto found = state_.experiments_.find(parsed->number());
    if (found != state_.experiments_.end()) return &found->second;
  }
  return Damaged(absl::StrCat("names ", name, ", which does not exist"));
}

absl::Status EventApplier::ChangeTrial(const TrialName& name,
                                       absl::FunctionRef<absl::Status(Trial&)> change) {
  const auto experiment = state_.experiments_.find(name.experiment().number());
  if (experiment == state_.experiments_.end()) {
    return Damaged(absl::StrCat("names ", name.ToString(), ", which does not exist"));
  }
  const auto found = experiment->second.trials.find(name.number());
  if (found == experiment->second.trials.end()) {
    return Damaged(absl::StrCat("names ", name.ToString(), ", which does not exist"));
  }
  Trial& trial = found->second;
  UnindexTrial(experiment->second, trial);
  CVT_RETURN_IF_ERROR(change(trial));
  trial.record.set_revision(event_.revision());
  experiment->second.record.set_revision(event_.revision());
  IndexTrial(experiment->second, trial);
  state_.IndexExperiment(experiment->second);
  if (!trial.record.attempts().empty()) {
    state_.touched_attempts_.push_back(NameOf(trial.record, *trial.record.attempts().rbegin()));
  }
  return absl::OkStatus();
}

absl::Status EventApplier::Created(const storage::v1::ExperimentCreated& event) {
  CVT_ASSIGN_OR_RETURN(const ExperimentName name, ExperimentName::Parse(event.name()));
  const int64_t next = state_.experiments_.empty() ? 1 : state_.experiments_.rbegin()->first + 1;
  if (name.number() != next) {
    return Damaged(absl::StrCat("creates ", event.name(), " where ", next, " is next"));
  }
  Experiment& experiment = state_.experiments_[next];
  experiment.name = name;
  storage::v1::ExperimentRecord& record = experiment.record;
  record.set_number(next);
  *record.mutable_spec() = event.spec();
  record.set_state(v1::Experiment::STATE_ACTIVE);
  *record.mutable_create_time() = event_.time();
  record.set_creator(event_.caller().identity());
  record.set_plan_version(event.plan_version());
  record.set_program_version(event.program_version());
  record.set_held(event.spec().hold());
  record.set_revision(event_.revision());
  const auto labelled =
      state_.labels_.emplace(std::make_pair(event.spec().project(), event.spec().name()), next);
  if (!labelled.second) {
    return Damaged(absl::StrCat("gives the label ", event.spec().name(), " a second time"));
  }
  state_.IndexExperiment(experiment);
  return absl::OkStatus();
}

absl::Status EventApplier::Registered(const storage::v1::WorkerRegistered& event) {
  CVT_ASSIGN_OR_RETURN(WorkerName name, WorkerName::Parse(event.name()));
  CVT_RETURN_IF_ERROR(LoseParts(event.lost_attempts(), event.name()));
  if (!event.forgotten().empty()) {
    CVT_ASSIGN_OR_RETURN(const WorkerName forgotten, WorkerName::Parse(event.forgotten()));
    if (state_.workers_.erase(forgotten) == 0) {
      return Damaged(absl::StrCat("forgets ", event.forgotten(), ", which is not known"));
    }
  }
  ClusterState::Worker& worker = state_.workers_[name];
  worker.name = std::move(name);
  storage::v1::WorkerRecord& record = worker.record;
  record.set_name(event.name());
  record.set_instance(event.instance());
  *record.mutable_slots() = event.slots();
  record.set_program_version(event.program_version());
  record.set_build_id(event.build_id());
  record.set_hostname(event.hostname());
  record.set_plan_version(event.plan_version());
  record.set_cache_bytes_max(event.cache_bytes_max());
  *record.mutable_register_time() = event_.time();
  record.set_lost(false);
  return absl::OkStatus();
}

absl::StatusOr<ClusterState::Worker*> EventApplier::FindWorker(const std::string& text) {
  CVT_ASSIGN_OR_RETURN(const WorkerName name, WorkerName::Parse(text));
  const auto worker = state_.workers_.find(name);
  if (worker == state_.workers_.end()) {
    return Damaged(absl::StrCat("names ", text, ", which does not exist"));
  }
  return &worker->second;
}

absl::Status EventApplier::Cordoned(const storage::v1::WorkerCordoned& event) {
  CVT_ASSIGN_OR_RETURN(ClusterState::Worker * worker, FindWorker(event.worker()));
  worker->record.set_cordoned(event.cordoned());
  worker->record.set_cordon_reason(event.reason());
  // It gets another chance.
  if (!event.cordoned()) worker->record.clear_failures();
  return absl::OkStatus();
}

absl::Status EventApplier::Lost(const storage::v1::WorkerLost& event) {
  CVT_ASSIGN_OR_RETURN(ClusterState::Worker * worker, FindWorker(event.worker()));
  worker->record.set_lost(true);
  return LoseParts(event.lost_attempts(), event.worker());
}

absl::Status EventApplier::LoseParts(
    const google::protobuf::RepeatedPtrField<std::string>& attempts, const std::string& worker) {
  for (const std::string& text : attempts) {
    CVT_ASSIGN_OR_RETURN(const AttemptName attempt, AttemptName::Parse(text));
    CVT_RETURN_IF_ERROR(ChangeTrial(attempt.trial(), [&](Trial& trial) {
      return LosePart(trial.record, worker, state_.time_);
    }));
    CVT_RETURN_IF_ERROR(FreeSlots(worker, attempt));
  }
  return absl::OkStatus();
}

absl::Status EventApplier::FreeSlots(const std::string& worker, const AttemptName& attempt) {
  CVT_ASSIGN_OR_RETURN(ClusterState::Worker * found, FindWorker(worker));
  auto& busy = found->busy;
  for (auto slot = busy.begin(); slot != busy.end();) {
    slot = slot->second == attempt ? busy.erase(slot) : std::next(slot);
  }
  return absl::OkStatus();
}

absl::Status EventApplier::Allocated(const storage::v1::AttemptAllocated& event) {
  CVT_ASSIGN_OR_RETURN(const AttemptName attempt, AttemptName::Parse(event.attempt()));
  for (const storage::v1::RankPlacement& rank : event.ranks()) {
    CVT_ASSIGN_OR_RETURN(const WorkerName name, WorkerName::Parse(rank.worker()));
    const auto worker = state_.workers_.find(name);
    const bool offered =
        worker != state_.workers_.end() &&
        std::any_of(worker->second.record.slots().begin(), worker->second.record.slots().end(),
                    [&](const v1::Slot& slot) { return slot.index() == rank.slot(); });
    if (!offered) {
      return Damaged(absl::StrCat("gives slot ", rank.slot(), " of ", rank.worker(),
                                  ", which does not exist"));
    }
    if (!worker->second.busy.emplace(rank.slot(), attempt).second) {
      return Damaged(
          absl::StrCat("gives slot ", rank.slot(), " of ", rank.worker(), " a second time"));
    }
  }
  return ChangeTrial(attempt.trial(), [&](Trial& trial) {
    return BeginAttempt(trial.record, event, event_.revision(), state_.time_);
  });
}

absl::Status EventApplier::Facts(const storage::v1::FactsReported& event) {
  CVT_ASSIGN_OR_RETURN(const AttemptName attempt, AttemptName::Parse(event.attempt()));
  bool ended = false;
  CVT_RETURN_IF_ERROR(ChangeTrial(attempt.trial(), [&](Trial& trial) -> absl::Status {
    const AttemptRecord* open = OpenAttempt(trial.record);
    if (open == nullptr || open->number() != attempt.number() ||
        open->lease_generation() != event.lease_generation()) {
      return Damaged(absl::StrCat("has facts of ", event.attempt(), ", which is not open"));
    }
    for (const storage::v1::Fact& fact : event.facts()) {
      CVT_RETURN_IF_ERROR(ApplyFact(trial.record, event.worker(), fact, state_.time_));
      ended = ended || fact.has_ended();
      if (fact.has_ended()) CVT_RETURN_IF_ERROR(NoteEnd(event, fact.ended()));
      MarkDamaged(trial, fact.ended().damaged_checkpoint());
    }
    return absl::OkStatus();
  }));
  return ended ? FreeSlots(event.worker(), attempt) : absl::OkStatus();
}

absl::Status EventApplier::NoteEnd(const storage::v1::FactsReported& event,
                                   const storage::v1::PartEnded& ended) {
  CVT_ASSIGN_OR_RETURN(ClusterState::Worker * worker, FindWorker(event.worker()));
  auto& failures = *worker->record.mutable_failures();
  if (!IsFailure(ended.cause())) {
    failures.Clear();
  } else if (ended.cause() == v1::CAUSE_DEVICE_FAULT || ended.cause() == v1::CAUSE_INTERNAL) {
    if (failures.size() >= kWorkerFailuresKept) failures.DeleteSubrange(0, 1);
    storage::v1::WorkerFailure& failure = *failures.Add();
    *failure.mutable_time() = ToTimestamp(state_.time_);
    failure.set_attempt(event.attempt());
    failure.set_cause(ended.cause());
    failure.set_message(TruncateText(ended.message(), kFailureMessageSizeBytesMax));
  }
  return absl::OkStatus();
}

void EventApplier::MarkDamaged(const Trial& trial, const std::string& checkpoint) {
  const absl::StatusOr<CheckpointName> name = CheckpointName::Parse(checkpoint);
  if (!name.ok()) return;
  // A worker speaks for the trial that it runs and no other.
  if (std::find(trial.checkpoints.begin(), trial.checkpoints.end(), *name) ==
      trial.checkpoints.end()) {
    return;
  }
  state_.checkpoints_.at(*name).set_damaged(true);
}

absl::StatusOr<storage::v1::CheckpointRecord*> EventApplier::NewCheckpoint(
    const std::string& text) {
  CVT_ASSIGN_OR_RETURN(const CheckpointName name, CheckpointName::Parse(text));
  storage::v1::CheckpointRecord& record = state_.checkpoints_[name];
  if (!record.name().empty()) return Damaged(absl::StrCat("lists ", text, " twice"));
  record.set_name(text);
  *record.mutable_create_time() = event_.time();
  record.set_revision(event_.revision());
  return &record;
}

absl::Status EventApplier::DeleteFrom(Trial& trial, const std::string& text) {
  CVT_ASSIGN_OR_RETURN(const CheckpointName name, CheckpointName::Parse(text));
  const auto listed = std::find(trial.checkpoints.begin(), trial.checkpoints.end(), name);
  if (listed == trial.checkpoints.end()) {
    return Damaged(absl::StrCat("deletes ", text, ", which the trial does not have"));
  }
  trial.checkpoints.erase(listed);
  state_.checkpoints_.erase(name);
  state_.deleted_checkpoints_.push_back(name);
  return absl::OkStatus();
}

absl::Status EventApplier::Committed(const storage::v1::CheckpointCommitted& event) {
  CVT_ASSIGN_OR_RETURN(const CheckpointName name, CheckpointName::Parse(event.name()));
  CVT_ASSIGN_OR_RETURN(const AttemptName attempt, AttemptName::Parse(event.attempt()));
  CVT_ASSIGN_OR_RETURN(storage::v1::CheckpointRecord * record, NewCheckpoint(event.name()));
  record->set_attempt(event.attempt());
  record->set_step(event.step());
  record->set_epoch(event.epoch());
  record->set_stage(event.stage());
  record->set_size_bytes(event.size_bytes());
  record->set_digest(event.digest());
  return ChangeTrial(attempt.trial(), [&](Trial& trial) -> absl::Status {
    trial.checkpoints.push_back(name);
    state_.SortCheckpoints(trial);
    for (const std::string& deleted : event.deleted()) {
      CVT_RETURN_IF_ERROR(DeleteFrom(trial, deleted));
    }
    return absl::OkStatus();
  });
}

absl::Status EventApplier::Imported(const storage::v1::CheckpointImported& event) {
  CVT_ASSIGN_OR_RETURN(const CheckpointName name, CheckpointName::Parse(event.name()));
  CVT_ASSIGN_OR_RETURN(storage::v1::CheckpointRecord * record, NewCheckpoint(event.name()));
  record->set_label(event.label());
  record->set_size_bytes(event.size_bytes());
  record->set_digest(event.digest());
  state_.imported_.insert(name);
  return absl::OkStatus();
}

absl::Status EventApplier::Deleted(const storage::v1::CheckpointDeleted& event) {
  CVT_ASSIGN_OR_RETURN(const CheckpointName name, CheckpointName::Parse(event.name()));
  if (state_.imported_.erase(name) == 0) {
    return Damaged(absl::StrCat("deletes ", event.name(), ", which was not imported"));
  }
  state_.checkpoints_.erase(name);
  state_.deleted_checkpoints_.push_back(name);
  return absl::OkStatus();
}

absl::Status EventApplier::Committed(const storage::v1::DatasetCommitted& event) {
  CVT_ASSIGN_OR_RETURN(const DatasetVersionName name,
                       DatasetVersionName::Parse(event.version().name()));
  ClusterState::Dataset& dataset = state_.datasets_[name.dataset()];
  const int64_t next = static_cast<int64_t>(dataset.versions.size()) + 1;
  if (name.number() != next) {
    return Damaged(absl::StrCat("commits ", name.ToString(), " where ", next, " is next"));
  }
  dataset.versions[next] = event.version();
  return absl::OkStatus();
}

absl::Status EventApplier::Follow(const storage::v1::Consequences& consequences) {
  for (const auto& stop : consequences.stops()) CVT_RETURN_IF_ERROR(Stop(stop));
  for (const auto& transition : consequences.trials()) CVT_RETURN_IF_ERROR(Move(transition));
  for (const auto& step : consequences.searches()) CVT_RETURN_IF_ERROR(Search(step));
  for (const auto& end : consequences.experiments()) CVT_RETURN_IF_ERROR(End(end));
  return absl::OkStatus();
}

absl::Status EventApplier::Stop(const storage::v1::AttemptStop& stop) {
  CVT_ASSIGN_OR_RETURN(const AttemptName attempt, AttemptName::Parse(stop.attempt()));
  return ChangeTrial(attempt.trial(), [&](Trial& trial) -> absl::Status {
    AttemptRecord* open = OpenAttempt(trial.record);
    if (open == nullptr || open->number() != attempt.number()) {
      return Damaged(absl::StrCat("stops ", stop.attempt(), ", which is not open"));
    }
    *open->mutable_stop() = stop;
    return absl::OkStatus();
  });
}

absl::Status EventApplier::Move(const storage::v1::TrialTransition& transition) {
  CVT_ASSIGN_OR_RETURN(const TrialName name, TrialName::Parse(transition.trial()));
  return ChangeTrial(name, [&](Trial& trial) -> absl::Status {
    if (HasEnded(trial.record.state()) || OpenAttempt(trial.record) != nullptr) {
      return Damaged(absl::StrCat("moves ", transition.trial(), ", which has ended or runs"));
    }
    ApplyTransition(trial.record, transition, state_.time_);
    return absl::OkStatus();
  });
}

absl::Status EventApplier::Search(const storage::v1::SearchStep& step) {
  CVT_ASSIGN_OR_RETURN(Experiment * experiment, FindExperiment(step.experiment()));
  for (const storage::v1::NewTrial& created : step.created()) {
    CVT_RETURN_IF_ERROR(Create(*experiment, created));
  }
  for (const storage::v1::DiscardedTrial& discarded : step.discarded()) {
    CVT_RETURN_IF_ERROR(
        ChangeTrial(TrialName(experiment->name, discarded.number()), [&](Trial& trial) {
          trial.record.set_discarded(true);
          trial.record.set_reason(discarded.reason());
          return absl::OkStatus();
        }));
  }
  for (const storage::v1::RungPassed& passed : step.passed()) {
    CVT_RETURN_IF_ERROR(
        ChangeTrial(TrialName(experiment->name, passed.number()), [&](Trial& trial) {
          trial.record.set_rungs_passed(passed.rungs());
          return absl::OkStatus();
        }));
  }
  for (const storage::v1::PrunedTrial& pruned : step.pruned()) {
    CVT_RETURN_IF_ERROR(
        ChangeTrial(TrialName(experiment->name, pruned.number()), [&](Trial& trial) {
          trial.record.set_pruned_at_epoch(pruned.epoch());
          trial.record.set_reason(pruned.reason());
          return absl::OkStatus();
        }));
  }
  experiment->record.set_search_done(step.done());
  experiment->record.set_trials_left(step.left());
  experiment->record.set_revision(event_.revision());
  return absl::OkStatus();
}

absl::Status EventApplier::Create(Experiment& experiment, const storage::v1::NewTrial& created) {
  const int64_t next = static_cast<int64_t>(experiment.trials.size()) + 1;
  if (created.number() != next) {
    return Damaged(absl::StrCat("creates trial ", created.number(), " where ", next, " is next"));
  }
  Trial& trial = experiment.trials[next];
  trial.name = TrialName(experiment.name, next);
  storage::v1::TrialRecord& record = trial.record;
  record.set_experiment(experiment.name.number());
  record.set_number(next);
  *record.mutable_parameters() = created.parameters();
  record.set_recipe(created.recipe());
  record.set_recipe_digest(created.recipe_digest());
  record.set_point(created.point());
  record.set_replicate(created.replicate());
  *record.mutable_create_time() = event_.time();
  record.set_state(v1::Trial::STATE_QUEUED);
  record.set_revision(event_.revision());
  if (!created.error().empty()) {
    record.set_state(v1::Trial::STATE_FAILED);
    record.set_reason(created.error());
    *record.mutable_end_time() = event_.time();
  }
  IndexTrial(experiment, trial);
  state_.IndexExperiment(experiment);
  return absl::OkStatus();
}

absl::Status EventApplier::End(const storage::v1::ExperimentEnd& end) {
  CVT_ASSIGN_OR_RETURN(Experiment * experiment, FindExperiment(end.experiment()));
  storage::v1::ExperimentRecord& record = experiment->record;
  if (record.state() != v1::Experiment::STATE_ACTIVE) {
    return Damaged(absl::StrCat("ends ", end.experiment(), ", which has ended"));
  }
  switch (end.state()) {
    case storage::v1::END_STATE_SUCCEEDED:
      record.set_state(v1::Experiment::STATE_SUCCEEDED);
      break;
    case storage::v1::END_STATE_FAILED:
      record.set_state(v1::Experiment::STATE_FAILED);
      break;
    case storage::v1::END_STATE_CANCELLED:
      record.set_state(v1::Experiment::STATE_CANCELLED);
      break;
    default:
      return Damaged(absl::StrCat("ends ", end.experiment(), " in no state"));
  }
  record.set_message(end.message());
  *record.mutable_end_time() = event_.time();
  record.set_revision(event_.revision());
  state_.IndexExperiment(*experiment);
  for (const std::string& deleted : end.deleted()) {
    CVT_ASSIGN_OR_RETURN(Trial * maker, FindMaker(deleted));
    CVT_RETURN_IF_ERROR(DeleteFrom(*maker, deleted));
  }
  return absl::OkStatus();
}

// Its record stays as it is: nothing of it says which checkpoints are kept.
absl::StatusOr<ClusterState::Trial*> EventApplier::FindMaker(const std::string& checkpoint) {
  CVT_ASSIGN_OR_RETURN(const CheckpointName name, CheckpointName::Parse(checkpoint));
  const auto record = state_.checkpoints_.find(name);
  if (record == state_.checkpoints_.end()) {
    return Damaged(absl::StrCat("names ", checkpoint, ", which does not exist"));
  }
  CVT_ASSIGN_OR_RETURN(const AttemptName attempt, AttemptName::Parse(record->second.attempt()));
  const TrialName trial = attempt.trial();
  return &state_.experiments_.at(trial.experiment().number()).trials.at(trial.number());
}

}  // namespace cvtrain::coordinator
