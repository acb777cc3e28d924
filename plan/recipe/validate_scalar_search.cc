#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "plan/recipe/parameter_checker.h"
#include "plan/recipe/search_points.h"
#include "plan/rules/number_text.h"

namespace cvtrain::plan {
namespace {

constexpr int kAlsoMax = 4;
constexpr double kStepsMax = static_cast<double>(kScalarPointsMax - 1);

// False after a violation.
bool CheckValuesInOrder(const std::string& path, const v1::ScalarRange& range, Rules& rules) {
  if (range.has_min() || range.has_max() || range.has_step() || range.has_tolerance()) {
    rules.Add(path + ".values", "cannot be given together with min, max, step and tolerance");
    return false;
  }
  if (range.values_size() < 2 || range.values_size() > kSearchTrialsMax) {
    rules.Add(path + ".values", absl::StrCat("must have 2 to ", kSearchTrialsMax, " entries"),
              absl::StrCat(range.values_size()));
    return false;
  }
  for (int i = 1; i < range.values_size(); ++i) {
    if (range.values(i) > range.values(i - 1)) continue;
    rules.Add(absl::StrCat(path, ".values.", i), "must be above the value before it",
              FormatNumber(range.values(i)));
    return false;
  }
  return true;
}

// False after a violation.
bool CheckBounds(const std::string& path, const v1::ScalarRange& range, const FieldType& type,
                 Rules& rules) {
  if (!range.has_min() || !range.has_max()) {
    rules.Add(range.has_min() ? path + ".max" : path + ".min", "is required (or values instead)");
    return false;
  }
  if (!(range.max() > range.min())) {
    rules.Add(path + ".max", absl::StrCat("must be above min, ", FormatNumber(range.min())),
              FormatNumber(range.max()));
    return false;
  }
  if (range.has_step() == range.has_tolerance()) {
    rules.Add(path, "must have exactly one of step, tolerance, values");
    return false;
  }
  if (range.has_tolerance() && type.kind == FieldType::Kind::kInteger) {
    rules.Add(path + ".tolerance", "must not be given: the parameter is an integer; give a step");
    return false;
  }
  const double width = range.max() - range.min();
  const double step = range.has_step() ? range.step() : range.tolerance();
  const std::string field = path + (range.has_step() ? ".step" : ".tolerance");
  if (!(step > 0)) {
    rules.Add(field, "must be positive", FormatNumber(step));
    return false;
  }
  if (width / step > kStepsMax) {
    rules.Add(field,
              absl::StrCat("must be at least a millionth of the range: ",
                           FormatNumber(width / kStepsMax)),
              FormatNumber(step));
    return false;
  }
  if (range.has_step() && ScalarPoints(range).size() < 2) {
    rules.Add(field, absl::StrCat("must be at most the range, ", FormatNumber(width)),
              FormatNumber(step));
    return false;
  }
  return true;
}

void CheckPoints(const std::string& path, const v1::ScalarRange& range,
                 const std::string& parameter, ParameterChecker& checker) {
  const ScalarPoints points(range);
  if (range.values_size() > 0) {
    for (int64_t i = 0; i < points.size(); ++i) {
      checker.CheckValue(absl::StrCat(path, ".values.", i), parameter, PointText(points.At(i)));
    }
    return;
  }
  checker.CheckValue(path + ".min", parameter, PointText(points.At(0)));
  checker.CheckValue(path + ".max", parameter, PointText(points.At(points.size() - 1)));
  if (range.has_step()) {
    checker.CheckValue(path + ".step", parameter, PointText(points.At(1)));
  }
}

void CheckRange(const std::string& path, const v1::ScalarRange& range, ParameterChecker& checker) {
  Rules& rules = checker.rules();
  FieldType type;
  if (!checker.CheckNumberName(path + ".parameter", range.parameter(), type)) return;
  if (range.also_size() > kAlsoMax) {
    rules.Add(path + ".also", absl::StrCat("must have at most ", kAlsoMax, " entries"),
              absl::StrCat(range.also_size()));
    return;
  }
  rules.InRange(path + ".ahead", range.ahead(), Closed(0, kSearchTrialsMax));
  const bool good = range.values_size() > 0 ? CheckValuesInOrder(path, range, rules)
                                            : CheckBounds(path, range, type, rules);
  // Fields that move together are valid together or not at all: each by itself says nothing.
  if (good && range.also().empty()) CheckPoints(path, range, range.parameter(), checker);
  for (int i = 0; i < range.also_size(); ++i) {
    checker.CheckNumberName(absl::StrCat(path, ".also.", i), range.also(i), type);
  }
}

}  // namespace

void CheckScalarSearch(ParameterChecker& checker) {
  const v1::Search& search = checker.spec().search();
  Rules& rules = checker.rules();
  switch (search.method_case()) {
    case v1::Search::kGolden:
      CheckRange("search.golden.over", search.golden().over(), checker);
      break;
    case v1::Search::kBisect:
      CheckRange("search.bisect.over", search.bisect().over(), checker);
      if (!search.bisect().has_target()) rules.Add("search.bisect.target", "is required");
      break;
    case v1::Search::kSecant:
      CheckRange("search.secant.over", search.secant().over(), checker);
      if (!search.secant().has_target()) rules.Add("search.secant.target", "is required");
      break;
    case v1::Search::kMonotoneThreshold: {
      const v1::MonotoneThresholdSearch& threshold = search.monotone_threshold();
      const std::string path = "search.monotone_threshold";
      CheckRange(path + ".over", threshold.over(), checker);
      if (!threshold.has_margin()) {
        rules.Add(path + ".margin", "is required, such as 0.2");
      } else if (threshold.margin() < 0) {
        rules.Add(path + ".margin", "must be 0 or more", FormatNumber(threshold.margin()));
      }
      break;
    }
    default:
      break;
  }
}

}  // namespace cvtrain::plan
