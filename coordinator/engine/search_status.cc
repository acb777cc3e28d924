#include "coordinator/engine/search_status.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/search/searcher.h"
#include "coordinator/state/search_results.h"
#include "coordinator/state/trial_record.h"

namespace cvtrain::coordinator {
namespace {

constexpr size_t kFrontMax = 1000;
constexpr char kSeedPath[] = "recipe.seed";

// Trials of one point that count, with a finite value of every objective.
struct MeasuredPoint {
  const ClusterState::Trial* first = nullptr;
  std::vector<std::vector<double>> values;  // of each trial, by objective
  bool failed = false;

  double Mean(size_t objective) const {
    double sum = 0;
    for (const std::vector<double>& trial : values) sum += trial[objective];
    return sum / static_cast<double>(values.size());
  }
};

std::vector<v1::Objective> ObjectivesOf(const v1::Search& search) {
  std::vector<v1::Objective> objectives = {search.objective()};
  objectives.insert(objectives.end(), search.tradeoffs().begin(), search.tradeoffs().end());
  return objectives;
}

// By number; of a search without replicates, one for each trial.
std::map<int64_t, MeasuredPoint> PointsOf(const ClusterState::Experiment& experiment,
                                          const std::vector<v1::Objective>& objectives) {
  const bool replicated = experiment.record.spec().search().replicates() > 1;
  std::map<int64_t, MeasuredPoint> points;
  for (const auto& [number, trial] : experiment.trials) {
    const storage::v1::TrialRecord& record = trial.record;
    if (!HasEnded(record.state()) || record.discarded() || record.pruned_at_epoch() > 0) continue;
    if (record.state() == v1::Trial::STATE_CANCELLED) continue;
    MeasuredPoint& point = points[replicated ? record.point() : number];
    if (point.first == nullptr) point.first = &trial;
    std::vector<double> values;
    for (const v1::Objective& objective : objectives) {
      const std::optional<double> value = ObjectiveValue(objective, record);
      if (value) values.push_back(*value);
    }
    if (record.state() == v1::Trial::STATE_FAILED || values.size() < objectives.size()) {
      point.failed = true;
    } else {
      point.values.push_back(std::move(values));
    }
  }
  std::erase_if(
      points, [](const auto& entry) { return entry.second.failed || entry.second.values.empty(); });
  return points;
}

v1::SearchPoint ToProto(const MeasuredPoint& point, size_t objectives) {
  v1::SearchPoint proto;
  *proto.mutable_parameters() = point.first->record.parameters();
  if (point.values.size() > 1) proto.mutable_parameters()->erase(kSeedPath);
  for (size_t i = 0; i < objectives; ++i) proto.add_objectives(point.Mean(i));
  proto.set_replicates(static_cast<int32_t>(point.values.size()));
  proto.set_trial(point.first->name.ToString());
  if (point.values.size() < 2) return proto;
  double squares = 0;
  for (const std::vector<double>& trial : point.values) {
    squares += (trial[0] - point.Mean(0)) * (trial[0] - point.Mean(0));
  }
  proto.set_standard_deviation(std::sqrt(squares / static_cast<double>(point.values.size() - 1)));
  return proto;
}

// A point with its means, turned so that less is better.
struct Candidate {
  const MeasuredPoint* point = nullptr;
  std::vector<double> costs;
};

// At least as good in everything, and better in something.
bool Beats(const Candidate& a, const Candidate& b) {
  bool better = false;
  for (size_t i = 0; i < a.costs.size(); ++i) {
    if (a.costs[i] > b.costs[i]) return false;
    better = better || a.costs[i] < b.costs[i];
  }
  return better;
}

// Sorted by costs, so that a point is beaten by one before it or by none.
std::vector<const MeasuredPoint*> FrontOf(const std::vector<Candidate>& sorted) {
  std::vector<const Candidate*> front;
  for (const Candidate& candidate : sorted) {
    const bool beaten = std::any_of(front.begin(), front.end(), [&](const Candidate* other) {
      return Beats(*other, candidate);
    });
    if (!beaten) front.push_back(&candidate);
  }
  std::vector<const MeasuredPoint*> points;
  for (const Candidate* candidate : front) points.push_back(candidate->point);
  return points;
}

void SetPoints(const ClusterState::Experiment& experiment, v1::SearchStatus& status) {
  const std::vector<v1::Objective> objectives = ObjectivesOf(experiment.record.spec().search());
  const std::map<int64_t, MeasuredPoint> points = PointsOf(experiment, objectives);
  std::vector<Candidate> candidates;
  for (const auto& [number, point] : points) {
    Candidate& candidate = candidates.emplace_back();
    candidate.point = &point;
    for (size_t i = 0; i < objectives.size(); ++i) {
      const bool maximize = objectives[i].mode() != v1::Objective::MODE_MIN;
      candidate.costs.push_back(maximize ? -point.Mean(i) : point.Mean(i));
    }
  }
  if (candidates.empty()) return;
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.costs < b.costs; });
  *status.mutable_best() = ToProto(*candidates.front().point, objectives.size());
  if (objectives.size() < 2) return;
  for (const MeasuredPoint* point : FrontOf(candidates)) {
    if (status.front_size() == static_cast<int>(kFrontMax)) break;
    *status.add_front() = ToProto(*point, objectives.size());
  }
}

// Trials that ran to their end and have no place in any comparison.
std::string UnmeasuredText(const ClusterState::Experiment& experiment) {
  size_t unmeasured = 0;
  for (const TrialResult& result : experiment.results) {
    const bool ended = result.state == TrialResult::State::kSucceeded;
    unmeasured += ended && !result.discarded && !result.pruned && !result.objective ? 1 : 0;
  }
  if (unmeasured == 0) return "";
  return absl::StrCat(unmeasured, " of ", experiment.results.size(),
                      " trials ended without a finite value of ",
                      experiment.record.spec().search().objective().metric(),
                      "; they have no rank, see their evaluations and losses");
}

}  // namespace

v1::SearchStatus SearchStatusOf(const ClusterState::Experiment& experiment, absl::Time now) {
  const v1::ExperimentSpec& spec = experiment.record.spec();
  v1::SearchStatus status;
  SetPoints(experiment, status);
  const std::vector<TrialResult>& results = experiment.results;
  const SearchFindings findings = MakeSearcher(spec)->Findings(results);
  if (findings.bracket) {
    v1::Bracket& bracket = *status.mutable_bracket();
    bracket.set_low(findings.bracket->low);
    bracket.set_high(findings.bracket->high);
    if (findings.bracket->low_objective) {
      bracket.set_low_objective(*findings.bracket->low_objective);
    }
    if (findings.bracket->high_objective) {
      bracket.set_high_objective(*findings.bracket->high_objective);
    }
  }
  if (findings.answer) status.set_answer(*findings.answer);
  status.set_raced_out(findings.raced_out);
  status.set_message(findings.message);
  const auto record_of = [](const ClusterState::Trial& trial) -> const storage::v1::TrialRecord& {
    return trial.record;
  };
  *status.mutable_used() = UsedBy(experiment, record_of, now);
  const std::string bound = UsedUpBound(experiment, record_of, results.size(), now);
  if (!bound.empty() && status.message().empty()) {
    status.set_message("the budget is used up: " + bound);
  }
  if (status.message().empty()) status.set_message(UnmeasuredText(experiment));
  return status;
}

}  // namespace cvtrain::coordinator
