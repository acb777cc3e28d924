#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/text.h"
#include "plan/recipe/parameter_checker.h"
#include "plan/recipe/search_points.h"
#include "plan/recipe/search_space.h"
#include "plan/rules/number_text.h"

namespace cvtrain::plan {
namespace {

constexpr int kWhenMax = 4;
constexpr int kConstraintsMax = 16;

constexpr char kDistributions[] = "needs one of uniform, log_uniform, integer, log_integer, choice";

void CheckNumberRange(const std::string& path, const v1::RandomParameter& parameter,
                      const FieldType& type, ParameterChecker& checker) {
  Rules& rules = checker.rules();
  const bool is_log = parameter.has_log_uniform();
  const v1::NumberRange& range = is_log ? parameter.log_uniform() : parameter.uniform();
  const std::string field = absl::StrCat(path, is_log ? ".log_uniform" : ".uniform");
  const bool by_steps = range.has_step() && !is_log;
  if (type.kind != FieldType::Kind::kNumber &&
      !(type.kind == FieldType::Kind::kInteger && by_steps)) {
    rules.Add(field, absl::StrCat("must not be given: the parameter is ", ToString(type)));
    return;
  }
  if (is_log && range.has_step()) {
    rules.Add(field + ".step", "must not be given: use uniform, or log_integer");
    return;
  }
  if (range.has_step() && !(range.step() > 0)) {
    rules.Add(field + ".step", "must be positive", absl::StrCat(range.step()));
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
  checker.CheckValue(field + ".min", parameter.parameter(), FormatNumber(range.min()));
  if (by_steps) {
    const double last = std::floor((range.max() - range.min()) / range.step() + 1e-6);
    checker.CheckValue(field + ".max", parameter.parameter(),
                       PointText(range.min() + last * range.step()));
    if (last >= 1) {
      checker.CheckValue(field + ".step", parameter.parameter(),
                         PointText(range.min() + range.step()));
    }
  } else if (range.min() < range.max()) {
    // `max` itself is never drawn, but it is where the values end.
    checker.CheckValue(field + ".max", parameter.parameter(),
                       FormatNumber(std::nextafter(range.max(), range.min())));
  }
}

void CheckIntegerRange(const std::string& path, const v1::RandomParameter& parameter,
                       const FieldType& type, ParameterChecker& checker) {
  Rules& rules = checker.rules();
  const bool is_log = parameter.has_log_integer();
  const v1::IntegerRange& range = is_log ? parameter.log_integer() : parameter.integer();
  const std::string field = absl::StrCat(path, is_log ? ".log_integer" : ".integer");
  if (type.kind != FieldType::Kind::kInteger && type.kind != FieldType::Kind::kNumber) {
    rules.Add(field, absl::StrCat("must not be given: the parameter is ", ToString(type)));
    return;
  }
  if (is_log && range.min() < 1) {
    rules.Add(field + ".min", "must be positive", absl::StrCat(range.min()));
    return;
  }
  if (range.min() > range.max()) {
    rules.Add(field + ".max", absl::StrCat("must be at least min, ", range.min()),
              absl::StrCat(range.max()));
    return;
  }
  checker.CheckValue(field + ".min", parameter.parameter(), absl::StrCat(range.min()));
  checker.CheckValue(field + ".max", parameter.parameter(), absl::StrCat(range.max()));
}

void CheckDistribution(const std::string& path, const v1::RandomParameter& parameter,
                       const FieldType& type, ParameterChecker& checker) {
  switch (parameter.distribution_case()) {
    case v1::RandomParameter::kUniform:
    case v1::RandomParameter::kLogUniform:
      CheckNumberRange(path, parameter, type, checker);
      break;
    case v1::RandomParameter::kInteger:
    case v1::RandomParameter::kLogInteger:
      CheckIntegerRange(path, parameter, type, checker);
      break;
    case v1::RandomParameter::kChoice:
      checker.CheckValues(path + ".choice.values", parameter.parameter(),
                          parameter.choice().values());
      break;
    case v1::RandomParameter::DISTRIBUTION_NOT_SET:
      checker.rules().Add(path, kDistributions);
  }
}

// Those that `when` and constraints may name, by path.
using Known = std::map<std::string, const v1::RandomParameter*>;

void CheckWhen(const std::string& path, const v1::RandomParameter& parameter, const Known& before,
               Rules& rules) {
  if (parameter.when_size() > kWhenMax) {
    rules.Add(path + ".when", absl::StrCat("must have at most ", kWhenMax, " entries"),
              absl::StrCat(parameter.when_size()));
    return;
  }
  for (int i = 0; i < parameter.when_size(); ++i) {
    const v1::Condition& condition = parameter.when(i);
    const std::string entry = absl::StrCat(path, ".when.", i);
    const auto found = before.find(condition.parameter());
    if (found == before.end() || !found->second->has_choice()) {
      rules.Add(entry + ".parameter", "must be a parameter with a choice that is listed before",
                absl::StrCat("'", SafeText(condition.parameter(), 128), "'"));
      continue;
    }
    if (!CheckCount(entry + ".values", condition.values_size(), kSearchTrialsMax, rules)) continue;
    const auto& choices = found->second->choice().values();
    for (int j = 0; j < condition.values_size(); ++j) {
      if (std::find(choices.begin(), choices.end(), condition.values(j)) != choices.end()) continue;
      rules.Add(absl::StrCat(entry, ".values.", j), "must be a value of that choice",
                SafeText(condition.values(j), 64));
    }
  }
}

bool IsNumber(const v1::RandomParameter& parameter, const FieldType& type) {
  return !parameter.has_choice() || type.kind == FieldType::Kind::kNumber ||
         type.kind == FieldType::Kind::kInteger;
}

void CheckConstraint(const std::string& entry, const v1::Constraint& constraint,
                     const std::map<std::string, bool>& is_number, Rules& rules) {
  if (!CheckCount(entry + ".terms", constraint.terms_size(), kSearchParametersMax, rules)) return;
  for (int i = 0; i < constraint.terms_size(); ++i) {
    const v1::ConstraintTerm& term = constraint.terms(i);
    const std::string path = absl::StrCat(entry, ".terms.", i);
    const auto found = is_number.find(term.parameter());
    if (found == is_number.end() || !found->second) {
      rules.Add(path + ".parameter", "must be a number among the parameters of the search",
                absl::StrCat("'", SafeText(term.parameter(), 128), "'"));
    }
    if (term.has_factor() && term.factor() == 0) rules.Add(path + ".factor", "must not be 0");
  }
  if (!constraint.has_min() && !constraint.has_max()) {
    rules.Add(entry, "needs at least one of min, max");
  } else if (constraint.has_min() && constraint.has_max() && constraint.min() > constraint.max()) {
    rules.Add(entry + ".max",
              absl::StrCat("must be at least min, ", FormatNumber(constraint.min())),
              FormatNumber(constraint.max()));
  }
}

std::string MethodPath(const v1::Search& search) {
  const google::protobuf::FieldDescriptor* field =
      v1::Search::descriptor()->FindFieldByNumber(static_cast<int>(search.method_case()));
  return absl::StrCat("search.", field->name());
}

template <typename Rungs>
void CheckRungs(const Rungs& method, ParameterChecker& checker) {
  const std::string path = MethodPath(checker.spec().search());
  Rules& rules = checker.rules();
  if (method.has_reduction_factor()) {
    rules.InRange(path + ".reduction_factor", method.reduction_factor(), Closed(2, 100));
    if (method.reduction_factor() < 2) return;
  }
  const int32_t epochs = EpochsOf(checker.spec().recipe());
  if (method.has_min_epochs() && (method.min_epochs() < 1 || method.min_epochs() >= epochs)) {
    rules.Add(path + ".min_epochs",
              absl::StrCat("must be at least 1 and less than the epochs of the recipe, ", epochs,
                           ": else no trial could be stopped at a rung"),
              absl::StrCat(method.min_epochs()));
    return;
  }
  if (SearchRungs(checker.spec()).empty()) {
    rules.Add(path,
              absl::StrCat("has no room for a rung in ", epochs, epochs == 1 ? " epoch" : " epochs",
                           ": train longer, evaluate more often, or use random, sobol or tpe"));
  }
}

void CheckTpe(const v1::TpeSearch& tpe, Rules& rules) {
  if (tpe.has_startup_trials()) {
    rules.InRange("search.tpe.startup_trials", tpe.startup_trials(), Closed(1, 1000));
  }
  if (tpe.has_candidates()) {
    rules.InRange("search.tpe.candidates", tpe.candidates(), Closed(1, 1000));
  }
}

}  // namespace

void CheckSearchSpace(ParameterChecker& checker) {
  const v1::Search& search = checker.spec().search();
  Rules& rules = checker.rules();
  const std::string method = MethodPath(search);
  const size_t violations_before = rules.violations().size();
  const SearchSpace space = *SearchSpace::Of(search);
  v1::Search plain = search;
  plain.clear_replicates();
  plain.clear_racing();
  const int64_t trials = SearchTrialCount(plain);
  rules.Required(method + ".trials", trials != 0, static_cast<double>(trials),
                 Closed(1, kSearchTrialsMax));
  if (!CheckCount(method + ".parameters", static_cast<int>(space.size()), kSearchParametersMax,
                  rules)) {
    return;
  }
  Known before;
  std::map<std::string, bool> is_number;
  for (size_t i = 0; i < space.size(); ++i) {
    const v1::RandomParameter& parameter = space.parameter(i);
    const std::string path = absl::StrCat(method, ".parameters.", i);
    FieldType type;
    if (!checker.CheckName(path + ".parameter", parameter.parameter(), type)) continue;
    CheckDistribution(path, parameter, type, checker);
    CheckWhen(path, parameter, before, rules);
    before[parameter.parameter()] = &parameter;
    is_number[parameter.parameter()] = IsNumber(parameter, type);
  }
  const auto& constraints = space.constraints();
  if (constraints.size() > kConstraintsMax) {
    rules.Add(method + ".constraints",
              absl::StrCat("must have at most ", kConstraintsMax, " entries"),
              absl::StrCat(constraints.size()));
    return;
  }
  for (size_t i = 0; i < constraints.size(); ++i) {
    CheckConstraint(absl::StrCat(method, ".constraints.", i), constraints[i], is_number, rules);
  }
  if (search.has_tpe()) CheckTpe(search.tpe(), rules);
  if (search.has_asha()) CheckRungs(search.asha(), checker);
  if (search.has_hyperband()) CheckRungs(search.hyperband(), checker);
  if (rules.violations().size() > violations_before || constraints.empty()) return;
  if (!space.Draw(0, 0)) {
    rules.Add(method + ".constraints",
              absl::StrCat("leave too little: none of ", SearchSpace::kDrawsMax,
                           " draws of the parameters met them; narrow the ranges instead"));
  }
}

}  // namespace cvtrain::plan
