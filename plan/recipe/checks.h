#ifndef CVTRAIN_PLAN_RECIPE_CHECKS_H_
#define CVTRAIN_PLAN_RECIPE_CHECKS_H_

#include <string>

#include "plan/rules/rules.h"

namespace google::protobuf {
class Message;
}  // namespace google::protobuf
namespace cvtrain::v1 {
class Augmentation;
class ExperimentSpec;
class Recipe;
class Sampler;
class SizedBatch;
}  // namespace cvtrain::v1

namespace cvtrain::plan {

// The parts of Validate(). Internal to the folder.

inline constexpr int kEpochsMax = 100'000;

// Every text is UTF-8 without control characters and at most 1 KiB, every number
// finite, every enum value known. Newlines are allowed in `description`.
void CheckText(const google::protobuf::Message& message, const std::string& path, Rules& rules);

// validate_recipe.cc: all of the recipe, by those below.
void CheckRecipe(const v1::Recipe& recipe, Rules& rules);

// validate_augmentation.cc.
void CheckAugmentation(const v1::Augmentation& augmentation, Rules& rules);

// validate_sampler.cc. `epochs` is 0 if it is not known.
void CheckSampler(const v1::Sampler& sampler, int epochs, Rules& rules);

// validate_training.cc: how weights change. `epochs` is 0 if it is not known.
void CheckTraining(const v1::Recipe& recipe, int epochs, Rules& rules);

// validate_evaluation.cc: evaluation, checkpoints, the synthetic task.
void CheckEvaluation(const v1::Recipe& recipe, Rules& rules);
void CheckCheckpoint(const v1::Recipe& recipe, Rules& rules);
void CheckSynthetic(const v1::Recipe& recipe, Rules& rules);

// validate_search.cc. The recipe of `spec` has been checked.
void CheckSearch(const v1::ExperimentSpec& spec, Rules& rules);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_RECIPE_CHECKS_H_
