#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/text.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/recipe/checks.h"
#include "plan/recipe/evaluation_metrics.h"
#include "plan/recipe/parameter_checker.h"
#include "plan/recipe/search_points.h"
#include "plan/rules/number_text.h"

namespace cvtrain::plan {
namespace {

constexpr int kTradeoffsMax = 3;

void CheckGrid(const v1::Search& search, ParameterChecker& checker, Rules& rules) {
  const v1::GridSearch& grid = search.grid();
  if (!CheckCount("search.grid.parameters", grid.parameters_size(), kSearchParametersMax, rules))
    return;
  for (int i = 0; i < grid.parameters_size(); ++i) {
    const v1::GridParameter& parameter = grid.parameters(i);
    const std::string path = absl::StrCat("search.grid.parameters.", i);
    FieldType type;
    if (!checker.CheckName(path + ".parameter", parameter.parameter(), type)) continue;
    checker.CheckValues(path + ".values", parameter.parameter(), parameter.values());
  }
  v1::Search plain;
  *plain.mutable_grid() = grid;
  const int64_t trials = SearchTrialCount(plain);
  if (trials > kSearchTrialsMax) {
    rules.Add("search.grid", absl::StrCat("must make at most ", kSearchTrialsMax, " trials"),
              absl::StrCat(trials));
  }
}

void CheckLinearPoints(const v1::LinearSearch& linear, ParameterChecker& checker, Rules& rules) {
  const std::string path = "search.linear";
  const bool has_values = linear.values_size() > 0;
  if (has_values && (linear.has_step() || linear.start() != 0 || linear.stop() != 0)) {
    rules.Add(path + ".values", "cannot be given together with start, stop and step");
    return;
  }
  if (!has_values && !(linear.step() != 0)) {
    rules.Add(path + ".step", "is required, and not 0 (or values instead)");
    return;
  }
  const std::vector<double> points = LinearPoints(linear);
  if (points.empty()) {
    rules.Add(path + ".step",
              absl::StrCat("must lead from start, ", FormatNumber(linear.start()), ", to stop, ",
                           FormatNumber(linear.stop())),
              FormatNumber(linear.step()));
    return;
  }
  if (!CheckCount(has_values ? path + ".values" : path, static_cast<int>(points.size()),
                  kSearchTrialsMax, rules)) {
    return;
  }
  for (size_t i = 0; i < points.size(); ++i) {
    const std::string field = has_values ? absl::StrCat(path, ".values.", i) : path + ".step";
    const size_t violations_before = rules.violations().size();
    checker.CheckValue(field, linear.parameter(), FormatNumber(points[i]));
    // The points of a step share a field: the first bad one says enough.
    if (!has_values && rules.violations().size() > violations_before) return;
  }
}

void CheckLinear(const v1::LinearSearch& linear, ParameterChecker& checker, Rules& rules) {
  FieldType type;
  if (checker.CheckNumberName("search.linear.parameter", linear.parameter(), type)) {
    CheckLinearPoints(linear, checker, rules);
  }
  rules.InRange("search.linear.patience", linear.patience(), Closed(0, kSearchTrialsMax));
}

void CheckOneObjective(const std::string& path, const v1::ExperimentSpec& spec,
                       const v1::Objective& objective, Rules& rules) {
  const std::vector<std::string> metrics = EvaluationMetrics(spec.recipe());
  if (objective.metric().empty()) {
    rules.Add(path + ".metric", "is required, such as val/top1");
  } else if (std::find(metrics.begin(), metrics.end(), objective.metric()) == metrics.end()) {
    rules.Add(path + ".metric",
              absl::StrCat("must be a metric that the evaluation reports",
                           DidYouMean(NearestNames(objective.metric(), metrics))),
              absl::StrCat("'", SafeText(objective.metric(), 128), "'"));
  }
  if (objective.mode() == v1::Objective::MODE_UNSPECIFIED) {
    rules.Add(path + ".mode", "is required: max or min");
  }
}

void CheckObjective(const v1::ExperimentSpec& spec, Rules& rules) {
  if (!spec.search().has_objective()) {
    rules.Add("search.objective", "is required: a metric and a mode, max or min");
    return;
  }
  CheckOneObjective("search.objective", spec, spec.search().objective(), rules);
}

// Their points are known from the start, whatever the results.
bool HasFixedPoints(const v1::Search& search) {
  return search.has_grid() || search.has_random() || search.has_sobol() ||
         (search.has_linear() && search.linear().patience() == 0);
}

constexpr const char* kFixedPointsOnly =
    "is only for grid, random, sobol and linear without patience: leave it out";

void CheckTradeoffs(const v1::ExperimentSpec& spec, Rules& rules) {
  const v1::Search& search = spec.search();
  if (search.tradeoffs().empty()) return;
  if (!HasFixedPoints(search)) {
    rules.Add("search.tradeoffs", kFixedPointsOnly);
    return;
  }
  if (search.tradeoffs_size() > kTradeoffsMax) {
    rules.Add("search.tradeoffs", absl::StrCat("must have at most ", kTradeoffsMax, " entries"),
              absl::StrCat(search.tradeoffs_size()));
    return;
  }
  std::set<std::string> seen = {search.objective().metric()};
  for (int i = 0; i < search.tradeoffs_size(); ++i) {
    const std::string entry = absl::StrCat("search.tradeoffs.", i);
    CheckOneObjective(entry, spec, search.tradeoffs(i), rules);
    if (!seen.insert(search.tradeoffs(i).metric()).second) {
      rules.Add(entry + ".metric", "is given twice", SafeText(search.tradeoffs(i).metric(), 128));
    }
  }
}

void CheckReplicates(const v1::Search& search, const std::vector<std::string>& paths,
                     Rules& rules) {
  const int replicates = search.has_replicates() ? search.replicates() : 1;
  rules.InRange("search.replicates", replicates, Closed(1, 100));
  if (replicates > 1 && (search.has_asha() || search.has_hyperband())) {
    rules.Add("search.replicates",
              "must be 1 with asha and hyperband, which compare single trials: run the best again");
  }
  if (replicates > 1 && std::find(paths.begin(), paths.end(), "recipe.seed") != paths.end()) {
    rules.Add("search.replicates", "must be 1 where the search itself changes recipe.seed");
  }
  const int64_t trials = SearchTrialCount(search);
  if (replicates > 1 && trials > kSearchTrialsMax) {
    rules.Add("search.replicates",
              absl::StrCat("must make at most ", kSearchTrialsMax, " trials in all"),
              absl::StrCat(trials));
  }
  if (!search.has_racing()) return;
  const v1::Racing& racing = search.racing();
  if (!HasFixedPoints(search)) {
    rules.Add("search.racing", kFixedPointsOnly);
  } else if (replicates < 3) {
    rules.Add("search.racing", "needs replicates of at least 3, two of them before the first test");
  } else if (racing.has_min_replicates()) {
    rules.InRange("search.racing.min_replicates", racing.min_replicates(),
                  Closed(2, replicates - 1));
  }
  if (racing.has_confidence()) {
    rules.InRange("search.racing.confidence", racing.confidence(), Closed(0.5, 0.9999));
  }
}

void CheckBudget(const v1::SearchBudget& budget, Rules& rules) {
  const std::string path = "search.budget";
  if (!budget.has_trials() && !budget.has_flops() && !budget.has_slot_hours() &&
      !budget.has_hours()) {
    rules.Add(path, "needs at least one of trials, flops, slot_hours, hours, or is left out");
  }
  if (budget.has_trials()) {
    rules.InRange(path + ".trials", budget.trials(), Closed(1, kSearchTrialsMax));
  }
  if (budget.has_flops()) rules.InRange(path + ".flops", budget.flops(), Above(0, 1e30));
  if (budget.has_slot_hours()) {
    rules.InRange(path + ".slot_hours", budget.slot_hours(), Above(0, 1e7));
  }
  if (budget.has_hours()) rules.InRange(path + ".hours", budget.hours(), Above(0, 1e5));
}

// Trials are compared at the same size of pictures, and at rungs in the same stage.
void CheckComparability(const v1::Search& search, const std::vector<std::string>& paths,
                        Rules& rules) {
  const bool has_rungs = search.has_asha() || search.has_hyperband();
  const std::string field =
      absl::StrCat("search.", search.has_asha() ? "asha" : "hyperband", ".parameters");
  for (const std::string& path : paths) {
    const bool is_measure = absl::StartsWith(path, "recipe.evaluation.sizes.") ||
                            absl::StartsWith(path, "recipe.evaluation.conditions.");
    if (is_measure && !search.has_monotone_threshold()) {
      rules.Add("search",
                absl::StrCat("must not change ", path,
                             ", which would compare trials that were measured differently: list "
                             "what is to be measured in recipe.evaluation, and name one in "
                             "search.objective.metric"));
    }
    if (has_rungs && (path == "recipe.epochs" || absl::StartsWith(path, "recipe.sampler.") ||
                      absl::StartsWith(path, "recipe.synthetic.steps"))) {
      rules.Add(field,
                absl::StrCat("must not change ", path,
                             ": its trials would be in different stages of their curriculum at "
                             "a rung; use tpe, sobol or random, which compare at the end"));
    }
  }
}

}  // namespace

void CheckSearch(const v1::ExperimentSpec& spec, Rules& rules) {
  const v1::Search& search = spec.search();
  ParameterChecker checker(spec, rules);
  switch (search.method_case()) {
    case v1::Search::kGrid:
      CheckGrid(search, checker, rules);
      break;
    case v1::Search::kLinear:
      CheckLinear(search.linear(), checker, rules);
      break;
    case v1::Search::kRandom:
    case v1::Search::kSobol:
    case v1::Search::kTpe:
    case v1::Search::kAsha:
    case v1::Search::kHyperband:
      CheckSearchSpace(checker);
      break;
    case v1::Search::kGolden:
    case v1::Search::kBisect:
    case v1::Search::kSecant:
    case v1::Search::kMonotoneThreshold:
      CheckScalarSearch(checker);
      break;
    case v1::Search::METHOD_NOT_SET:
      rules.Add("search",
                "must be one of grid, random, linear, golden, bisect, secant, monotone_threshold, "
                "sobol, tpe, asha, hyperband, or left out");
      return;
  }
  const std::vector<std::string> paths = SearchedPaths(search);
  CheckObjective(spec, rules);
  CheckTradeoffs(spec, rules);
  CheckReplicates(search, paths, rules);
  if (search.has_budget()) CheckBudget(search.budget(), rules);
  CheckComparability(search, paths, rules);
  if (search.has_max_parallel_trials()) {
    rules.InRange("search.max_parallel_trials", search.max_parallel_trials(),
                  Closed(1, kSearchTrialsMax));
  }
}

}  // namespace cvtrain::plan
