#include "plan/recipe/validate.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "common/limits.h"
#include "common/text.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/recipe/checks.h"
#include "plan/recipe/start_rules.h"

namespace cvtrain::plan {
namespace {

constexpr char kApi[] = "cvtrain/v1";
constexpr char kKind[] = "Experiment";
constexpr int kLabelsMax = 32;
constexpr int kDependenciesMax = 32;

void CheckConstant(absl::string_view field, absl::string_view value, absl::string_view expected,
                   Rules& rules) {
  if (value == expected) return;
  const std::string got = value.empty() ? "" : absl::StrCat("'", SafeText(value, 64), "'");
  rules.Add(std::string(field), absl::StrCat("must be ", expected), got);
}

void CheckLabels(const v1::ExperimentSpec& spec, Rules& rules) {
  if (spec.labels_size() > kLabelsMax) {
    rules.Add("labels", absl::StrCat("must have at most ", kLabelsMax, " entries"),
              absl::StrCat(spec.labels_size()));
    return;
  }
  for (const auto& [key, value] : spec.labels()) {
    rules.Label("labels", key);
    rules.OptionalLabel(absl::StrCat("labels.", SafeText(key, 64)), value);
  }
}

void CheckResources(const v1::Resources& resources, Rules& rules) {
  constexpr int kSlotsMax = limits::kSlotsPerTrialMax;
  const int slots = resources.has_slots() ? resources.slots() : 1;
  rules.InRange("resources.slots", slots, Closed(1, kSlotsMax));
  if (resources.has_logical_ranks() && slots >= 1 && slots <= kSlotsMax) {
    rules.InRange("resources.logical_ranks", resources.logical_ranks(), Closed(slots, kSlotsMax));
  }
}

void CheckRetry(const v1::RetryPolicy& retry, Rules& rules) {
  rules.InRange("retry.user_max", retry.user_max(), Closed(0, 100));
  rules.InRange("retry.out_of_memory_max", retry.out_of_memory_max(), Closed(0, 100));
  rules.InRange("retry.infrastructure_max", retry.infrastructure_max(), Closed(0, 1000));
}

void CheckStartRules(const v1::ExperimentSpec& spec, Rules& rules) {
  if (!spec.begin_after().empty()) {
    const auto begin = ParseBeginTime(spec.begin_after());
    if (!begin.ok()) rules.Add("begin_after", std::string(begin.status().message()));
  }
  if (spec.after_size() > kDependenciesMax) {
    rules.Add("after", absl::StrCat("must have at most ", kDependenciesMax, " entries"),
              absl::StrCat(spec.after_size()));
    return;
  }
  for (int i = 0; i < spec.after_size(); ++i) {
    const auto dependency = ParseDependency(spec.after(i));
    if (!dependency.ok()) {
      rules.Add(absl::StrCat("after.", i), std::string(dependency.status().message()));
    }
  }
}

// Fields that hold a name of something.
bool IsNameField(absl::string_view field) {
  static constexpr std::array<absl::string_view, 5> kNames = {
      "name", "project", "recipe.dataset.name", "recipe.dataset.train_split",
      "recipe.dataset.validation_split"};
  return std::find(kNames.begin(), kNames.end(), field) != kNames.end();
}

}  // namespace

std::vector<FieldViolation> Validate(const v1::ExperimentSpec& spec) {
  Rules rules;
  CheckConstant("api", spec.api(), kApi, rules);
  CheckConstant("kind", spec.kind(), kKind, rules);
  CheckText(spec, "", rules);
  rules.Label("name", spec.name());
  rules.OptionalLabel("project", spec.project());
  CheckLabels(spec, rules);
  const bool has_recipe = spec.has_recipe();
  if (has_recipe) {
    CheckRecipe(spec.recipe(), rules);
  } else {
    rules.Add("recipe", "is required");
  }
  CheckResources(spec.resources(), rules);
  if (spec.has_search()) CheckSearch(spec, rules);
  rules.InRange("priority", spec.priority(), Closed(0, 100));
  CheckRetry(spec.retry(), rules);
  CheckStartRules(spec, rules);
  return rules.violations();
}

std::vector<FieldViolation> ValidateRecipe(const v1::Recipe& recipe) {
  Rules rules;
  CheckText(recipe, "recipe", rules);
  CheckRecipe(recipe, rules);
  return rules.violations();
}

absl::Status ValidateExperiment(const v1::ExperimentSpec& spec) {
  return ViolationsToStatus(Validate(spec));
}

absl::Status ViolationsToStatus(const std::vector<FieldViolation>& violations) {
  // A name that is missing is a gap in the recipe; one that cannot be a name is
  // a bad name.
  const bool are_names =
      std::all_of(violations.begin(), violations.end(), [](const FieldViolation& violation) {
        return IsNameField(violation.field) && !violation.value.empty();
      });
  return FieldViolations(violations, are_names ? Reason::kBadResourceName : Reason::kRecipeInvalid);
}

}  // namespace cvtrain::plan
