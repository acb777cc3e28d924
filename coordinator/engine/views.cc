#include "coordinator/engine/views.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "coordinator/engine/queue_views.h"
#include "coordinator/search/searcher.h"
#include "coordinator/state/canonical_bytes.h"
#include "coordinator/state/decide_experiment.h"
#include "coordinator/state/proto_time.h"
#include "coordinator/state/retention.h"
#include "coordinator/state/trial_record.h"
#include "plan/recipe/resolve.h"
#include "plan/recipe/validate.h"

namespace cvtrain::coordinator {
namespace {

constexpr size_t kPreviewTrialsMax = 100;
// Of one trial in one answer, which must stay below limits::kMessageSizeBytesMax.
constexpr int kAttemptsShownMax = 200;
constexpr int kEvaluationsShownMax = 1'000;

v1::EvaluationResult ToProto(const storage::v1::Evaluation& evaluation) {
  v1::EvaluationResult result;
  result.set_step(evaluation.step());
  result.set_epoch(evaluation.epoch());
  result.set_stage(evaluation.stage());
  *result.mutable_metrics() = evaluation.metrics();
  *result.mutable_time() = evaluation.time();
  result.set_sample_digest(evaluation.sample_digest());
  if (evaluation.has_confusion()) *result.mutable_confusion() = evaluation.confusion();
  return result;
}

v1::Attempt ToProto(const AttemptName& name, const storage::v1::AttemptRecord& record) {
  v1::Attempt attempt;
  attempt.set_name(name.ToString());
  attempt.set_lease_generation(record.lease_generation());
  for (const storage::v1::RankPlacement& rank : record.ranks()) {
    v1::Placement& placement = *attempt.add_placements();
    placement.set_worker(rank.worker());
    placement.set_slot(rank.slot());
  }
  if (record.has_start_time()) *attempt.mutable_start_time() = record.start_time();
  attempt.set_start_step(record.start_step());
  attempt.set_resumed_from(record.resumed_from());
  if (HasEnded(record)) {
    *attempt.mutable_end_time() = record.end_time();
    attempt.set_cause(record.cause());
    attempt.set_message(record.message());
    attempt.set_end_step(record.end_step());
  }
  return attempt;
}

// How far a trial has come, as far as the journal knows: of trials that do not run.
v1::Progress JournaledProgress(const storage::v1::TrialRecord& record) {
  v1::Progress progress;
  for (const storage::v1::AttemptRecord& attempt : record.attempts()) {
    progress.set_step(std::max(progress.step(), attempt.end_step()));
    progress.set_flops(std::max(progress.flops(), attempt.flops()));
  }
  if (!record.evaluations().empty()) {
    const storage::v1::Evaluation& last = *record.evaluations().rbegin();
    progress.set_epoch(last.epoch());
    progress.set_stage(last.stage());
  }
  if (record.state() == v1::Trial::STATE_SUCCEEDED) progress.set_step_total(progress.step());
  return progress;
}

// The last `count` of `all`, oldest first.
template <typename T>
absl::Span<const T* const> Newest(const google::protobuf::RepeatedPtrField<T>& all, int count) {
  const absl::Span<const T* const> span(all.data(), static_cast<size_t>(all.size()));
  return span.last(std::min(span.size(), static_cast<size_t>(count)));
}

absl::StatusOr<StagesToPlan> ToPlan(const View& view, v1::Recipe recipe,
                                    const v1::ExperimentSpec& spec) {
  StagesToPlan stages;
  stages.facts.logical_ranks = spec.resources().logical_ranks();
  stages.slots = spec.resources().slots();
  if (recipe.task() == v1::Recipe::TASK_SYNTHETIC) {
    stages.throughput.basis = "as the recipe says";
  } else {
    stages.throughput = ExpectedThroughput(view.state(), CanonicalBytes(recipe.model()));
    CVT_ASSIGN_OR_RETURN(const v1::DatasetVersion* version,
                         view.state().FindDatasetVersion(DatasetVersionName(
                             DatasetName(recipe.dataset().name()), recipe.dataset().version())));
    stages.facts.images = plan::TrainImages(recipe, FactsOf(*version));
  }
  stages.recipe = std::move(recipe);
  return stages;
}

void SetObjectives(const ClusterState::Experiment& experiment, const ClusterState::Trial& trial,
                   v1::Trial& proto) {
  proto.set_ranked(trial.IsRanked());
  if (trial.objective) proto.set_objective(*trial.objective);
  v1::Objective objective = ObjectiveOf(experiment.record.spec());
  objective.set_at(v1::Objective::AT_BEST);
  if (const auto best = ObjectiveValue(objective, trial.record)) proto.set_best_objective(*best);
  objective.set_at(v1::Objective::AT_LAST);
  if (const auto last = ObjectiveValue(objective, trial.record)) proto.set_last_objective(*last);
}

}  // namespace

v1::Experiment ToProto(const ClusterState::Experiment& experiment) {
  const storage::v1::ExperimentRecord& record = experiment.record;
  v1::Experiment proto;
  proto.set_name(experiment.name.ToString());
  *proto.mutable_spec() = record.spec();
  proto.set_state(record.state());
  proto.set_etag(EtagOf(record.revision()));
  *proto.mutable_create_time() = record.create_time();
  if (record.has_end_time()) *proto.mutable_end_time() = record.end_time();
  proto.set_creator(record.creator());
  proto.set_plan_version(record.plan_version());
  proto.set_program_version(record.program_version());
  proto.set_message(record.message());
  proto.set_held(record.held());
  v1::TrialCounts& counts = *proto.mutable_trials();
  const auto& by_state = experiment.trials_by_state;
  counts.set_left(record.trials_left());
  counts.set_queued(by_state[v1::Trial::STATE_QUEUED]);
  counts.set_running(by_state[v1::Trial::STATE_RUNNING]);
  counts.set_paused(by_state[v1::Trial::STATE_PAUSED]);
  counts.set_succeeded(by_state[v1::Trial::STATE_SUCCEEDED]);
  counts.set_failed(by_state[v1::Trial::STATE_FAILED]);
  counts.set_cancelled(by_state[v1::Trial::STATE_CANCELLED]);
  if (!experiment.ranking.empty()) {
    const ClusterState::Trial& best = experiment.trials.at(experiment.ranking.begin()->second);
    proto.set_best_trial(best.name.ToString());
    proto.set_best_value(*best.objective);
  }
  return proto;
}

WaitExplainer::WaitExplainer(const View& view) : view_(view) {}

std::string WaitExplainer::Explain(const ClusterState::Trial& trial) {
  if (!ready_) {
    for (const QueueLine& line : ReportQueue(view_).waiting) {
      texts_.emplace(line.trial->name, line.text);
    }
    ready_ = true;
  }
  const auto found = texts_.find(trial.name);
  return found == texts_.end() ? "" : found->second;
}

v1::Trial ToProto(const View& view, const ClusterState::Experiment& experiment,
                  const ClusterState::Trial& trial, Detail detail, WaitExplainer& explainer) {
  const storage::v1::TrialRecord& record = trial.record;
  v1::Trial proto;
  proto.set_name(trial.name.ToString());
  proto.set_state(record.state());
  proto.set_etag(EtagOf(record.revision()));
  *proto.mutable_parameters() = record.parameters();
  *proto.mutable_create_time() = record.create_time();
  if (record.has_start_time()) *proto.mutable_start_time() = record.start_time();
  if (record.has_end_time()) *proto.mutable_end_time() = record.end_time();
  proto.set_attempt_count(record.attempts_size());
  proto.set_reason(record.reason());
  if (record.state() == v1::Trial::STATE_QUEUED) {
    const std::string wait = explainer.Explain(trial);
    proto.set_reason(record.reason().empty() ? wait : absl::StrCat(record.reason(), "; ", wait));
  }
  const auto progress = view.live().progress.find(trial.name);
  if (progress != view.live().progress.end()) {
    *proto.mutable_progress() = progress->second;
  } else {
    *proto.mutable_progress() = JournaledProgress(record);
  }
  SetObjectives(experiment, trial, proto);
  v1::Recipe recipe;
  if (recipe.ParseFromString(record.recipe())) {
    proto.set_dataset_digest(recipe.dataset().digest());
    proto.set_seed(recipe.seed());
  }
  proto.set_recipe_digest(record.recipe_digest());
  proto.set_plan_version(experiment.record.plan_version());
  proto.set_program_version(experiment.record.program_version());
  proto.set_rungs_passed(record.rungs_passed());
  proto.set_pruned_at_epoch(record.pruned_at_epoch());
  proto.set_point(record.point());
  proto.set_replicate(record.replicate());
  proto.set_priority(experiment.record.spec().priority());
  proto.set_slots(experiment.record.spec().resources().slots());
  if (const storage::v1::AttemptRecord* open = OpenAttempt(record)) {
    for (const storage::v1::AttemptPart& part : open->parts()) {
      if (!part.ended()) proto.add_workers(part.worker());
    }
  }
  if (detail == Detail::kFull) {
    *proto.mutable_recipe() = std::move(recipe);
    for (const storage::v1::AttemptRecord* attempt : Newest(record.attempts(), kAttemptsShownMax)) {
      *proto.add_attempts() = ToProto(AttemptName(trial.name, attempt->number()), *attempt);
    }
    for (const storage::v1::Evaluation* evaluation :
         Newest(record.evaluations(), kEvaluationsShownMax)) {
      *proto.add_evaluations() = ToProto(*evaluation);
    }
  } else if (!record.evaluations().empty()) {
    v1::EvaluationResult& last = *proto.add_evaluations();
    last = ToProto(*record.evaluations().rbegin());
    last.clear_confusion();  // too large for lists
  }
  return proto;
}

v1::Trial ToProto(const View& view, const ClusterState::Experiment& experiment,
                  const ClusterState::Trial& trial, Detail detail) {
  WaitExplainer explainer(view);
  return ToProto(view, experiment, trial, detail, explainer);
}

v1::Worker ToProto(const View& view, const ClusterState::Worker& worker) {
  const storage::v1::WorkerRecord& record = worker.record;
  v1::Worker proto;
  proto.set_name(record.name());
  proto.set_state(v1::Worker::STATE_LOST);
  const auto live = view.live().workers.find(worker.name);
  if (live != view.live().workers.end()) {
    if (!record.lost()) proto.set_state(live->second.state);
    if (live->second.renew_time != absl::InfinitePast()) {
      *proto.mutable_renew_time() = ToTimestamp(live->second.renew_time);
    }
    proto.set_cache_bytes(live->second.cache_bytes);
  }
  for (const v1::Slot& slot : record.slots()) {
    v1::Slot& shown = *proto.add_slots();
    shown = slot;
    const auto busy = worker.busy.find(slot.index());
    if (busy != worker.busy.end()) shown.set_attempt(busy->second.ToString());
  }
  *proto.mutable_register_time() = record.register_time();
  proto.set_program_version(record.program_version());
  proto.set_build_id(record.build_id());
  proto.set_cache_bytes_max(record.cache_bytes_max());
  proto.set_hostname(record.hostname());
  proto.set_cordoned(record.cordoned());
  proto.set_cordon_reason(record.cordon_reason());
  proto.set_failures(record.failures_size());
  return proto;
}

v1::Checkpoint ToProto(const View& view, const CheckpointName& name,
                       const storage::v1::CheckpointRecord& record) {
  v1::Checkpoint proto;
  proto.set_name(name.ToString());
  proto.set_attempt(record.attempt());
  proto.set_step(record.step());
  proto.set_epoch(record.epoch());
  proto.set_stage(record.stage());
  proto.set_size_bytes(record.size_bytes());
  proto.set_digest(record.digest());
  *proto.mutable_create_time() = record.create_time();
  proto.set_damaged(record.damaged());
  proto.set_label(record.label());
  if (view.state().imported().contains(name)) proto.add_kept_as("imported");
  const absl::StatusOr<AttemptName> attempt = AttemptName::Parse(record.attempt());
  if (!attempt.ok()) return proto;
  proto.set_trial(attempt->trial().ToString());
  const auto trial = view.state().FindTrial(attempt->trial());
  const auto experiment = view.state().FindExperiment(attempt->trial().experiment());
  if (!trial.ok() || !experiment.ok()) return proto;
  const v1::Objective objective = ObjectiveOf((*experiment)->record.spec());
  const std::optional<double> value = ObjectiveAtStep(objective, (*trial)->record, record.step());
  if (value) proto.set_objective(*value);
  for (const KeptCheckpoint& judged :
       JudgeCheckpoints(PolicyOf((*trial)->record), objective, (*trial)->record,
                        CheckpointSteps(view.state(), **trial))) {
    if (judged.name != name) continue;
    for (const std::string& reason : judged.kept_as) proto.add_kept_as(reason);
  }
  return proto;
}

v1::DatasetVersion Summary(const v1::DatasetVersion& version) {
  v1::DatasetVersion summary;
  summary.set_name(version.name());
  summary.set_digest(version.digest());
  *summary.mutable_classes() = version.classes();
  *summary.mutable_splits() = version.splits();
  *summary.mutable_create_time() = version.create_time();
  summary.set_size_bytes(version.size_bytes());
  *summary.mutable_rungs() = version.rungs();
  *summary.mutable_skipped() = version.skipped();
  summary.set_media(version.media());
  summary.set_boxes(version.boxes());
  summary.set_masks(version.masks());
  *summary.mutable_rung_size_bytes() = version.rung_size_bytes();
  *summary.mutable_short_sides() = version.short_sides();
  summary.set_format(version.format());
  return summary;
}

v1::Dataset ToProto(const DatasetName& name, const ClusterState::Dataset& dataset) {
  v1::Dataset proto;
  proto.set_name(name.ToString());
  proto.set_version_count(static_cast<int32_t>(dataset.versions.size()));
  if (!dataset.versions.empty()) {
    *proto.mutable_newest() = Summary(dataset.versions.rbegin()->second);
  }
  return proto;
}

v1::Cluster ClusterToProto(const View& view) {
  v1::Cluster cluster;
  cluster.set_revision(view.state().revision());
  for (const auto& [name, worker] : view.state().workers()) {
    if (worker.record.lost()) continue;
    cluster.set_workers(cluster.workers() + 1);
    cluster.set_slots(cluster.slots() + worker.record.slots_size());
    if (!TakesWork(worker, view.live())) continue;
    const auto busy = static_cast<int32_t>(worker.busy.size());
    cluster.set_slots_free(cluster.slots_free() + worker.record.slots_size() - busy);
  }
  for (const auto& [number, experiment] : view.state().experiments()) {
    const auto& by_state = experiment.trials_by_state;
    cluster.set_trials_queued(cluster.trials_queued() + by_state[v1::Trial::STATE_QUEUED]);
    cluster.set_trials_running(cluster.trials_running() + by_state[v1::Trial::STATE_RUNNING]);
  }
  return cluster;
}

absl::StatusOr<StagesToPlan> StagesOfTrial(const View& view, const TrialName& name) {
  CVT_ASSIGN_OR_RETURN(const ClusterState::Trial* trial, view.state().FindTrial(name));
  CVT_ASSIGN_OR_RETURN(const ClusterState::Experiment* experiment,
                       view.state().FindExperiment(name.experiment()));
  v1::Recipe recipe;
  recipe.ParseFromString(trial->record.recipe());
  return ToPlan(view, std::move(recipe), experiment->record.spec());
}

absl::StatusOr<v1::PreviewExperimentResponse> PreviewExperiment(
    const View& view, const v1::PreviewExperimentRequest& request, StagesToPlan& stages) {
  v1::PreviewExperimentResponse response;
  CVT_ASSIGN_OR_RETURN(v1::ExperimentSpec spec, ResolveSpec(view.state(), request.spec()));
  const std::unique_ptr<Searcher> searcher = MakeSearcher(spec);
  const SearchAdvance advance = searcher->Advance({}, kPreviewTrialsMax);
  for (const Parameters& parameters : advance.created) {
    v1::PlannedTrial& trial = *response.add_trials();
    for (const auto& [path, value] : parameters) (*trial.mutable_parameters())[path] = value;
  }
  response.set_trial_count(static_cast<int32_t>(searcher->TrialTotal().value_or(-1)));
  const Parameters first = advance.created.empty() ? Parameters() : advance.created.front();
  CVT_ASSIGN_OR_RETURN(v1::Recipe recipe, plan::ConcreteRecipe(spec, first));
  CVT_ASSIGN_OR_RETURN(stages, ToPlan(view, std::move(recipe), spec));
  for (const std::string& warning : plan::Warnings(request.spec())) response.add_warnings(warning);
  response.set_duration_basis(stages.throughput.basis);
  *response.mutable_spec() = std::move(spec);
  return response;
}

std::vector<LineageSegment> LineageOf(const ClusterState::Trial& trial) {
  std::vector<LineageSegment> lineage;
  for (const storage::v1::LineageEntry& entry : trial.record.lineage()) {
    lineage.push_back({entry.attempt(), entry.from_step()});
  }
  return lineage;
}

}  // namespace cvtrain::coordinator
