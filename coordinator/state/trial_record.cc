#include "coordinator/state/trial_record.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/errors.h"
#include "coordinator/state/proto_time.h"

namespace cvtrain::coordinator {
namespace {

// Between attempts of one trial, at most.
constexpr absl::Duration kDelayMax = absl::Seconds(60);

using storage::v1::AttemptPart;
using storage::v1::AttemptRecord;
using storage::v1::Evaluation;
using storage::v1::TrialRecord;

absl::Status Damaged(const TrialRecord& trial, absl::string_view what) {
  return DataLoss(Reason::kJournalDamaged, absl::StrCat(NameOf(trial).ToString(), ": ", what));
}

AttemptPart* MutablePart(AttemptRecord& attempt, absl::string_view worker) {
  for (AttemptPart& part : *attempt.mutable_parts()) {
    if (part.worker() == worker) return &part;
  }
  return nullptr;
}

// Ends a part; the attempt ends with its last one. It has the cause of the first part that failed;
// without one, that of the first part that ended.
void EndPart(AttemptRecord& attempt, AttemptPart& part, const storage::v1::PartEnded& ended,
             absl::Time time) {
  part.set_ended(true);
  part.set_cause(ended.cause());
  if (attempt.cause() == v1::CAUSE_UNSPECIFIED ||
      (IsFailure(ended.cause()) && !IsFailure(attempt.cause()))) {
    attempt.set_cause(ended.cause());
    attempt.set_message(ended.message());
  }
  attempt.set_end_step(std::max(attempt.end_step(), ended.end_step()));
  attempt.set_flops(std::max(attempt.flops(), ended.flops()));
  if (!ended.sample_digest().empty()) attempt.set_sample_digest(ended.sample_digest());
  const bool all_ended = std::all_of(attempt.parts().begin(), attempt.parts().end(),
                                     [](const AttemptPart& other) { return other.ended(); });
  if (all_ended) *attempt.mutable_end_time() = ToTimestamp(time);
}

void Begin(TrialRecord& trial, AttemptRecord& attempt, const storage::v1::Fact& fact) {
  *attempt.mutable_start_time() = fact.time();
  attempt.set_start_step(fact.started().start_step());
  if (!trial.has_start_time()) *trial.mutable_start_time() = fact.time();
  // What earlier attempts did after that step counts no more.
  auto& lineage = *trial.mutable_lineage();
  while (!lineage.empty() && lineage.rbegin()->from_step() >= attempt.start_step()) {
    lineage.RemoveLast();
  }
  storage::v1::LineageEntry& entry = *lineage.Add();
  entry.set_attempt(attempt.number());
  entry.set_from_step(attempt.start_step());
}

// Keeps the evaluations in order of step; one that is repeated after a resume replaces the first.
// Confusion is large: only the last one keeps its own.
void AddEvaluation(TrialRecord& trial, const Evaluation& evaluation) {
  auto& evaluations = *trial.mutable_evaluations();
  int at = evaluations.size();
  while (at > 0 && evaluations.Get(at - 1).step() >= evaluation.step()) --at;
  if (at < evaluations.size() && evaluations.Get(at).step() == evaluation.step()) {
    *evaluations.Mutable(at) = evaluation;
  } else {
    *evaluations.Add() = evaluation;
    for (int i = evaluations.size() - 1; i > at; --i) evaluations.SwapElements(i, i - 1);
  }
  // Of the others, only these may have one.
  if (at + 1 < evaluations.size()) evaluations.Mutable(at)->clear_confusion();
  if (evaluations.size() > 1) evaluations.Mutable(evaluations.size() - 2)->clear_confusion();
}

void AddStage(TrialRecord& trial, const storage::v1::StageMeasurement& stage) {
  auto& stages = *trial.mutable_stages();
  int at = stages.size();
  while (at > 0 && stages.Get(at - 1).stage() >= stage.stage()) --at;
  if (at < stages.size() && stages.Get(at).stage() == stage.stage()) {
    *stages.Mutable(at) = stage;
    return;
  }
  *stages.Add() = stage;
  for (int i = stages.size() - 1; i > at; --i) stages.SwapElements(i, i - 1);
}

std::optional<double> MetricOf(const Evaluation& evaluation, const std::string& metric) {
  const auto found = evaluation.metrics().find(metric);
  if (found == evaluation.metrics().end() || !std::isfinite(found->second)) return std::nullopt;
  return found->second;
}

// After the first `count` evaluations.
std::optional<double> ObjectiveAfter(const v1::Objective& objective, const TrialRecord& trial,
                                     int count) {
  if (count == 0) return std::nullopt;
  if (objective.at() != v1::Objective::AT_BEST) {
    return MetricOf(trial.evaluations(count - 1), objective.metric());
  }
  std::optional<double> best;
  for (int i = 0; i < count; ++i) {
    const std::optional<double> value = MetricOf(trial.evaluations(i), objective.metric());
    if (!value) continue;
    const bool better = objective.mode() == v1::Objective::MODE_MIN
                            ? *value < best.value_or(*value)
                            : *value > best.value_or(*value);
    if (!best || better) best = value;
  }
  return best;
}

}  // namespace

bool HasEnded(v1::Trial::State state) {
  return state == v1::Trial::STATE_SUCCEEDED || state == v1::Trial::STATE_FAILED ||
         state == v1::Trial::STATE_CANCELLED;
}

bool HasEnded(const AttemptRecord& attempt) { return attempt.has_end_time(); }

TrialName NameOf(const TrialRecord& trial) {
  return TrialName(ExperimentName(trial.experiment()), trial.number());
}

AttemptName NameOf(const TrialRecord& trial, const AttemptRecord& attempt) {
  return AttemptName(NameOf(trial), attempt.number());
}

const AttemptRecord* OpenAttempt(const TrialRecord& trial) {
  if (trial.attempts().empty() || HasEnded(*trial.attempts().rbegin())) return nullptr;
  return &*trial.attempts().rbegin();
}

AttemptRecord* OpenAttempt(TrialRecord& trial) {
  if (trial.attempts().empty() || HasEnded(*trial.attempts().rbegin())) return nullptr;
  return &*trial.mutable_attempts()->rbegin();
}

const AttemptPart* FindPart(const AttemptRecord& attempt, absl::string_view worker) {
  for (const AttemptPart& part : attempt.parts()) {
    if (part.worker() == worker) return &part;
  }
  return nullptr;
}

std::string CauseText(v1::Cause cause) {
  std::string text = absl::AsciiStrToLower(v1::Cause_Name(cause));
  return absl::StrReplaceAll(text.substr(std::string("cause_").size()), {{"_", " "}});
}

bool IsFailure(v1::Cause cause) {
  switch (cause) {
    case v1::CAUSE_WORKER_LOST:
    case v1::CAUSE_DEVICE_FAULT:
    case v1::CAUSE_OUT_OF_MEMORY:
    case v1::CAUSE_DATA:
    case v1::CAUSE_DIVERGED:
    case v1::CAUSE_USER_ERROR:
    case v1::CAUSE_INTERNAL:
      return true;
    default:
      return false;
  }
}

absl::Status BeginAttempt(TrialRecord& trial, const storage::v1::AttemptAllocated& event,
                          int64_t revision, absl::Time time) {
  const int64_t number = trial.attempts_size() + 1;
  if (trial.state() != v1::Trial::STATE_QUEUED || OpenAttempt(trial) != nullptr) {
    return Damaged(trial, "is given slots, but is not queued");
  }
  if (AttemptName(NameOf(trial), number).ToString() != event.attempt()) {
    return Damaged(trial, absl::StrCat("begins ", event.attempt(), " where ", number, " is next"));
  }
  AttemptRecord& attempt = *trial.add_attempts();
  attempt.set_number(number);
  attempt.set_lease_generation(revision);
  *attempt.mutable_grant_time() = ToTimestamp(time);
  attempt.set_start_step(event.start_step());
  attempt.set_resumed_from(event.resumed_from());
  *attempt.mutable_ranks() = event.ranks();
  for (const storage::v1::RankPlacement& rank : event.ranks()) {
    if (FindPart(attempt, rank.worker()) == nullptr) {
      attempt.add_parts()->set_worker(rank.worker());
    }
  }
  trial.set_state(v1::Trial::STATE_RUNNING);
  trial.clear_reason();
  return absl::OkStatus();
}

absl::Status ApplyFact(TrialRecord& trial, absl::string_view worker, const storage::v1::Fact& fact,
                       absl::Time time) {
  AttemptRecord* attempt = OpenAttempt(trial);
  if (attempt == nullptr) return Damaged(trial, "has a fact, but no open attempt");
  AttemptPart* part = MutablePart(*attempt, worker);
  if (part == nullptr || part->ended()) {
    return Damaged(trial, absl::StrCat("has a fact of ", worker, ", which has no part in it"));
  }
  if (fact.sequence() != part->fact_sequence() + 1) {
    return Damaged(trial, absl::StrCat("has fact ", fact.sequence(), " of ", worker, " where ",
                                       part->fact_sequence() + 1, " is next"));
  }
  part->set_fact_sequence(fact.sequence());
  switch (fact.kind_case()) {
    case storage::v1::Fact::kStarted:
      Begin(trial, *attempt, fact);
      break;
    case storage::v1::Fact::kEvaluation:
      AddEvaluation(trial, fact.evaluation());
      break;
    case storage::v1::Fact::kStage:
      AddStage(trial, fact.stage());
      break;
    case storage::v1::Fact::kEnded:
      EndPart(*attempt, *part, fact.ended(), time);
      break;
    case storage::v1::Fact::KIND_NOT_SET:
      return Damaged(trial, "has a fact of no known kind");
  }
  return absl::OkStatus();
}

absl::Status LosePart(TrialRecord& trial, absl::string_view worker, absl::Time time) {
  AttemptRecord* attempt = OpenAttempt(trial);
  if (attempt == nullptr) return Damaged(trial, "loses a worker, but has no open attempt");
  AttemptPart* part = MutablePart(*attempt, worker);
  if (part == nullptr || part->ended()) {
    return Damaged(trial, absl::StrCat("loses ", worker, ", which has no part in it"));
  }
  storage::v1::PartEnded ended;
  ended.set_cause(v1::CAUSE_WORKER_LOST);
  ended.set_message(absl::StrCat(worker, " was lost"));
  EndPart(*attempt, *part, ended, time);
  return absl::OkStatus();
}

void ApplyTransition(TrialRecord& trial, const storage::v1::TrialTransition& transition,
                     absl::Time time) {
  trial.set_state(transition.state());
  trial.set_reason(transition.reason());
  if (HasEnded(transition.state())) *trial.mutable_end_time() = ToTimestamp(time);
  storage::v1::RetriesUsed& retries = *trial.mutable_retries();
  switch (transition.budget()) {
    case storage::v1::RETRY_BUDGET_USER:
      retries.set_user(retries.user() + 1);
      break;
    case storage::v1::RETRY_BUDGET_OUT_OF_MEMORY:
      retries.set_out_of_memory(retries.out_of_memory() + 1);
      break;
    case storage::v1::RETRY_BUDGET_INFRASTRUCTURE:
      retries.set_infrastructure(retries.infrastructure() + 1);
      break;
    default:
      break;
  }
}

absl::Time NotBefore(const TrialRecord& trial) {
  int fruitless = 0;
  for (auto attempt = trial.attempts().rbegin(); attempt != trial.attempts().rend(); ++attempt) {
    const bool failed = IsFailure(attempt->cause()) || !attempt->has_start_time();
    if (!failed || attempt->start_step() != trial.attempts().rbegin()->start_step()) break;
    ++fruitless;
  }
  if (fruitless < 2) return absl::InfinitePast();
  absl::Duration delay = absl::Seconds(1);
  for (int i = 2; i < fruitless && delay < kDelayMax; ++i) delay *= 2;
  return FromTimestamp(trial.attempts().rbegin()->end_time()) + std::min(delay, kDelayMax);
}

absl::Duration DelayOf(const TrialRecord& trial, absl::Time now) {
  const absl::Duration delay = NotBefore(trial) - now;
  return delay > kDelayMax ? absl::ZeroDuration() : std::max(delay, absl::ZeroDuration());
}

v1::Objective ObjectiveOf(const v1::ExperimentSpec& spec) {
  if (spec.search().has_objective()) return spec.search().objective();
  v1::Objective objective;
  objective.set_metric("val/top1");
  objective.set_mode(v1::Objective::MODE_MAX);
  objective.set_at(v1::Objective::AT_LAST);
  return objective;
}

std::optional<double> ObjectiveValue(const v1::Objective& objective, const TrialRecord& trial) {
  return ObjectiveAfter(objective, trial, trial.evaluations_size());
}

std::vector<double> RungValues(const v1::Objective& objective, const std::vector<int32_t>& rungs,
                               const TrialRecord& trial) {
  std::vector<double> values;
  int count = 0;
  for (const int32_t rung : rungs) {
    while (count < trial.evaluations_size() && trial.evaluations(count).epoch() < rung) ++count;
    if (count == trial.evaluations_size()) break;
    // An evaluation that is missing there leaves the rung without a value, not with a later one.
    const bool is_there = trial.evaluations(count).epoch() == rung;
    const std::optional<double> value =
        is_there ? ObjectiveAfter(objective, trial, count + 1) : std::nullopt;
    values.push_back(value.value_or(std::numeric_limits<double>::quiet_NaN()));
  }
  return values;
}

std::optional<double> ObjectiveAtStep(const v1::Objective& objective, const TrialRecord& trial,
                                      int64_t step) {
  for (const Evaluation& evaluation : trial.evaluations()) {
    if (evaluation.step() == step) return MetricOf(evaluation, objective.metric());
  }
  return std::nullopt;
}

}  // namespace cvtrain::coordinator
