#ifndef CVTRAIN_PLAN_RECIPE_RESOLVE_H_
#define CVTRAIN_PLAN_RECIPE_RESOLVE_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace cvtrain::v1 {
class ExperimentSpec;
class Recipe;
}  // namespace cvtrain::v1

namespace cvtrain::plan {

// Version of everything that decides which numbers a trial sees: epoch order,
// sampler draws, augmentation keys, schedules. An attempt never runs under
// another version than its trial began with. Raise it with any change of a
// golden value in tests/unit/plan/curriculum.
inline constexpr int kPlanVersion = 1;

// What resolving needs to know of the data set.
struct DatasetFacts {
  int64_t version = 0;
  // SHA-256 in lower-case hex.
  std::string digest;
  int32_t num_classes = 0;
  // Images by name of the split.
  std::map<std::string, int64_t> images_by_split;
};

// Writes every default of recipe.proto into `spec`, and the facts of its data
// set. `spec` must be valid (Validate()). Defaults that follow from another
// field (evaluation size, logical ranks, weight decay of the six scalars) follow
// the recipe as submitted: a search over the other field does not move them, so
// that its trials stay comparable.
//
// `facts` are those of recipe.dataset, ignored for a synthetic task. Resolving
// twice changes nothing more.
//
// Returns INVALID_ARGUMENT (RECIPE_INVALID), changing nothing, if the recipe
// does not fit the facts: a split that does not exist or is empty, fewer classes
// than the data set has, another version or digest, more steps than
// TrialPlan::kStepsMax, a budget in FLOPs that ends before the first rung or trial; (UNKNOWN_NAME)
// for the split alone, with the nearest names.
absl::Status Resolve(v1::ExperimentSpec* spec, const DatasetFacts& facts);

// The recipe of one trial: that of the resolved `spec` with the search's
// `parameters` (path of a field of ExperimentSpec -> value as in YAML) set, and
// with the defaults of an augmentation that they bring in.
//
// Returns INVALID_ARGUMENT as SetField(), and (RECIPE_INVALID) if the recipe
// that results is not valid.
absl::StatusOr<v1::Recipe> ConcreteRecipe(const v1::ExperimentSpec& spec,
                                          const std::map<std::string, std::string>& parameters);

// The bytes that name a resolved recipe: its fields in order of number. Equal
// recipes of one schema have equal bytes.
std::string CanonicalBytes(const v1::Recipe& recipe);

// SHA-256 of CanonicalBytes(), 64 lower-case hex digits.
std::string RecipeDigest(const v1::Recipe& recipe);

// Images of the split that `recipe` trains on; 0 if `facts` has no such split.
int64_t TrainImages(const v1::Recipe& recipe, const DatasetFacts& facts);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_RECIPE_RESOLVE_H_
