#ifndef CVTRAIN_PLAN_RECIPE_DEFAULTS_H_
#define CVTRAIN_PLAN_RECIPE_DEFAULTS_H_

namespace cvtrain::v1 {
class Augmentation;
class ExperimentSpec;
class Optimizer;
class Recipe;
}  // namespace cvtrain::v1

namespace cvtrain::plan {

// Writes every default that recipe.proto names and that does not need the data
// set. `spec` is valid. Doing it twice changes nothing more. Internal to the
// folder: others call Resolve(). Pure; thread-safe.
void WriteDefaults(v1::ExperimentSpec& spec);

// Its part for how weights change: training_defaults.cc. A search may have brought in something by
// a single field of it, so trials call it too.
void WriteTrainingDefaults(v1::Recipe& recipe);

// Weight decay of the network.
double WeightDecayOf(const v1::Optimizer& optimizer);

// Its part for the augmentations: augmentation_defaults.cc.
void WriteAugmentationDefaults(double network_weight_decay, v1::Augmentation& augmentation);

// Of what is in `augmentation` and is off by default, whatever is not given: a
// search may have brought in a jitter, a policy, erasing or mixing by a single
// field of it.
void CompleteAugmentation(v1::Augmentation& augmentation);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_RECIPE_DEFAULTS_H_
