#include "coordinator/state/search_results.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "coordinator/state/proto_time.h"
#include "coordinator/state/trial_record.h"

namespace cvtrain::coordinator {
namespace {

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

TrialResult ResultOf(const storage::v1::TrialRecord& record, std::optional<double> objective,
                     absl::Span<const double> rungs) {
  TrialResult result;
  result.state = ResultState(record.state());
  result.objective = objective;
  result.parameters = &record.parameters();
  result.rungs = rungs;
  result.rungs_passed = record.rungs_passed();
  result.pruned = record.pruned_at_epoch() > 0;
  result.discarded = record.discarded();
  result.point = record.point();
  result.replicate = record.replicate();
  return result;
}

v1::SearchBudget UsedBy(const ClusterState::Experiment& experiment, RecordOf record_of,
                        absl::Time now) {
  v1::SearchBudget used;
  double flops = 0;
  double slot_hours = 0;
  for (const auto& [number, trial] : experiment.trials) {
    double of_trial = 0;
    for (const storage::v1::AttemptRecord& attempt : record_of(trial).attempts()) {
      of_trial = std::max(of_trial, attempt.flops());  // each counts from the trial's first step
      const absl::Time end = attempt.has_end_time() ? FromTimestamp(attempt.end_time()) : now;
      slot_hours += attempt.ranks_size() *
                    absl::ToDoubleHours(
                        std::max(end - FromTimestamp(attempt.grant_time()), absl::ZeroDuration()));
    }
    flops += of_trial;
  }
  used.set_trials(static_cast<int32_t>(experiment.trials.size()));
  used.set_flops(flops);
  used.set_slot_hours(slot_hours);
  if (experiment.record.has_create_time()) {
    const absl::Time end =
        experiment.record.has_end_time() ? FromTimestamp(experiment.record.end_time()) : now;
    used.set_hours(absl::ToDoubleHours(end - FromTimestamp(experiment.record.create_time())));
  }
  return used;
}

bool HasBoundOfUse(const v1::SearchBudget& budget) {
  return budget.has_flops() || budget.has_slot_hours() || budget.has_hours();
}

std::string UsedUpBound(const ClusterState::Experiment& experiment, RecordOf record_of,
                        size_t trials, absl::Time now) {
  const v1::Search& search = experiment.record.spec().search();
  if (!search.has_budget()) return "";
  const v1::SearchBudget& budget = search.budget();
  if (budget.has_trials() && trials >= static_cast<size_t>(budget.trials())) {
    return absl::StrCat("trials: ", budget.trials());
  }
  if (!HasBoundOfUse(budget)) return "";
  const v1::SearchBudget used = UsedBy(experiment, record_of, now);
  if (budget.has_flops() && used.flops() >= budget.flops()) {
    return absl::StrCat("flops: ", budget.flops());
  }
  if (budget.has_slot_hours() && used.slot_hours() >= budget.slot_hours()) {
    return absl::StrCat("slot_hours: ", budget.slot_hours());
  }
  if (budget.has_hours() && used.hours() >= budget.hours()) {
    return absl::StrCat("hours: ", budget.hours());
  }
  return "";
}

}  // namespace cvtrain::coordinator
