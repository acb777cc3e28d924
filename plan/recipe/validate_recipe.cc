#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/limits.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/network/model_rules.h"
#include "plan/recipe/checks.h"

namespace cvtrain::plan {
namespace {

bool IsDigest(absl::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == absl::string_view::npos;
}

void CheckDataset(const v1::DatasetSource& dataset, Rules& rules) {
  rules.Label("recipe.dataset.name", dataset.name());
  if (dataset.version() < 0) {
    rules.Add("recipe.dataset.version", "must be 0 (the newest) or a version",
              absl::StrCat(dataset.version()));
  }
  if (!dataset.digest().empty() && !IsDigest(dataset.digest())) {
    rules.Add("recipe.dataset.digest", "must be left out, or 64 lower-case hex digits");
  }
  rules.OptionalLabel("recipe.dataset.train_split", dataset.train_split());
  rules.OptionalLabel("recipe.dataset.validation_split", dataset.validation_split());
}

void CheckModel(const v1::Model& model, Rules& rules) {
  CheckModelFamily(model, rules);
  if (model.has_num_classes()) {
    rules.InRange("recipe.model.num_classes", model.num_classes(),
                  Closed(1, limits::kClassesPerDatasetMax));
  }
}

void CheckClassification(const v1::Recipe& recipe, Rules& rules) {
  CheckDataset(recipe.dataset(), rules);
  CheckModel(recipe.model(), rules);
  rules.Required("recipe.epochs", recipe.has_epochs(), recipe.epochs(), Closed(1, kEpochsMax));
  const int epochs = recipe.epochs() >= 1 && recipe.epochs() <= kEpochsMax ? recipe.epochs() : 0;
  CheckSampler(recipe.sampler(), epochs, rules);
  CheckAugmentation(recipe.augmentation(), rules);
  rules.InRange("recipe.loss.label_smoothing", recipe.loss().label_smoothing(), Below(0, 1));
  CheckTraining(recipe, epochs, rules);
  CheckEvaluation(recipe, rules);
  if (recipe.has_synthetic()) {
    rules.Add("recipe.synthetic", "is only for task synthetic");
  }
}

}  // namespace

void CheckRecipe(const v1::Recipe& recipe, Rules& rules) {
  switch (recipe.task()) {
    case v1::Recipe::TASK_CLASSIFICATION:
      CheckClassification(recipe, rules);
      break;
    case v1::Recipe::TASK_SYNTHETIC:
      CheckSynthetic(recipe, rules);
      break;
    default:
      rules.Add("recipe.task", "is required: one of classification, synthetic");
      return;
  }
  CheckCheckpoint(recipe, rules);
}

}  // namespace cvtrain::plan
