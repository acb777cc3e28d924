#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/limits.h"
#include "common/text.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/recipe/checks.h"
#include "plan/recipe/evaluation_metrics.h"
#include "plan/recipe/field_path.h"
#include "plan/recipe/schema.h"
#include "plan/recipe/search_points.h"
#include "plan/recipe/validate.h"
#include "plan/rules/number_text.h"

namespace cvtrain::plan {
namespace {

constexpr int kParametersMax = 16;
constexpr int kTrialsMax = limits::kTrialsPerSweepMax;
// Values whose whole recipe is judged at submission; those of a longer list are
// judged when their trial is made.
constexpr int kValuesTriedMax = 256;

// Parts of a recipe that are the same in all trials of an experiment.
constexpr absl::string_view kFixedPaths[] = {"recipe.task", "recipe.dataset"};

// Checks parameters and their values against the recipe they would change.
class ParameterChecker {
 public:
  ParameterChecker(const v1::ExperimentSpec& spec, Rules& rules) : spec_(spec), rules_(rules) {
    for (const FieldViolation& violation : ValidateRecipe(spec.recipe())) {
      known_.insert(violation.field);
    }
  }

  // The type of the parameter named in `field`; false after a violation.
  bool CheckName(const std::string& field, const std::string& path, FieldType& type) {
    if (path.empty()) {
      rules_.Add(field, "is required: the path of a field");
      return false;
    }
    const std::string shown = absl::StrCat("'", SafeText(path, 128), "'");
    const absl::StatusOr<FieldType> found = TypeOfField(*v1::ExperimentSpec::descriptor(), path);
    if (!found.ok()) {
      rules_.Add(field, absl::StrCat("must be the path of a field: ", found.status().message()));
      return false;
    }
    const bool is_fixed =
        std::any_of(std::begin(kFixedPaths), std::end(kFixedPaths), [&](absl::string_view fixed) {
          return path == fixed || absl::StartsWith(path, absl::StrCat(fixed, "."));
        });
    if (!absl::StartsWith(path, "recipe.") || is_fixed) {
      rules_.Add(field, "must be a field of the recipe that may differ between trials", shown);
      return false;
    }
    if (found->kind == FieldType::Kind::kText) {
      rules_.Add(field, "must be a number, a boolean or an enum value", shown);
      return false;
    }
    if (!names_.insert(path).second) {
      rules_.Add(field, "is given twice", shown);
      return false;
    }
    type = *found;
    return true;
  }

  // Whether the recipe with this one value is valid.
  void CheckValue(const std::string& field, const std::string& path, const std::string& value) {
    if (++tried_ > kValuesTriedMax) return;
    v1::ExperimentSpec changed;
    *changed.mutable_recipe() = spec_.recipe();
    if (absl::Status status = SetField(&changed, path, value); !status.ok()) {
      rules_.Add(field, absl::StrCat("must fit the field: ", status.message()));
      return;
    }
    for (const FieldViolation& violation : ValidateRecipe(changed.recipe())) {
      if (known_.contains(violation.field)) continue;
      rules_.Add(field, absl::StrCat("makes a recipe that cannot run: ", ToString(violation)),
                 SafeText(value, 64));
      return;
    }
  }

