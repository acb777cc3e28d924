#ifndef CVTRAIN_PLAN_RECIPE_VALIDATE_H_
#define CVTRAIN_PLAN_RECIPE_VALIDATE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/errors.h"

namespace cvtrain::v1 {
class ExperimentSpec;
class Recipe;
}  // namespace cvtrain::v1

namespace cvtrain::plan {

// The rules of recipe.proto that its types do not say: ranges, what is
// required, what contradicts what. Fields that are not given are judged by
// their defaults, so a recipe may be validated before and after Resolve().
// Pure functions; thread-safe.

// Every broken rule, in the order of the proto; none if `spec` can be run on a
// data set that fits. Includes the recipes that the values of a search make,
// each value alone, for the first 256 of them. Text of any field must be UTF-8
// of at most 1 KiB without control characters.
std::vector<FieldViolation> Validate(const v1::ExperimentSpec& spec);

// The same for the recipe of one trial; paths begin with `recipe.`.
std::vector<FieldViolation> ValidateRecipe(const v1::Recipe& recipe);

// Validate() as a status: OK, or INVALID_ARGUMENT with all violations and the
// reason that ReadExperiment() documents.
absl::Status ValidateExperiment(const v1::ExperimentSpec& spec);

// INVALID_ARGUMENT with `violations`: BAD_RESOURCE_NAME if all of them are about
// names, else RECIPE_INVALID; OK if there are none.
absl::Status ViolationsToStatus(const std::vector<FieldViolation>& violations);

// Advice about a valid experiment that does not stop it: what is legal and
// likely not meant, a sentence each, beginning with the path.
std::vector<std::string> Warnings(const v1::ExperimentSpec& spec);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_RECIPE_VALIDATE_H_
