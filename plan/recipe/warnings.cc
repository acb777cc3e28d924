#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/curriculum/stages.h"
#include "plan/recipe/search_points.h"
#include "plan/recipe/validate.h"

namespace cvtrain::plan {
namespace {

using Lines = std::vector<std::string>;

void WarnOfBase(const ScaleSetOptions& options, Lines& warnings) {
  const Scale& base = options.base;
  const std::string path = "recipe.sampler.multi_scale.base";
  const auto [smaller, larger] = std::minmax(base.height, base.width);
  if (options.include_base && (smaller < options.min || larger > options.max)) {
    warnings.push_back(absl::StrCat(path, ": ", base.height, "x", base.width,
                                    " is outside of the sizes ", options.min, " to ", options.max,
                                    " and is trained at all the same (include_base)"));
  }
  const int32_t height = RoundToDivisor(base.height, options.divisible_by);
  const int32_t width = RoundToDivisor(base.width, options.divisible_by);
  if (options.include_base && (height != base.height || width != base.width)) {
    warnings.push_back(absl::StrCat(path, ": ", base.height, "x", base.width, " is trained as ",
                                    height, "x", width, ", multiples of ", options.divisible_by));
  }
}

void WarnOfSets(const v1::Recipe& recipe, Lines& warnings) {
  const std::vector<StageOptions> stages = StageOptionsOf(recipe.sampler(), recipe.epochs());
  if (stages.empty()) return;
  const ScaleSetOptions& whole = stages.back().options;
  WarnOfBase(whole, warnings);
  const std::vector<Scale> scales = ScaleSet(whole);
  const auto ones = std::count_if(scales.begin(), scales.end(),
                                  [](const Scale& scale) { return scale.batch_size == 1; });
  if (whole.variable_batch && ones > 1) {
    warnings.push_back(absl::StrCat(
        "recipe.sampler.multi_scale.base.batch_size: ", whole.base.batch_size, " leaves ", ones,
        " sizes with batches of 1, which need more memory than the base"));
  }
}

// Of a message with warm-up, `kind` as in the recipe.
template <typename Rate>
void WarnOfWarmUp(absl::string_view kind, const Rate& rate, int32_t epochs, Lines& warnings) {
  if (rate.warmup_epochs() == 0 || rate.warmup_epochs() < epochs) return;
  warnings.push_back(
      absl::StrCat("recipe.learning_rate.", kind, ".warmup_epochs: the whole training is warm-up"));
}

void WarnOfRates(const v1::Recipe& recipe, Lines& warnings) {
  const v1::LearningRate& rates = recipe.learning_rate();
  WarnOfWarmUp("cosine", rates.cosine(), recipe.epochs(), warnings);
  WarnOfWarmUp("constant", rates.constant(), recipe.epochs(), warnings);
  WarnOfWarmUp("step", rates.step(), recipe.epochs(), warnings);
  WarnOfWarmUp("polynomial", rates.polynomial(), recipe.epochs(), warnings);
  const v1::PsnrTarget& target = recipe.augmentation().range_augment().target_psnr();
  const double start = target.has_start() ? target.start() : 40;
  const double end = target.has_end() ? target.end() : 20;
  if (recipe.augmentation().has_range_augment() && end > start) {
    warnings.push_back(
        "recipe.augmentation.range_augment.target_psnr: the images become more similar with "
        "time, since end is above start");
  }
}

int32_t SmallestBatch(const v1::Recipe& recipe) {
  if (recipe.sampler().has_single_scale()) return recipe.sampler().single_scale().batch_size();
  int32_t smallest = recipe.sampler().multi_scale().base().batch_size();
  for (const StageOptions& stage : StageOptionsOf(recipe.sampler(), recipe.epochs())) {
    for (const Scale& scale : ScaleSet(stage.options)) {
      smallest = std::min(smallest, scale.batch_size);
    }
  }
  return smallest;
}

void WarnOfAugmentation(const v1::Recipe& recipe, Lines& warnings) {
  const v1::Augmentation& augmentation = recipe.augmentation();
  const v1::ColorJitter& jitter = augmentation.color_jitter();
  if (augmentation.has_color_jitter() && jitter.brightness() == 0 && jitter.contrast() == 0 &&
      jitter.saturation() == 0 && jitter.hue() == 0) {
    warnings.push_back("recipe.augmentation.color_jitter: changes nothing, since all of it is 0");
  }
  const bool mixes = augmentation.has_mixup() || augmentation.has_cutmix();
  if (mixes && SmallestBatch(recipe) == 1) {
    warnings.push_back(absl::StrCat("recipe.augmentation.",
                                    augmentation.has_mixup() ? "mixup" : "cutmix",
                                    ": a batch of one picture has nothing to be mixed with"));
  }
}

// Forecasts of a trial's time count training only.
void WarnOfEvaluation(const v1::Evaluation& evaluation, Lines& warnings) {
  constexpr int kPassesUnnoticed = 20;
  constexpr int kSeverities = 5;  // of a corruption by default
  int passes = 0;
  for (const v1::EvaluationCondition& condition : evaluation.conditions()) {
    const bool corrupts = condition.corruption() != v1::EvaluationCondition::CORRUPTION_UNSPECIFIED;
    passes += !corrupts                        ? 1
              : condition.severities().empty() ? kSeverities
                                               : condition.severities_size();
  }
  passes *= std::max(evaluation.sizes_size(), 1);
  if (passes > kPassesUnnoticed) {
    warnings.push_back(absl::StrCat("recipe.evaluation: each is ", passes,
                                    " passes over the validation split, one for each size, "
                                    "condition and severity; no forecast counts them"));
  }
}

void WarnOfSearch(const v1::ExperimentSpec& spec, Lines& warnings) {
  const v1::RangeAugment& augment = spec.recipe().augmentation().range_augment();
  const bool follows_network =
      spec.recipe().augmentation().has_range_augment() && !augment.has_weight_decay();
  for (const std::string& path : SearchedPaths(spec.search())) {
    if (absl::StartsWith(path, "recipe.optimizer.") && absl::EndsWith(path, ".weight_decay") &&
        follows_network) {
      warnings.push_back(
          "recipe.augmentation.range_augment.weight_decay: stays at the recipe's weight decay "
          "while the search changes that of the network");
    }
    const bool moves_base = absl::StartsWith(path, "recipe.sampler.") &&
                            (absl::EndsWith(path, ".height") || absl::EndsWith(path, ".width"));
    if (moves_base && spec.recipe().evaluation().sizes_size() == 0) {
      warnings.push_back(absl::StrCat(
          "recipe.evaluation.sizes: all trials are evaluated at the recipe's base size, while "
          "the search changes ",
          path));
    }
  }
}

// Rungs that were moved to epochs with an evaluation.
void WarnOfRungs(const v1::ExperimentSpec& spec, Lines& warnings) {
  const std::vector<int32_t> rungs = SearchRungs(spec);
  v1::ExperimentSpec every_epoch = spec;
  every_epoch.mutable_recipe()->mutable_evaluation()->set_every_epochs(1);
  if (rungs.empty() || rungs == SearchRungs(every_epoch)) return;
  warnings.push_back(absl::StrCat("search.", spec.search().has_asha() ? "asha" : "hyperband",
                                  ": has its rungs after the epochs ", absl::StrJoin(rungs, ", "),
                                  ", where something is evaluated"));
}

void WarnOfSynthetic(const v1::Recipe& recipe, Lines& warnings) {
  if (recipe.has_dataset() || recipe.has_model() || recipe.has_sampler() ||
      recipe.has_learning_rate() || recipe.has_epochs()) {
    warnings.push_back(
        "recipe: task synthetic uses none of dataset, model, sampler, learning_rate, epochs");
  }
}

}  // namespace

std::vector<std::string> Warnings(const v1::ExperimentSpec& spec) {
  Lines warnings;
  const v1::Recipe& recipe = spec.recipe();
  if (recipe.task() == v1::Recipe::TASK_SYNTHETIC) {
    WarnOfSynthetic(recipe, warnings);
    return warnings;
  }
  const std::string& train = recipe.dataset().train_split();
  if (!train.empty() && train == recipe.dataset().validation_split()) {
    warnings.push_back(
        "recipe.dataset.validation_split: the trial is judged by images that it "
        "trains on");
  }
  WarnOfSets(recipe, warnings);
  WarnOfRates(recipe, warnings);
  WarnOfAugmentation(recipe, warnings);
  if (recipe.micro_batches() > SmallestBatch(recipe)) {
    warnings.push_back(absl::StrCat("recipe.micro_batches: ", recipe.micro_batches(),
                                    " parts of a batch of ", SmallestBatch(recipe),
                                    " are as many as it has images"));
  }
  WarnOfEvaluation(recipe.evaluation(), warnings);
  WarnOfSearch(spec, warnings);
  WarnOfRungs(spec, warnings);
  return warnings;
}

}  // namespace cvtrain::plan
