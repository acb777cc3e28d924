#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/limits.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/network/model_rules.h"
#include "plan/recipe/checks.h"

namespace cvtrain::plan {
namespace {

constexpr int kEpochsMax = 100'000;
constexpr double kRateMax = 10;
constexpr double kWarmupStepsMax = 10'000'000;

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

void CheckOptimizer(const v1::Optimizer& optimizer, Rules& rules) {
  if (optimizer.kind_case() == v1::Optimizer::KIND_NOT_SET) {
    rules.Add("recipe.optimizer", "must be one of sgd, or left out");
    return;
  }
  const v1::Sgd& sgd = optimizer.sgd();
  rules.InRange("recipe.optimizer.sgd.momentum", sgd.momentum(), Below(0, 1));
  rules.InRange("recipe.optimizer.sgd.weight_decay", sgd.weight_decay(), Closed(0, 1));
  if (sgd.nesterov() && sgd.has_momentum() && sgd.momentum() == 0) {
    rules.Add("recipe.optimizer.sgd.nesterov", "needs a momentum over 0");
  }
}

void CheckCosine(const v1::CosineRate& cosine, int epochs, Rules& rules) {
  const std::string path = "recipe.learning_rate.cosine";
  rules.Required(path + ".max", cosine.max() != 0, cosine.max(), Above(0, kRateMax));
  if (cosine.max() > 0) {
    rules.InRange(path + ".min", cosine.min(), Closed(0, cosine.max()));
    rules.InRange(path + ".warmup_init", cosine.warmup_init(), Closed(0, cosine.max()));
  }
  rules.InRange(path + ".warmup_steps", static_cast<double>(cosine.warmup_steps()),
                Closed(0, kWarmupStepsMax));
  rules.InRange(path + ".warmup_epochs", cosine.warmup_epochs(),
                Closed(0, epochs > 0 ? epochs : kEpochsMax));
  if (cosine.warmup_steps() > 0 && cosine.warmup_epochs() > 0) {
    rules.Add(path + ".warmup_epochs", "cannot be given together with warmup_steps");
  }
}

void CheckLearningRate(const v1::LearningRate& rate, int epochs, Rules& rules) {
  switch (rate.kind_case()) {
    case v1::LearningRate::kCosine:
      CheckCosine(rate.cosine(), epochs, rules);
      return;
    case v1::LearningRate::kConstant: {
      const v1::ConstantRate& constant = rate.constant();
      const std::string path = "recipe.learning_rate.constant";
      rules.Required(path + ".value", constant.value() != 0, constant.value(), Above(0, kRateMax));
      rules.InRange(path + ".warmup_steps", static_cast<double>(constant.warmup_steps()),
                    Closed(0, kWarmupStepsMax));
      return;
    }
    case v1::LearningRate::KIND_NOT_SET:
      rules.Add("recipe.learning_rate", "is required: one of cosine, constant");
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
  if (recipe.has_optimizer()) CheckOptimizer(recipe.optimizer(), rules);
  CheckLearningRate(recipe.learning_rate(), epochs, rules);
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
