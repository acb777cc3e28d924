// The ranking of client/view/show.h.
#include <algorithm>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/view/show.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

// Those with a rank from best to worst, then the others; of equals the one that the
// search made first, as the coordinator has it.
std::vector<v1::Trial> InOrder(const v1::Objective& objective, std::vector<v1::Trial> trials) {
  const bool smaller_is_better = objective.mode() == v1::Objective::MODE_MIN;
  std::stable_sort(trials.begin(), trials.end(), [&](const v1::Trial& a, const v1::Trial& b) {
    if (a.ranked() != b.ranked()) return a.ranked();
    if (!a.ranked()) return false;
    return smaller_is_better ? a.objective() < b.objective() : a.objective() > b.objective();
  });
  return trials;
}

// Why a trial has no rank, in a word.
std::string WhyUnranked(const v1::Trial& trial) {
  switch (trial.state()) {
    case v1::Trial::STATE_FAILED:
      return "failed";
    case v1::Trial::STATE_CANCELLED:
      return "cancelled";
    case v1::Trial::STATE_SUCCEEDED:
      if (trial.pruned_at_epoch() > 0) return "pruned";
      return trial.has_objective() ? "discarded" : "unmeasured";
    default:
      return "unfinished";
  }
}

// Every other accuracy of the last evaluations.
std::set<std::string> OtherMetrics(const std::vector<v1::Trial>& trials,
                                   const std::string& objective) {
  std::set<std::string> metrics;
  for (const v1::Trial& trial : trials) {
    if (trial.evaluations().empty()) continue;
    for (const auto& [metric, value] : trial.evaluations(trial.evaluations_size() - 1).metrics()) {
      if (absl::EndsWith(metric, "/top1") && metric != objective) metrics.insert(metric);
    }
  }
  return metrics;
}

}  // namespace

std::string RankingText(const v1::Experiment& experiment, const std::vector<v1::Trial>& trials) {
  const v1::Objective& objective = experiment.spec().search().objective();
  const std::vector<v1::Trial> in_order = InOrder(objective, trials);
  const std::set<std::string> metrics = OtherMetrics(trials, objective.metric());
  std::vector<std::string> headers = {"RANK", "ID", "STATE", "HPARAMS"};
  if (!objective.metric().empty()) headers.push_back(EscapeText(objective.metric()));
  for (const std::string& metric : metrics) headers.push_back(EscapeText(metric));
  headers.insert(headers.end(), {"STEPS", "FLOPS"});

  Table table(headers);
  int rank = 0;
  for (const v1::Trial& trial : in_order) {
    std::vector<std::string> row = {trial.ranked() ? absl::StrCat(++rank) : WhyUnranked(trial),
                                    ShortName(trial.name()), StateText(trial.state()),
                                    ParametersText(trial)};
    if (!objective.metric().empty())
      row.push_back(trial.has_objective() ? MetricText(trial.objective()) : "");
    for (const std::string& metric : metrics) row.push_back(LastMetricText(trial, metric));
    row.push_back(absl::StrCat(trial.progress().step()));
    row.push_back(trial.progress().flops() == 0 ? "" : FormatCount(trial.progress().flops()));
    table.AddRow(row);
  }
  std::ostringstream out;
  table.Print(out);
  return out.str();
}

}  // namespace cvtrain::client
