#include "coordinator/state/conclude.h"

#include <algorithm>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/limits.h"
#include "coordinator/state/retention.h"
#include "coordinator/state/search_results.h"
#include "coordinator/state/trial_record.h"
#include "plan/recipe/resolve.h"
#include "plan/recipe/search_points.h"

namespace cvtrain::coordinator {
namespace {

using storage::v1::AttemptRecord;
using storage::v1::SearchStep;
using storage::v1::TrialRecord;

// Queued trials that are made beyond those that may run: what is coming is seen, and a slot never
// waits for the search.
constexpr int32_t kTrialsAhead = 64;
// Trials in one event, and the bytes of their recipes: keep it far below
// limits::kEventSizeBytesMax.
constexpr size_t kTrialsPerEventMax = 256;
constexpr size_t kCreatedSizeBytesMax = limits::kEventSizeBytesMax / 2;

struct Budget {
  storage::v1::RetryBudget kind = storage::v1::RETRY_BUDGET_UNSPECIFIED;
  int32_t used = 0;
  int32_t max = 0;
};

// The budget that a failure with `cause` draws on; none for causes that are nobody's fault.
Budget BudgetOf(v1::Cause cause, const TrialRecord& trial, const v1::RetryPolicy& policy) {
  switch (cause) {
    case v1::CAUSE_DATA:
    case v1::CAUSE_DIVERGED:
    case v1::CAUSE_USER_ERROR:
      return {storage::v1::RETRY_BUDGET_USER, trial.retries().user(), policy.user_max()};
    case v1::CAUSE_OUT_OF_MEMORY:
      return {storage::v1::RETRY_BUDGET_OUT_OF_MEMORY, trial.retries().out_of_memory(),
              policy.out_of_memory_max()};
    case v1::CAUSE_DEVICE_FAULT:
    case v1::CAUSE_INTERNAL:
      return {storage::v1::RETRY_BUDGET_INFRASTRUCTURE, trial.retries().infrastructure(),
              policy.infrastructure_max()};
    default:
      return {};
  }
}

template <typename Repeated>
size_t Size(const Repeated& values) {
  return static_cast<size_t>(values.size());
}

// Each of them has a recipe of its own, about as large as the spec's. At least one.
size_t TrialsPerEventMax(const v1::ExperimentSpec& spec) {
  return std::clamp<size_t>(kCreatedSizeBytesMax / (spec.recipe().ByteSizeLong() + 1'024), 1,
                            kTrialsPerEventMax);
}

// So many trials that fail within so many steps, all of them alike, end a sweep: the others would,
// too.
constexpr size_t kFailuresHopeless = 3;
constexpr int64_t kStepsAtOnce = 1;

// Causes that a recipe can have everywhere. One that diverges may do so for its parameters.
bool IsOfTheRecipe(v1::Cause cause) {
  return cause == v1::CAUSE_DATA || cause == v1::CAUSE_USER_ERROR ||
         cause == v1::CAUSE_OUT_OF_MEMORY || cause == v1::CAUSE_INTERNAL;
}

bool IsOpen(const TrialResult& result) { return result.state == TrialResult::State::kOpen; }

}  // namespace

int32_t RunningTrialsMax(const v1::ExperimentSpec& spec) {
  return std::max(1, spec.search().max_parallel_trials());
}

int32_t OpenTrialsMax(const v1::ExperimentSpec& spec, const Searcher& searcher) {
  return RunningTrialsMax(spec) + (searcher.DependsOnResults() ? 0 : kTrialsAhead);
}

bool WantsTrials(const ClusterState::Experiment& experiment) {
  const storage::v1::ExperimentRecord& record = experiment.record;
  if (record.search_done() || record.trials_left() == 0) return false;
  const int32_t open = experiment.trials_by_state[v1::Trial::STATE_QUEUED] +
                       experiment.trials_by_state[v1::Trial::STATE_RUNNING];
  return open < OpenTrialsMax(record.spec(), *MakeSearcher(record.spec()));
}

absl::StatusOr<TrialRecord*> Conclusion::Edit(const TrialName& name) {
  const auto found = edited_.find(name);
  if (found != edited_.end()) return &found->second;
  const absl::StatusOr<const ClusterState::Trial*> trial = state_.FindTrial(name);
  if (!trial.ok()) return trial.status();
  return &edited_.emplace(name, (*trial)->record).first->second;
}

const TrialRecord& Conclusion::Record(const ClusterState::Trial& trial) const {
  const auto found = edited_.find(trial.name);
  return found == edited_.end() ? trial.record : found->second;
}

void Conclusion::Move(TrialRecord& trial, v1::Trial::State to, const std::string& reason,
                      storage::v1::RetryBudget budget) {
  storage::v1::TrialTransition& transition = *consequences_.add_trials();
  transition.set_trial(NameOf(trial).ToString());
  transition.set_state(to);
  transition.set_reason(reason);
  transition.set_budget(budget);
  ApplyTransition(trial, transition, now_);
  if (HasEnded(to)) due_.insert(trial.experiment());
}

void Conclusion::Stop(TrialRecord& trial, v1::Cause cause, bool now) {
  AttemptRecord& attempt = *OpenAttempt(trial);
  storage::v1::AttemptStop& stop = *attempt.mutable_stop();
  stop.set_attempt(NameOf(trial, attempt).ToString());
  stop.set_now(now);
  stop.set_cause(cause);
  *consequences_.add_stops() = stop;
}

bool Conclusion::RequestEnd(TrialRecord& trial, v1::Cause cause, bool at_once,
                            const std::string& reason) {
  if (HasEnded(trial.state())) return false;
  const AttemptRecord* attempt = OpenAttempt(trial);
  if (attempt == nullptr) {
    const bool pruned = cause == v1::CAUSE_PRUNED && trial.pruned_at_epoch() > 0;
    Move(trial, pruned ? v1::Trial::STATE_SUCCEEDED : v1::Trial::STATE_CANCELLED, reason);
    return true;
  }
  const bool now = at_once || (attempt->has_stop() && attempt->stop().now());
  if (attempt->has_stop() && attempt->stop().cause() == cause && attempt->stop().now() == now) {
    return false;
  }
  Stop(trial, cause, now);
  return true;
}

bool Conclusion::RequestStop(TrialRecord& trial, v1::Cause cause) {
  const AttemptRecord* attempt = OpenAttempt(trial);
  if (attempt == nullptr || attempt->has_stop()) return false;
  Stop(trial, cause, /*now=*/false);
  return true;
}

void Conclusion::Settle() {
  for (auto& [name, trial] : edited_) SettleAttempt(trial);
  NoteRungs();
  for (const int64_t number : due_) {
    const auto experiment = state_.experiments().find(number);
    if (experiment != state_.experiments().end()) SettleExperiment(experiment->second);
  }
}

// A part that failed stops the others; an attempt that has ended decides its trial.
void Conclusion::SettleAttempt(TrialRecord& trial) {
  if (trial.state() != v1::Trial::STATE_RUNNING || trial.attempts().empty()) return;
  const AttemptRecord& attempt = *trial.attempts().rbegin();
  if (!HasEnded(attempt)) {
    if (!IsFailure(attempt.cause()) || (attempt.has_stop() && attempt.stop().now())) return;
    // A stop that was asked for before keeps its cause, and waits for no checkpoint any more.
    Stop(trial, attempt.has_stop() ? attempt.stop().cause() : attempt.cause(), /*now=*/true);
    return;
  }
  const v1::Cause cause = attempt.cause();
  const v1::Cause wanted = attempt.has_stop() ? attempt.stop().cause() : v1::CAUSE_UNSPECIFIED;
  if (cause == v1::CAUSE_FINISHED) {
    const bool keeps_reason = trial.discarded() || trial.pruned_at_epoch() > 0;
    Move(trial, v1::Trial::STATE_SUCCEEDED, keeps_reason ? trial.reason() : "");
  } else if (wanted == v1::CAUSE_CANCELLED) {
    Move(trial, v1::Trial::STATE_CANCELLED, "cancelled");
  } else if (wanted == v1::CAUSE_PRUNED) {
    const bool counts = trial.pruned_at_epoch() > 0 && !trial.discarded();
    Move(trial, counts ? v1::Trial::STATE_SUCCEEDED : v1::Trial::STATE_CANCELLED, trial.reason());
  } else {
    RetryOrFail(
        trial, cause,
        absl::StrCat(CauseText(cause), attempt.message().empty() ? "" : ": ", attempt.message()));
  }
}

void Conclusion::RetryOrFail(TrialRecord& trial, v1::Cause cause, const std::string& what) {
  const auto experiment = state_.experiments().find(trial.experiment());
  const v1::RetryPolicy policy = experiment == state_.experiments().end()
                                     ? v1::RetryPolicy()
                                     : experiment->second.record.spec().retry();
  const Budget budget = BudgetOf(cause, trial, policy);
  const bool budgeted = budget.kind != storage::v1::RETRY_BUDGET_UNSPECIFIED;
  if (trial.attempts_size() >= limits::kAttemptsPerTrialMax) {
    Move(trial, v1::Trial::STATE_FAILED,
         absl::StrCat("gave up after ", trial.attempts_size(), " attempts; the last: ", what));
  } else if (!budgeted) {
    Move(trial, v1::Trial::STATE_QUEUED, absl::StrCat("queued again: ", what));
  } else if (budget.used < budget.max) {
    Move(trial, v1::Trial::STATE_QUEUED,
         absl::StrCat("retry ", budget.used + 1, " of ", budget.max, ": ", what), budget.kind);
  } else {
    Move(trial, v1::Trial::STATE_FAILED, what);
  }
}

void Conclusion::NoteRungs() {
  for (const auto& [name, trial] : edited_) {
    if (HasEnded(trial.state()) || trial.pruned_at_epoch() > 0) continue;
    const auto experiment = state_.experiments().find(trial.experiment());
    if (experiment == state_.experiments().end()) continue;
    const v1::ExperimentSpec& spec = experiment->second.record.spec();
    const std::vector<int32_t> rungs = plan::SearchRungs(spec);
    const size_t reached = RungValues(ObjectiveOf(spec), rungs, trial).size();
    if (static_cast<int32_t>(reached) > trial.rungs_passed()) due_.insert(trial.experiment());
  }
}

std::vector<TrialResult> Conclusion::Results(const ClusterState::Experiment& experiment) {
  std::vector<TrialResult> results;
  results.reserve(experiment.results.size() + kTrialsAhead);  // a few are added
  results = experiment.results;
  const v1::ExperimentSpec& spec = experiment.record.spec();
  const auto first = edited_.lower_bound(TrialName(experiment.name, 0));
  for (auto edited = first; edited != edited_.end(); ++edited) {
    const TrialRecord& record = edited->second;
    if (record.experiment() != experiment.name.number()) break;
    const v1::Objective objective = ObjectiveOf(spec);
    rungs_.push_back(RungValues(objective, plan::SearchRungs(spec), record));
    results[static_cast<size_t>(record.number()) - 1] =
        ResultOf(record, ObjectiveValue(objective, record), rungs_.back());
  }
  return results;
}

void Conclusion::SettleExperiment(const ClusterState::Experiment& experiment, bool cancelled) {
  const storage::v1::ExperimentRecord& record = experiment.record;
  if (record.state() != v1::Experiment::STATE_ACTIVE &&
      record.state() != v1::Experiment::STATE_UNSPECIFIED) {
    return;
  }
  SearchStep step;
  step.set_experiment(experiment.name.ToString());
  step.set_done(record.search_done() || cancelled);
  const bool ends = cancelled || record.cancel_requested();
  const std::string hopeless = ends ? "" : WhyHopeless(experiment);
  if (!hopeless.empty() || !step.done()) {
    std::vector<TrialResult> results = Results(experiment);
    if (hopeless.empty()) {
      AdvanceSearch(experiment, results, step);
    } else {
      for (size_t i = 0; i < results.size(); ++i) {
        if (IsOpen(results[i]) && !results[i].discarded) Discard(experiment, {i, hopeless}, step);
      }
      step.set_done(true);
      step.set_left(0);
    }
    if (step.created_size() > 0 || step.discarded_size() > 0 || step.passed_size() > 0 ||
        step.pruned_size() > 0 || step.done() != record.search_done() ||
        step.left() != record.trials_left()) {
      *consequences_.add_searches() = step;
    }
  }
  if (step.done()) EndExperiment(experiment, cancelled || record.cancel_requested(), step);
}

void Conclusion::AdvanceSearch(const ClusterState::Experiment& experiment,
                               std::vector<TrialResult>& results, SearchStep& step) {
  const v1::ExperimentSpec& spec = experiment.record.spec();
  const std::unique_ptr<Searcher> searcher = MakeSearcher(spec);
  const size_t open_max = static_cast<size_t>(OpenTrialsMax(spec, *searcher));
  const size_t trials_max = TrialsPerEventMax(spec);
  const auto record_of = [this](const ClusterState::Trial& trial) -> const TrialRecord& {
    return Record(trial);
  };
  // Again only if a new trial failed at once, which is a result.
  bool again = true;
  while (again && !step.done()) {
    const size_t open = static_cast<size_t>(std::count_if(results.begin(), results.end(), IsOpen));
    const std::string bound = UsedUpBound(experiment, record_of, results.size(), now_);
    size_t room = open < open_max && bound.empty() ? open_max - open : 0;
    room = std::min(room, trials_max - std::min(trials_max, Size(step.created())));
    if (spec.search().budget().has_trials()) {
      const size_t trials = static_cast<size_t>(spec.search().budget().trials());
      room = std::min(room, trials - std::min(trials, results.size()));
    }
    const SearchAdvance advance = searcher->Advance(results, room);
    const size_t failed_before = static_cast<size_t>(std::count_if(
        step.created().begin(), step.created().end(),
        [](const storage::v1::NewTrial& created) { return !created.error().empty(); }));
    Create(spec, advance, results, step);
    for (const SearchAdvance::Discard& discard : advance.discarded) {
      Discard(experiment, discard, step);
      results[discard.trial].discarded = true;
    }
    DecideRungs(experiment, advance, results, step);
    step.set_done(advance.done);
    step.set_left(advance.left);
    // What its trials use yet may take back those that wait.
    const bool may_be_cut = HasBoundOfUse(spec.search().budget()) &&
                            std::any_of(results.begin(), results.end(), IsOpen);
    if (may_be_cut) step.set_done(false);
    const std::string bound_now = UsedUpBound(experiment, record_of, results.size(), now_);
    if (!bound_now.empty() && !step.done()) EndByBudget(experiment, bound_now, results, step);
    again = failed_before <
            static_cast<size_t>(std::count_if(
                step.created().begin(), step.created().end(),
                [](const storage::v1::NewTrial& created) { return !created.error().empty(); }));
  }
}

void Conclusion::Create(const v1::ExperimentSpec& spec, const SearchAdvance& advance,
                        std::vector<TrialResult>& results, SearchStep& step) {
  for (size_t i = 0; i < advance.created.size(); ++i) {
    storage::v1::NewTrial& created = *step.add_created();
    created.set_number(static_cast<int64_t>(results.size()) + 1);
    for (const auto& [path, value] : advance.created[i]) {
      (*created.mutable_parameters())[path] = value;
    }
    TrialResult result;
    result.parameters = &created.parameters();  // stays where it is, whatever else is added
    if (!advance.places.empty()) {
      created.set_point(advance.places[i].point);
      created.set_replicate(advance.places[i].replicate);
      result.point = created.point();
      result.replicate = created.replicate();
    }
    const absl::StatusOr<v1::Recipe> recipe = plan::ConcreteRecipe(spec, advance.created[i]);
    if (recipe.ok()) {
      created.set_recipe(plan::CanonicalBytes(*recipe));
      created.set_recipe_digest(plan::RecipeDigest(*recipe));
    } else {
      created.set_error(std::string(recipe.status().message()));
      result.state = TrialResult::State::kFailed;
    }
    results.push_back(result);
  }
}

void Conclusion::DecideRungs(const ClusterState::Experiment& experiment,
                             const SearchAdvance& advance, std::vector<TrialResult>& results,
                             SearchStep& step) {
  for (const SearchAdvance::Pass& pass : advance.passed) {
    const int64_t number = static_cast<int64_t>(pass.trial) + 1;
    storage::v1::RungPassed& passed = *step.add_passed();
    passed.set_number(number);
    passed.set_rungs(pass.rungs);
    results[pass.trial].rungs_passed = pass.rungs;
    const absl::StatusOr<TrialRecord*> trial = Edit(TrialName(experiment.name, number));
    if (trial.ok()) (*trial)->set_rungs_passed(pass.rungs);
  }
  for (const SearchAdvance::Prune& prune : advance.pruned) {
    const int64_t number = static_cast<int64_t>(prune.trial) + 1;
    storage::v1::PrunedTrial& pruned = *step.add_pruned();
    pruned.set_number(number);
    pruned.set_epoch(prune.epoch);
    pruned.set_reason(prune.reason);
    results[prune.trial].pruned = true;
    const absl::StatusOr<TrialRecord*> trial = Edit(TrialName(experiment.name, number));
    if (!trial.ok()) continue;  // cannot be: only trials with evaluations are judged
    (*trial)->set_pruned_at_epoch(prune.epoch);
    (*trial)->set_reason(prune.reason);
    RequestEnd(**trial, v1::CAUSE_PRUNED, /*at_once=*/true, prune.reason);
  }
}

void Conclusion::EndByBudget(const ClusterState::Experiment& experiment, const std::string& bound,
                             const std::vector<TrialResult>& results, SearchStep& step) {
  step.set_left(0);
  bool any_open = false;
  const bool takes_back = !absl::StartsWith(bound, "trials");
  for (size_t i = 0; i < results.size(); ++i) {
    if (!IsOpen(results[i])) continue;
    const auto trial = experiment.trials.find(static_cast<int64_t>(i) + 1);
    const bool waits = takes_back && trial != experiment.trials.end() &&
                       !HasEnded(Record(trial->second).state()) &&
                       Record(trial->second).attempts().empty();
    if (waits) {
      Discard(experiment, {i, absl::StrCat("discarded: the search has used its budget of ", bound)},
              step);
    } else {
      any_open = true;
    }
  }
  step.set_done(!any_open);
}

void Conclusion::Discard(const ClusterState::Experiment& experiment,
                         const SearchAdvance::Discard& discard, SearchStep& step) {
  const int64_t number = static_cast<int64_t>(discard.trial) + 1;
  storage::v1::DiscardedTrial& discarded = *step.add_discarded();
  discarded.set_number(number);
  discarded.set_reason(discard.reason);
  const absl::StatusOr<TrialRecord*> trial = Edit(TrialName(experiment.name, number));
  if (!trial.ok()) return;  // made in this very step, and failed at once
  RequestEnd(**trial, v1::CAUSE_PRUNED, /*at_once=*/true, discard.reason);
  (*trial)->set_discarded(true);
  (*trial)->set_reason(discard.reason);
}

std::string Conclusion::WhyHopeless(const ClusterState::Experiment& experiment) const {
  if (experiment.record.spec().search().method_case() == v1::Search::METHOD_NOT_SET) return "";
  size_t failures = 0;
  v1::Cause cause = v1::CAUSE_UNSPECIFIED;
  std::set<std::string> workers;
  for (const auto& [number, trial] : experiment.trials) {
    const TrialRecord& record = Record(trial);
    if (!record.evaluations().empty() || record.state() == v1::Trial::STATE_SUCCEEDED) return "";
    if (record.state() != v1::Trial::STATE_FAILED || record.attempts().empty()) continue;
    const AttemptRecord& last = *record.attempts().rbegin();
    const bool alike = cause == v1::CAUSE_UNSPECIFIED || cause == last.cause();
    if (last.end_step() > kStepsAtOnce || !alike || !IsOfTheRecipe(last.cause())) return "";
    cause = last.cause();
    ++failures;
    for (const storage::v1::AttemptPart& part : last.parts()) workers.insert(part.worker());
  }
  const auto there = std::count_if(state_.workers().begin(), state_.workers().end(),
                                   [](const auto& worker) { return !worker.second.record.lost(); });
  if (failures < kFailuresHopeless || (workers.size() < 2 && there > 1)) return "";
  return absl::StrCat("discarded: the first ", failures, " trials failed at once, ",
                      workers.size() > 1 ? absl::StrCat("on ", workers.size(), " workers, ") : "",
                      "all with cause ", CauseText(cause));
}

void Conclusion::EndExperiment(const ClusterState::Experiment& experiment, bool cancelled,
                               const SearchStep& step) {
  int32_t succeeded = 0;
  int32_t failed = 0;
  int32_t total = step.created_size();
  std::string reason;
  for (const storage::v1::NewTrial& created : step.created()) {
    if (created.error().empty()) return;  // it is queued
    ++failed;
    reason = created.error();
  }
  for (const auto& [number, trial] : experiment.trials) {
    const TrialRecord& record = Record(trial);
    if (!HasEnded(record.state())) return;
    if (record.discarded()) continue;
    ++total;
    succeeded += record.state() == v1::Trial::STATE_SUCCEEDED ? 1 : 0;
    if (record.state() == v1::Trial::STATE_FAILED) {
      ++failed;
      reason = record.reason();
    }
  }
  storage::v1::ExperimentEnd& end = *consequences_.add_experiments();
  end.set_experiment(experiment.name.ToString());
  if (cancelled) {
    end.set_state(storage::v1::END_STATE_CANCELLED);
    end.set_message("cancelled");
  } else if (succeeded > 0) {
    end.set_state(storage::v1::END_STATE_SUCCEEDED);
    if (failed > 0) end.set_message(absl::StrCat(failed, " of ", total, " trials failed"));
  } else if (failed > 0) {
    end.set_state(storage::v1::END_STATE_FAILED);
    end.set_message(total == 1
                        ? reason
                        : absl::StrCat(failed, " of ", total,
                                       " trials failed, none succeeded; the last: ", reason));
  } else {
    end.set_state(storage::v1::END_STATE_CANCELLED);
    end.set_message("every trial was cancelled");
  }
  ended_.insert(experiment.name.number());
  ReleaseInitial(experiment, end);
}

void Conclusion::ReleaseInitial(const ClusterState::Experiment& experiment,
                                storage::v1::ExperimentEnd& end) {
  const auto name =
      CheckpointName::Parse(experiment.record.spec().recipe().init_from().checkpoint());
  if (!name.ok()) return;  // it began with nothing
  const auto checkpoint = state_.checkpoints().find(*name);
  if (checkpoint == state_.checkpoints().end() || state_.imported().contains(*name)) return;
  if (BegunWith(state_, *name, ended_)) return;
  const auto attempt = AttemptName::Parse(checkpoint->second.attempt());
  const auto maker = state_.FindTrial(attempt->trial());
  const auto parent = state_.FindExperiment(attempt->trial().experiment());
  const TrialRecord& record = Record(**maker);
  for (const KeptCheckpoint& judged :
       JudgeCheckpoints(PolicyOf(record), ObjectiveOf((*parent)->record.spec()), record,
                        CheckpointSteps(state_, **maker))) {
    if (judged.name == *name && judged.kept_as.empty()) end.add_deleted(name->ToString());
  }
}

}  // namespace cvtrain::coordinator
