#ifndef CVTRAIN_PLAN_RECIPE_DEFAULTS_H_
#define CVTRAIN_PLAN_RECIPE_DEFAULTS_H_

namespace cvtrain::v1 {
class ExperimentSpec;
}  // namespace cvtrain::v1

namespace cvtrain::plan {

// Writes every default that recipe.proto names and that does not need the data
// set. `spec` is valid. Doing it twice changes nothing more. Internal to the
// folder: others call Resolve(). Pure; thread-safe.
void WriteDefaults(v1::ExperimentSpec& spec);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_RECIPE_DEFAULTS_H_
