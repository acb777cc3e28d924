#include "coordinator/state/start_conditions.h"

#include <variant>

#include "absl/strings/str_cat.h"
#include "common/text.h"
#include "coordinator/state/trial_record.h"
#include "plan/recipe/start_rules.h"

namespace cvtrain::coordinator {
namespace {

enum class Outcome { kOpen, kSucceeded, kFailed };

Outcome OutcomeOf(const ClusterState& state, const TrialName& name) {
  const auto trial = state.FindTrial(name);
  if (!trial.ok()) return Outcome::kFailed;
  if (!HasEnded((*trial)->record.state())) return Outcome::kOpen;
  return (*trial)->record.state() == v1::Trial::STATE_SUCCEEDED ? Outcome::kSucceeded
                                                                : Outcome::kFailed;
}

Outcome OutcomeOf(const ClusterState& state, const ExperimentName& name) {
  const auto experiment = state.FindExperiment(name);
  if (!experiment.ok()) return Outcome::kFailed;
  switch ((*experiment)->record.state()) {
    case v1::Experiment::STATE_SUCCEEDED:
      return Outcome::kSucceeded;
    case v1::Experiment::STATE_FAILED:
    case v1::Experiment::STATE_CANCELLED:
      return Outcome::kFailed;
    default:
      return Outcome::kOpen;
  }
}

// Why `dependency` keeps something waiting; empty if it does not.
std::string WaitFor(const ClusterState& state, const plan::Dependency& dependency) {
  using Condition = plan::Dependency::Condition;
  const Outcome outcome =
      std::visit([&](const auto& name) { return OutcomeOf(state, name); }, dependency.on);
  const std::string name = dependency.NameOn();
  if (outcome == Outcome::kOpen) return absl::StrCat("waiting for the end of ", name);
  const bool succeeded = outcome == Outcome::kSucceeded;
  if (dependency.condition == Condition::kSucceeded && !succeeded) {
    return absl::StrCat("waiting for ", name, " to succeed, and it did not: cancel this one");
  }
  if (dependency.condition == Condition::kFailed && succeeded) {
    return absl::StrCat("waiting for ", name, " to fail, and it succeeded: cancel this one");
  }
  return "";
}

}  // namespace

std::optional<StartBlock> BlockOf(const ClusterState& state,
                                  const ClusterState::Experiment& experiment, absl::Time now) {
  if (experiment.record.held()) {
    return StartBlock{v1::WAIT_REASON_HELD,
                      absl::StrCat("waiting: held; `cvctl release ", FormatShort(experiment.name),
                                   "` lets it start")};
  }
  const v1::ExperimentSpec& spec = experiment.record.spec();
  if (!spec.begin_after().empty()) {
    const auto begin = plan::ParseBeginTime(spec.begin_after());
    if (begin.ok() && now < *begin) {
      return StartBlock{v1::WAIT_REASON_BEGIN,
                        absl::StrCat("waiting until ", FormatTimestamp(*begin)), *begin};
    }
  }
  for (const std::string& text : spec.after()) {
    const auto dependency = plan::ParseDependency(text);
    if (!dependency.ok()) continue;  // refused at submit
    std::string wait = WaitFor(state, *dependency);
    if (!wait.empty()) return StartBlock{v1::WAIT_REASON_DEPENDENCY, std::move(wait)};
  }
  return std::nullopt;
}

std::optional<StartBlock> BlockOf(const ClusterState::Trial& trial, absl::Time now) {
  const absl::Duration delay = DelayOf(trial.record, now);
  if (delay == absl::ZeroDuration()) return std::nullopt;
  return StartBlock{v1::WAIT_REASON_BACKOFF,
                    absl::StrCat("waiting ", FormatDuration(absl::Ceil(delay, absl::Seconds(1))),
                                 " before the next attempt"),
                    now + delay};
}

}  // namespace cvtrain::coordinator
