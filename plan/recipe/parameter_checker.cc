#include "plan/recipe/parameter_checker.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/text.h"
#include "plan/recipe/validate.h"

namespace cvtrain::plan {
namespace {

// Values whose whole recipe is judged at submission; those of a longer list are
// judged when their trial is made.
constexpr int kValuesTriedMax = 256;

// Parts of a recipe that are the same in all trials of an experiment.
constexpr absl::string_view kFixedPaths[] = {"recipe.task", "recipe.dataset"};

}  // namespace

ParameterChecker::ParameterChecker(const v1::ExperimentSpec& spec, Rules& rules)
    : spec_(spec), rules_(rules) {
  for (const FieldViolation& violation : ValidateRecipe(spec.recipe())) {
    known_.insert(violation.field);
  }
}

bool ParameterChecker::CheckName(const std::string& field, const std::string& path,
                                 FieldType& type) {
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

bool ParameterChecker::CheckNumberName(const std::string& field, const std::string& path,
                                       FieldType& type) {
  if (!CheckName(field, path, type)) return false;
  if (type.kind == FieldType::Kind::kNumber || type.kind == FieldType::Kind::kInteger) return true;
  rules_.Add(field, absl::StrCat("must be a number: the field is ", ToString(type)));
  return false;
}

void ParameterChecker::CheckValue(const std::string& field, const std::string& path,
                                  const std::string& value) {
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

void ParameterChecker::CheckValues(const std::string& field, const std::string& path,
                                   const google::protobuf::RepeatedPtrField<std::string>& values) {
  if (!CheckCount(field, values.size(), kSearchTrialsMax, rules_)) return;
  std::set<std::string> seen;
  for (int i = 0; i < values.size(); ++i) {
    const std::string entry = absl::StrCat(field, ".", i);
    if (!seen.insert(values.Get(i)).second) {
      rules_.Add(entry, "is given twice", SafeText(values.Get(i), 64));
      return;
    }
    CheckValue(entry, path, values.Get(i));
  }
}

bool CheckCount(const std::string& field, int count, int max, Rules& rules) {
  if (count >= 1 && count <= max) return true;
  rules.Add(field, absl::StrCat("must have 1 to ", max, " entries"), absl::StrCat(count));
  return false;
}

}  // namespace cvtrain::plan
