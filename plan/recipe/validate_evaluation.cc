#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/recipe/checks.h"

namespace cvtrain::plan {
namespace {

constexpr int kSizesMax = 16;
constexpr int kConditionsMax = 32;
constexpr int kPairsMax = 200;
constexpr int kConfusionClassesMax = 128;
constexpr double kSyntheticStepsMax = 100'000'000;

void CheckSizes(const v1::Evaluation& evaluation, Rules& rules) {
  const std::string path = "recipe.evaluation.sizes";
  if (evaluation.sizes_size() > kSizesMax) {
    rules.Add(path, absl::StrCat("must have at most ", kSizesMax, " entries"),
              absl::StrCat(evaluation.sizes_size()));
    return;
  }
  std::set<int> crops;
  for (int i = 0; i < evaluation.sizes_size(); ++i) {
    const v1::EvaluationSize& size = evaluation.sizes(i);
    const std::string entry = absl::StrCat(path, ".", i);
    rules.Required(entry + ".crop", size.crop() != 0, size.crop(), Closed(8, 4096));
    if (size.crop() != 0 && !crops.insert(size.crop()).second) {
      rules.Add(entry + ".crop", "is given twice", absl::StrCat(size.crop()));
    }
    if (size.has_resize() && size.crop() > 0) {
      rules.InRange(entry + ".resize", size.resize(), Closed(size.crop(), 8192));
    }
  }
}

constexpr const char* kForCorruption = "is only for a condition with a corruption";

void CheckSeverities(const v1::EvaluationCondition& condition, const std::string& path,
                     Rules& rules) {
  std::set<int> severities;
  for (int i = 0; i < condition.severities_size(); ++i) {
    const int severity = condition.severities(i);
    const std::string entry = absl::StrCat(path, ".", i);
    rules.InRange(entry, severity, Closed(1, 5));
    if (!severities.insert(severity).second) {
      rules.Add(entry, "is given twice", absl::StrCat(severity));
    }
  }
}

void CheckCorruption(const v1::EvaluationCondition& condition, const std::string& entry,
                     Rules& rules) {
  if (condition.corruption() == v1::EvaluationCondition::CORRUPTION_UNSPECIFIED) {
    if (!condition.severities().empty()) rules.Add(entry + ".severities", kForCorruption);
    if (condition.levels() != v1::EvaluationCondition::LEVELS_UNSPECIFIED) {
      rules.Add(entry + ".levels", kForCorruption);
    }
    return;
  }
  CheckSeverities(condition, entry + ".severities", rules);
  if (condition.noise() > 0) {
    rules.Add(entry + ".corruption",
              "cannot be given together with noise: make a condition of each");
  }
  if (condition.name() == "clean") {
    rules.Add(entry + ".corruption", "must not be given for condition clean: name it otherwise");
  }
}

void CheckConditions(const v1::Evaluation& evaluation, Rules& rules) {
  const std::string path = "recipe.evaluation.conditions";
  if (evaluation.conditions_size() > kConditionsMax) {
    rules.Add(path, absl::StrCat("must have at most ", kConditionsMax, " entries"),
              absl::StrCat(evaluation.conditions_size()));
    return;
  }
  std::set<std::string> names;
  for (int i = 0; i < evaluation.conditions_size(); ++i) {
    const v1::EvaluationCondition& condition = evaluation.conditions(i);
    const std::string entry = absl::StrCat(path, ".", i);
    rules.Label(entry + ".name", condition.name());
    if (condition.name() == "mean") {
      rules.Add(entry + ".name", "must not be mean: that is the mean over conditions");
    } else if (!condition.name().empty() && !names.insert(condition.name()).second) {
      rules.Add(entry + ".name", "is given twice", condition.name());
    }
    rules.InRange(entry + ".noise", condition.noise(), Closed(0, 1));
    if (condition.name() == "clean" && condition.noise() > 0) {
      rules.Add(entry + ".noise", "must be 0 for condition clean", absl::StrCat(condition.noise()));
    }
    CheckCorruption(condition, entry, rules);
  }
}

}  // namespace

void CheckEvaluation(const v1::Recipe& recipe, Rules& rules) {
  const v1::Evaluation& evaluation = recipe.evaluation();
  if (evaluation.has_every_epochs()) {
    const int epochs_max = recipe.epochs() >= 1 ? recipe.epochs() : 100'000;
    rules.InRange("recipe.evaluation.every_epochs", evaluation.every_epochs(),
                  Closed(1, epochs_max));
  }
  CheckSizes(evaluation, rules);
  CheckConditions(evaluation, rules);
  if (evaluation.has_batch_size()) {
    rules.InRange("recipe.evaluation.batch_size", evaluation.batch_size(), Closed(1, 65'536));
  }
  // Each has four series, and a trial has at most 1,000.
  if (evaluation.sizes_size() * evaluation.conditions_size() > kPairsMax) {
    rules.Add("recipe.evaluation.conditions",
              absl::StrCat("must give at most ", kPairsMax, " pairs with sizes"),
              absl::StrCat(evaluation.sizes_size() * evaluation.conditions_size()));
  }
  if (evaluation.confusion_matrix() && recipe.model().num_classes() > kConfusionClassesMax) {
    rules.Add("recipe.evaluation.confusion_matrix",
              absl::StrCat("needs at most ", kConfusionClassesMax, " classes: leave it out"),
              absl::StrCat(recipe.model().num_classes(), " classes"));
  }
}

void CheckCheckpoint(const v1::Recipe& recipe, Rules& rules) {
  const v1::CheckpointPolicy& checkpoint = recipe.checkpoint();
  if (checkpoint.has_every()) {
    const v1::CheckpointInterval& every = checkpoint.every();
    if (every.epochs() < 0 || every.steps() < 0 || (every.epochs() > 0) == (every.steps() > 0)) {
      rules.Add("recipe.checkpoint.every", "must have exactly one of epochs, steps over 0",
                absl::StrCat("epochs ", every.epochs(), ", steps ", every.steps()));
    }
  }
  rules.InRange("recipe.checkpoint.keep_best", checkpoint.keep_best(), Closed(0, 100));
  if (checkpoint.has_keep_last()) {
    rules.InRange("recipe.checkpoint.keep_last", checkpoint.keep_last(), Closed(1, 100));
  }
}

void CheckSynthetic(const v1::Recipe& recipe, Rules& rules) {
  const v1::Synthetic& synthetic = recipe.synthetic();
  const std::string path = "recipe.synthetic";
  rules.Required(path + ".steps", synthetic.steps() != 0, static_cast<double>(synthetic.steps()),
                 Closed(1, kSyntheticStepsMax));
  const double steps = synthetic.steps() > 0 ? static_cast<double>(synthetic.steps()) : 1;
  rules.InRange(path + ".step_time_ms", synthetic.step_time_ms(), Closed(0, 600'000));
  if (synthetic.has_steps_per_epoch()) {
    rules.InRange(path + ".steps_per_epoch", static_cast<double>(synthetic.steps_per_epoch()),
                  Closed(1, steps));
    // Epochs are counted in 32 bits everywhere.
    if (synthetic.steps_per_epoch() > 0 &&
        steps / static_cast<double>(synthetic.steps_per_epoch()) > 100'000) {
      rules.Add(path + ".steps_per_epoch", "must give at most 100000 epochs",
                absl::StrCat(synthetic.steps_per_epoch()));
    }
  }
  if (synthetic.has_fail_at_step()) {
    rules.InRange(path + ".fail_at_step", static_cast<double>(synthetic.fail_at_step()),
                  Closed(0, steps));
  } else if (synthetic.has_fail_attempts() || synthetic.failure() != 0) {
    rules.Add(path + ".fail_at_step", "is required with fail_attempts or failure");
  }
  rules.InRange(path + ".fail_attempts", synthetic.fail_attempts(), Closed(0, 1'000'000));
  rules.InRange(path + ".checkpoint_bytes", static_cast<double>(synthetic.checkpoint_bytes()),
                Closed(0, static_cast<double>(int64_t{1} << 30)));
}

}  // namespace cvtrain::plan
