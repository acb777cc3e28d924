#include "coordinator/state/conclude.h"

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "common/limits.h"
#include "coordinator/state/retention.h"
#include "coordinator/state/trial_record.h"
#include "plan/recipe/resolve.h"

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

TrialResult::State ResultState(v1::Trial::State state) {
  switch (state) {
    case v1::Trial::STATE_SUCCEEDED:
      return TrialResult::State::kSucceeded;
    case v1::Trial::STATE_FAILED:
      return TrialResult::State::kFailed;
    case v1::Trial::STATE_CANCELLED:
      return TrialResult::State::kCancelled;
    default:
      return TrialResult::State::kOpen;
  }
}

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
    Move(trial, v1::Trial::STATE_CANCELLED, reason);
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
    Move(trial, v1::Trial::STATE_SUCCEEDED, trial.discarded() ? trial.reason() : "");
  } else if (wanted == v1::CAUSE_CANCELLED) {
    Move(trial, v1::Trial::STATE_CANCELLED, "cancelled");
  } else if (wanted == v1::CAUSE_PRUNED) {
    Move(trial, v1::Trial::STATE_CANCELLED, trial.reason());
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

std::vector<TrialResult> Conclusion::Results(const ClusterState::Experiment& experiment) const {
  const v1::Objective objective = ObjectiveOf(experiment.record.spec());
  std::vector<TrialResult> results;
  for (const auto& [number, trial] : experiment.trials) {
    const TrialRecord& record = Record(trial);
    results.push_back({ResultState(record.state()), ObjectiveValue(objective, record)});
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
  if (!step.done()) {
    std::vector<TrialResult> results = Results(experiment);
    AdvanceSearch(experiment, results, step);
    if (step.created_size() > 0 || step.discarded_size() > 0 || step.done() ||
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
  // Again only if a new trial failed at once, which is a result.
  bool again = true;
  while (again && !step.done()) {
    again = false;
    const size_t open = static_cast<size_t>(std::count_if(
        results.begin(), results.end(),
        [](const TrialResult& result) { return result.state == TrialResult::State::kOpen; }));
    size_t room = open < open_max ? open_max - open : 0;
    room = std::min(room, trials_max - std::min(trials_max, Size(step.created())));
    const SearchAdvance advance = searcher->Advance(results, room);
    for (const Parameters& parameters : advance.created) {
      storage::v1::NewTrial& created = *step.add_created();
      created.set_number(static_cast<int64_t>(results.size()) + 1);
      for (const auto& [path, value] : parameters) (*created.mutable_parameters())[path] = value;
      const absl::StatusOr<v1::Recipe> recipe = plan::ConcreteRecipe(spec, parameters);
      if (recipe.ok()) {
        created.set_recipe(plan::CanonicalBytes(*recipe));
        created.set_recipe_digest(plan::RecipeDigest(*recipe));
        results.push_back({TrialResult::State::kOpen, std::nullopt});
      } else {
        created.set_error(std::string(recipe.status().message()));
        results.push_back({TrialResult::State::kFailed, std::nullopt});
        again = true;
      }
    }
    for (const SearchAdvance::Discard& discard : advance.discarded) {
      Discard(experiment, discard, step);
    }
    step.set_done(advance.done);
    step.set_left(advance.left);
  }
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