 private:
  const v1::ExperimentSpec& spec_;
  Rules& rules_;
  std::set<std::string> known_;  // fields that are wrong without the search, too
  std::set<std::string> names_;
  int tried_ = 0;
};

bool CheckCount(const std::string& field, int count, int max, Rules& rules) {
  if (count >= 1 && count <= max) return true;
  rules.Add(field, absl::StrCat("must have 1 to ", max, " entries"), absl::StrCat(count));
  return false;
}

template <typename Values>
void CheckValues(const std::string& field, const std::string& path, const Values& values,
                 ParameterChecker& checker, Rules& rules) {
  if (!CheckCount(field, values.size(), kTrialsMax, rules)) return;
  std::set<std::string> seen;
  for (int i = 0; i < values.size(); ++i) {
    const std::string entry = absl::StrCat(field, ".", i);
    if (!seen.insert(values.Get(i)).second) {
      rules.Add(entry, "is given twice", SafeText(values.Get(i), 64));
      return;
    }
    checker.CheckValue(entry, path, values.Get(i));
  }
}

void CheckGrid(const v1::Search& search, ParameterChecker& checker, Rules& rules) {
  const v1::GridSearch& grid = search.grid();
  if (!CheckCount("search.grid.parameters", grid.parameters_size(), kParametersMax, rules)) return;
  for (int i = 0; i < grid.parameters_size(); ++i) {
    const v1::GridParameter& parameter = grid.parameters(i);
    const std::string path = absl::StrCat("search.grid.parameters.", i);
    FieldType type;
    if (!checker.CheckName(path + ".parameter", parameter.parameter(), type)) continue;
    CheckValues(path + ".values", parameter.parameter(), parameter.values(), checker, rules);
  }
  const int64_t trials = SearchTrialCount(search);
  if (trials > kTrialsMax) {
    rules.Add("search.grid", absl::StrCat("must make at most ", kTrialsMax, " trials"),
              absl::StrCat(trials));
  }
}

void CheckNumberRange(const std::string& path, const v1::RandomParameter& parameter,
                      const FieldType& type, ParameterChecker& checker, Rules& rules) {
  const bool is_log = parameter.has_log_uniform();
  const v1::NumberRange& range = is_log ? parameter.log_uniform() : parameter.uniform();
  const std::string field = absl::StrCat(path, is_log ? ".log_uniform" : ".uniform");
  if (type.kind != FieldType::Kind::kNumber) {
    rules.Add(field, absl::StrCat("must not be given: the parameter is ", ToString(type)));
    return;
  }
  if (is_log && !(range.min() > 0)) {
    rules.Add(field + ".min", "must be positive", absl::StrCat(range.min()));
    return;
  }
  if (!(range.min() <= range.max())) {
    rules.Add(field + ".max", absl::StrCat("must be at least min, ", range.min()),
              absl::StrCat(range.max()));
    return;
  }
  // `max` itself is never drawn, but it is where the values end.
  checker.CheckValue(field + ".min", parameter.parameter(), FormatNumber(range.min()));
  if (range.min() < range.max()) {
    checker.CheckValue(field + ".max", parameter.parameter(),
                       FormatNumber(std::nextafter(range.max(), range.min())));
  }
}

void CheckIntegerRange(const std::string& path, const v1::RandomParameter& parameter,
                       const FieldType& type, ParameterChecker& checker, Rules& rules) {
  const v1::IntegerRange& range = parameter.integer();
  if (type.kind != FieldType::Kind::kInteger && type.kind != FieldType::Kind::kNumber) {
    rules.Add(path + ".integer",
              absl::StrCat("must not be given: the parameter is ", ToString(type)));
    return;
  }
  if (range.min() > range.max()) {
    rules.Add(path + ".integer.max", absl::StrCat("must be at least min, ", range.min()),
              absl::StrCat(range.max()));
    return;
  }
  checker.CheckValue(path + ".integer.min", parameter.parameter(), absl::StrCat(range.min()));
  checker.CheckValue(path + ".integer.max", parameter.parameter(), absl::StrCat(range.max()));
}

void CheckRandom(const v1::RandomSearch& random, ParameterChecker& checker, Rules& rules) {
  rules.Required("search.random.trials", random.trials() != 0, random.trials(),
                 Closed(1, kTrialsMax));
  if (!CheckCount("search.random.parameters", random.parameters_size(), kParametersMax, rules)) {
    return;
  }
  for (int i = 0; i < random.parameters_size(); ++i) {
    const v1::RandomParameter& parameter = random.parameters(i);
    const std::string path = absl::StrCat("search.random.parameters.", i);
    FieldType type;
    if (!checker.CheckName(path + ".parameter", parameter.parameter(), type)) continue;
    switch (parameter.distribution_case()) {
      case v1::RandomParameter::kUniform:
      case v1::RandomParameter::kLogUniform:
        CheckNumberRange(path, parameter, type, checker, rules);
        break;
      case v1::RandomParameter::kInteger:
        CheckIntegerRange(path, parameter, type, checker, rules);
        break;
      case v1::RandomParameter::kChoice:
        CheckValues(path + ".choice.values", parameter.parameter(), parameter.choice().values(),
                    checker, rules);
        break;
      case v1::RandomParameter::DISTRIBUTION_NOT_SET:
        rules.Add(path, "needs one of uniform, log_uniform, integer, choice");
    }
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
  if (!CheckCount(has_values ? path + ".values" : path, static_cast<int>(points.size()), kTrialsMax,
                  rules)) {
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
  if (checker.CheckName("search.linear.parameter", linear.parameter(), type)) {
    if (type.kind == FieldType::Kind::kNumber || type.kind == FieldType::Kind::kInteger) {
      CheckLinearPoints(linear, checker, rules);
    } else {
      rules.Add("search.linear.parameter",
                absl::StrCat("must be a number: the field is ", ToString(type)));
    }
  }
  rules.InRange("search.linear.patience", linear.patience(), Closed(0, kTrialsMax));
}

void CheckObjective(const v1::ExperimentSpec& spec, Rules& rules) {
  const v1::Objective& objective = spec.search().objective();
  if (!spec.search().has_objective()) {
    rules.Add("search.objective", "is required: a metric and a mode, max or min");
    return;
  }
  const std::vector<std::string> metrics = EvaluationMetrics(spec.recipe());
  if (objective.metric().empty()) {
    rules.Add("search.objective.metric", "is required, such as val/top1");
  } else if (std::find(metrics.begin(), metrics.end(), objective.metric()) == metrics.end()) {
    rules.Add("search.objective.metric",
              absl::StrCat("must be a metric that the evaluation reports",
                           DidYouMean(NearestNames(objective.metric(), metrics))),
              absl::StrCat("'", SafeText(objective.metric(), 128), "'"));
  }
  if (objective.mode() == v1::Objective::MODE_UNSPECIFIED) {
    rules.Add("search.objective.mode", "is required: max or min");
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
    case v1::Search::kRandom:
      CheckRandom(search.random(), checker, rules);
      break;
    case v1::Search::kLinear:
      CheckLinear(search.linear(), checker, rules);
      break;
    case v1::Search::METHOD_NOT_SET:
      rules.Add("search", "must be one of grid, random, linear, or left out");
      return;
  }
  CheckObjective(spec, rules);
  if (search.has_max_parallel_trials()) {
    rules.InRange("search.max_parallel_trials", search.max_parallel_trials(),
                  Closed(1, kTrialsMax));
  }
}

}  // namespace cvtrain::plan
