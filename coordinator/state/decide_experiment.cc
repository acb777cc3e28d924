#include "coordinator/state/decide_experiment.h"

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/status_macros.h"
#include "coordinator/state/conclude.h"
#include "coordinator/state/trial_record.h"
#include "plan/recipe/start_rules.h"
#include "plan/recipe/validate.h"

namespace cvtrain::coordinator {
namespace {

absl::Status CheckEtag(absl::string_view name, absl::string_view given, int64_t revision) {
  if (given.empty() || given == EtagOf(revision)) return absl::OkStatus();
  return Aborted(Reason::kEtagMismatch,
                 absl::StrCat(name, ": has changed since it was read (etag ", EtagOf(revision),
                              "); read it again, then repeat"));
}

bool IsEmpty(const storage::v1::Consequences& consequences) {
  return consequences.stops().empty() && consequences.trials().empty() &&
         consequences.searches().empty() && consequences.experiments().empty();
}

// A classifier of images trains on images.
absl::Status CheckMedia(const v1::DatasetVersion& version) {
  const char* media = nullptr;
  if (version.media() == v1::DatasetVersion::MEDIA_AUDIO) media = "sounds";
  if (version.media() == v1::DatasetVersion::MEDIA_BYTES) media = "files of any kind";
  if (media == nullptr) return absl::OkStatus();
  return FieldViolations({{"recipe.dataset.name", "must name a data set of images",
                           absl::StrCat(version.name(), ", which is one of ", media)}},
                         Reason::kRecipeInvalid);
}

// That the checkpoint whose weights trials begin with is there.
absl::Status CheckInitial(const ClusterState& state, const v1::InitFrom& init) {
  const auto name = CheckpointName::Parse(init.checkpoint());
  if (!name.ok()) return Annotate(name.status(), "recipe.init_from.checkpoint");
  const auto checkpoint = state.FindCheckpoint(*name);
  if (!checkpoint.ok()) return Annotate(checkpoint.status(), "recipe.init_from.checkpoint");
  if (!(*checkpoint)->damaged()) return absl::OkStatus();
  return FieldViolations(
      {{"recipe.init_from.checkpoint", "must not be damaged", init.checkpoint()}},
      Reason::kRecipeInvalid);
}

// That what the experiment is to come after is there: it came before, so that nothing waits for
// itself.
absl::Status CheckDependencies(const ClusterState& state, const v1::ExperimentSpec& spec) {
  for (int i = 0; i < spec.after_size(); ++i) {
    const std::string field = absl::StrCat("after.", i);
    const auto dependency = plan::ParseDependency(spec.after(i));
    if (!dependency.ok()) return Annotate(dependency.status(), field);
    const auto* trial = std::get_if<TrialName>(&dependency->on);
    const absl::Status found =
        trial != nullptr ? state.FindTrial(*trial).status()
                         : state.FindExperiment(std::get<ExperimentName>(dependency->on)).status();
    if (!found.ok()) return Annotate(found, field);
  }
  return absl::OkStatus();
}

template <typename Request>
Decision DecideHeld(const ClusterState& state, const Request& request, bool held) {
  CVT_ASSIGN_OR_RETURN(const ExperimentName name, ExperimentName::Parse(request.name()));
  CVT_ASSIGN_OR_RETURN(const ClusterState::Experiment* experiment, state.FindExperiment(name));
  CVT_RETURN_IF_ERROR(CheckEtag(request.name(), request.etag(), experiment->record.revision()));
  if (experiment->record.state() != v1::Experiment::STATE_ACTIVE) {
    return FailedPrecondition(
        Reason::kExperimentFinished,
        absl::StrCat(request.name(), ": has ended, nothing is to be ", held ? "held" : "released"));
  }
  Decided decided;
  decided.resource = request.name();
  if (experiment->record.held() == held) return decided;
  storage::v1::ExperimentHeld& event = *decided.event.emplace().mutable_experiment_held();
  event.set_experiment(request.name());
  event.set_held(held);
  return decided;
}

}  // namespace

std::string EtagOf(int64_t revision) { return absl::StrCat(revision); }

plan::DatasetFacts FactsOf(const v1::DatasetVersion& version) {
  plan::DatasetFacts facts;
  const absl::StatusOr<DatasetVersionName> name = DatasetVersionName::Parse(version.name());
  if (name.ok()) facts.version = name->number();
  facts.digest = version.digest();
  facts.num_classes = version.classes_size();
  for (const v1::Split& split : version.splits()) {
    facts.images_by_split[split.name()] = split.images();
  }
  return facts;
}

absl::StatusOr<v1::ExperimentSpec> ResolveSpec(const ClusterState& state,
                                               const v1::ExperimentSpec& spec) {
  CVT_RETURN_IF_ERROR(plan::ValidateExperiment(spec));
  plan::DatasetFacts facts;
  if (spec.recipe().task() != v1::Recipe::TASK_SYNTHETIC) {
    const v1::DatasetSource& source = spec.recipe().dataset();
    CVT_ASSIGN_OR_RETURN(
        const v1::DatasetVersion* version,
        state.FindDatasetVersion(DatasetVersionName(DatasetName(source.name()), source.version())));
    CVT_RETURN_IF_ERROR(CheckMedia(*version));
    facts = FactsOf(*version);
  }
  if (spec.recipe().has_init_from()) {
    CVT_RETURN_IF_ERROR(CheckInitial(state, spec.recipe().init_from()));
  }
  v1::ExperimentSpec resolved = spec;
  CVT_RETURN_IF_ERROR(plan::Resolve(&resolved, facts));
  return resolved;
}

Decision DecideCreateExperiment(const ClusterState& state,
                                const v1::CreateExperimentRequest& request,
                                const std::string& program_version, absl::Time now) {
  CVT_ASSIGN_OR_RETURN(v1::ExperimentSpec spec, ResolveSpec(state, request.spec()));
  if (const auto number = state.ExperimentLabelled(spec.project(), spec.name())) {
    return AlreadyExists(
        Reason::kExperimentExists,
        absl::StrCat("name: project ", spec.project(), " has ", ExperimentName(*number).ToString(),
                     " of the name ", spec.name(), "; choose another"));
  }
  if (state.active().size() >= static_cast<size_t>(limits::kExperimentsActiveMax)) {
    return LimitExceeded("kExperimentsActiveMax",
                         absl::StrCat("experiments: ", state.active().size(),
                                      " are active; wait until one ends, or cancel one"));
  }
  CVT_RETURN_IF_ERROR(CheckDependencies(state, spec));
  ClusterState::Experiment experiment;
  experiment.name =
      ExperimentName(state.experiments().empty() ? 1 : state.experiments().rbegin()->first + 1);
  *experiment.record.mutable_spec() = spec;

  Conclusion conclusion(state, now);
  conclusion.SettleExperiment(experiment);
  for (const storage::v1::SearchStep& step : conclusion.consequences().searches()) {
    for (const storage::v1::NewTrial& trial : step.created()) {
      if (trial.error().empty()) continue;
      return InvalidArgument(Reason::kRecipeInvalid,
                             absl::StrCat("search: trial ", trial.number(), ": ", trial.error()));
    }
  }
  Decided decided;
  decided.resource = experiment.name.ToString();
  storage::v1::Event& event = decided.event.emplace();
  storage::v1::ExperimentCreated& created = *event.mutable_experiment_created();
  created.set_name(decided.resource);
  *created.mutable_spec() = std::move(spec);
  created.set_plan_version(plan::kPlanVersion);
  created.set_program_version(program_version);
  *event.mutable_consequences() = conclusion.Take();
  return decided;
}

Decision DecideCancelExperiment(const ClusterState& state,
                                const v1::CancelExperimentRequest& request, absl::Time now) {
  CVT_ASSIGN_OR_RETURN(const ExperimentName name, ExperimentName::Parse(request.name()));
  CVT_ASSIGN_OR_RETURN(const ClusterState::Experiment* experiment, state.FindExperiment(name));
  CVT_RETURN_IF_ERROR(CheckEtag(request.name(), request.etag(), experiment->record.revision()));
  if (experiment->record.state() != v1::Experiment::STATE_ACTIVE) {
    return FailedPrecondition(
        Reason::kExperimentFinished,
        absl::StrCat(request.name(), ": has ended, nothing is to be cancelled"));
  }
  Conclusion conclusion(state, now);
  for (const auto& [number, trial] : experiment->trials) {
    if (HasEnded(trial.record.state())) continue;
    CVT_ASSIGN_OR_RETURN(storage::v1::TrialRecord * record, conclusion.Edit(trial.name));
    conclusion.RequestEnd(*record, v1::CAUSE_CANCELLED, request.now(),
                          "cancelled with its experiment");
  }
  conclusion.SettleExperiment(*experiment, /*cancelled=*/true);
  Decided decided;
  decided.resource = request.name();
  if (experiment->record.cancel_requested() && IsEmpty(conclusion.consequences())) return decided;
  storage::v1::Event& event = decided.event.emplace();
  event.mutable_experiment_cancelled()->set_experiment(request.name());
  event.mutable_experiment_cancelled()->set_now(request.now());
  *event.mutable_consequences() = conclusion.Take();
  return decided;
}

Decision DecideHoldExperiment(const ClusterState& state, const v1::HoldExperimentRequest& request,
                              absl::Time) {
  return DecideHeld(state, request, /*held=*/true);
}

Decision DecideReleaseExperiment(const ClusterState& state,
                                 const v1::ReleaseExperimentRequest& request, absl::Time) {
  return DecideHeld(state, request, /*held=*/false);
}

Decision DecideCancelTrial(const ClusterState& state, const v1::CancelTrialRequest& request,
                           absl::Time now) {
  CVT_ASSIGN_OR_RETURN(const TrialName name, TrialName::Parse(request.name()));
  CVT_ASSIGN_OR_RETURN(const ClusterState::Trial* trial, state.FindTrial(name));
  CVT_RETURN_IF_ERROR(CheckEtag(request.name(), request.etag(), trial->record.revision()));
  if (HasEnded(trial->record.state())) {
    return FailedPrecondition(
        Reason::kTrialFinished,
        absl::StrCat(request.name(), ": has ended, nothing is to be cancelled"));
  }
  Conclusion conclusion(state, now);
  CVT_ASSIGN_OR_RETURN(storage::v1::TrialRecord * record, conclusion.Edit(name));
  Decided decided;
  decided.resource = request.name();
  if (!conclusion.RequestEnd(*record, v1::CAUSE_CANCELLED, request.now(), "cancelled")) {
    return decided;
  }
  conclusion.Settle();
  storage::v1::Event& event = decided.event.emplace();
  event.mutable_trial_cancelled()->set_trial(request.name());
  event.mutable_trial_cancelled()->set_now(request.now());
  *event.mutable_consequences() = conclusion.Take();
  return decided;
}

Decision DecideAdvanceSearch(const ClusterState& state, const ExperimentName& experiment,
                             absl::Time now) {
  CVT_ASSIGN_OR_RETURN(const ClusterState::Experiment* found, state.FindExperiment(experiment));
  Decided decided;
  if (!WantsTrials(*found)) return decided;
  Conclusion conclusion(state, now);
  conclusion.SettleExperiment(*found);
  if (IsEmpty(conclusion.consequences())) return decided;
  decided.resource = experiment.ToString();
  storage::v1::Event& event = decided.event.emplace();
  event.mutable_search_advanced()->set_experiment(decided.resource);
  *event.mutable_consequences() = conclusion.Take();
  return decided;
}

}  // namespace cvtrain::coordinator
