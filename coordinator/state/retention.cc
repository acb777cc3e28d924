#include "coordinator/state/retention.h"

#include <algorithm>
#include <cstddef>
#include <tuple>
#include <utility>

#include "coordinator/state/trial_record.h"

namespace cvtrain::coordinator {

std::vector<KeptCheckpoint> JudgeCheckpoints(const v1::CheckpointPolicy& policy,
                                             const v1::Objective& objective,
                                             const storage::v1::TrialRecord& trial,
                                             const std::vector<CheckpointStep>& checkpoints) {
  std::vector<KeptCheckpoint> judged;
  std::vector<size_t> good;  // indices, the newest last
  for (const CheckpointStep& checkpoint : checkpoints) {
    if (!checkpoint.damaged) good.push_back(judged.size());
    judged.push_back({checkpoint.name, {}});
  }
  if (good.empty()) return judged;

  judged[good.back()].kept_as.push_back("resume");
  const storage::v1::AttemptRecord* open = OpenAttempt(trial);
  if (open != nullptr && !open->has_start_time()) {
    for (const size_t i : good) {
      if (judged[i].kept_as.empty() && judged[i].name.ToString() == open->resumed_from()) {
        judged[i].kept_as.push_back("resume");
      }
    }
  }
  const size_t last = std::min(good.size(), static_cast<size_t>(std::max(1, policy.keep_last())));
  for (size_t i = good.size() - last; i < good.size(); ++i) {
    judged[good[i]].kept_as.push_back("last");
  }

  // (objective, negated if it is to be maximized; index): the best and oldest first.
  std::vector<std::pair<double, size_t>> ranking;
  for (size_t i = 0; i < checkpoints.size(); ++i) {
    const std::optional<double> value = ObjectiveAtStep(objective, trial, checkpoints[i].step);
    if (!value) continue;
    ranking.push_back({objective.mode() == v1::Objective::MODE_MIN ? *value : -*value, i});
  }
  std::sort(ranking.begin(), ranking.end());
  const size_t best =
      std::min(ranking.size(), static_cast<size_t>(std::max(0, policy.keep_best())));
  for (size_t i = 0; i < best; ++i) judged[ranking[i].second].kept_as.push_back("best");
  return judged;
}

std::optional<ExperimentName> BegunWith(const ClusterState& state, const CheckpointName& name,
                                        const std::set<int64_t>& ended) {
  const std::string text = name.ToString();
  for (const int64_t number : state.active()) {
    const ClusterState::Experiment& experiment = state.experiments().at(number);
    const v1::Recipe& recipe = experiment.record.spec().recipe();
    if (recipe.has_init_from() && recipe.init_from().checkpoint() == text &&
        !ended.contains(number)) {
      return experiment.name;
    }
  }
  return std::nullopt;
}

bool IsOlder(const storage::v1::CheckpointRecord& a, const storage::v1::CheckpointRecord& b) {
  const auto place = [](const storage::v1::CheckpointRecord& record) {
    const absl::StatusOr<AttemptName> attempt = AttemptName::Parse(record.attempt());
    return std::tuple(attempt.ok() ? attempt->number() : 0, record.step(), record.revision());
  };
  return place(a) < place(b);
}

std::vector<CheckpointStep> CheckpointSteps(const ClusterState& state,
                                            const ClusterState::Trial& trial) {
  std::vector<CheckpointStep> steps;
  for (const CheckpointName& name : trial.checkpoints) {
    const storage::v1::CheckpointRecord& record = state.checkpoints().at(name);
    steps.push_back({name, record.step(), record.damaged()});
  }
  return steps;
}

v1::CheckpointPolicy PolicyOf(const storage::v1::TrialRecord& trial) {
  v1::Recipe recipe;
  if (!recipe.ParseFromString(trial.recipe())) return {};
  return recipe.checkpoint();
}

}  // namespace cvtrain::coordinator
