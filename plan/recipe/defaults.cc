#include "plan/recipe/defaults.h"

#include <algorithm>
#include <cmath>

#include "cvtrain/v1/recipe.pb.h"
#include "plan/network/model_rules.h"
#include "plan/rules/default_macro.h"

namespace cvtrain::plan {
namespace {

void WriteSampler(v1::Sampler& sampler) {
  if (!sampler.has_multi_scale()) return;
  v1::MultiScale& multi_scale = *sampler.mutable_multi_scale();
  v1::ScaleRange& scales = *multi_scale.mutable_scales();
  CVT_DEFAULT(scales, count, 5);
  CVT_DEFAULT(scales, divisible_by, 32);
  CVT_DEFAULT(multi_scale, variable_batch, true);
  CVT_DEFAULT(multi_scale, include_base, true);
  v1::Curriculum& curriculum = *multi_scale.mutable_curriculum();
  switch (curriculum.kind_case()) {
    case v1::Curriculum::kLinear:
      CVT_DEFAULT(*curriculum.mutable_linear(), start_max, scales.min());
      break;
    case v1::Curriculum::kStages:
      for (v1::CurriculumStage& stage : *curriculum.mutable_stages()->mutable_list()) {
        v1::ScaleRange& own = *stage.mutable_scales();
        if (own.min() == 0) own.set_min(scales.min());
        if (own.max() == 0) own.set_max(scales.max());
        CVT_DEFAULT(own, count, scales.count());
        CVT_DEFAULT(own, divisible_by, scales.divisible_by());
        CVT_DEFAULT(stage, include_base, multi_scale.include_base());
      }
      break;
    case v1::Curriculum::KIND_NOT_SET:
      multi_scale.clear_curriculum();  // one range for all epochs
      break;
  }
}

void WriteCorruption(v1::EvaluationCondition& condition) {
  if (condition.severities().empty()) {
    for (int severity = 1; severity <= 5; ++severity) condition.add_severities(severity);
  }
  if (condition.levels() == v1::EvaluationCondition::LEVELS_UNSPECIFIED) {
    condition.set_levels(v1::EvaluationCondition::LEVELS_IMAGENET_C);
  }
}

void WriteEvaluation(const v1::Sampler& sampler, v1::Evaluation& evaluation) {
  CVT_DEFAULT(evaluation, every_epochs, 1);
  if (evaluation.sizes_size() == 0) {
    const v1::SizedBatch& base =
        sampler.has_multi_scale() ? sampler.multi_scale().base() : sampler.single_scale();
    // Crops are square.
    evaluation.add_sizes()->set_crop(std::min(base.height(), base.width()));
  }
  for (v1::EvaluationSize& size : *evaluation.mutable_sizes()) {
    CVT_DEFAULT(size, resize, static_cast<int32_t>(std::lround(size.crop() * 8.0 / 7)));
  }
  if (evaluation.conditions_size() == 0) evaluation.add_conditions()->set_name("clean");
  for (v1::EvaluationCondition& condition : *evaluation.mutable_conditions()) {
    CVT_DEFAULT(condition, noise, 0);
    if (condition.corruption() != v1::EvaluationCondition::CORRUPTION_UNSPECIFIED) {
      WriteCorruption(condition);
    }
  }
  CVT_DEFAULT(evaluation, batch_size, 64);
  CVT_DEFAULT(evaluation, confusion_matrix, false);
}

void WriteCheckpoint(v1::CheckpointPolicy& checkpoint) {
  if (!checkpoint.has_every()) checkpoint.mutable_every()->set_epochs(1);
  CVT_DEFAULT(checkpoint, keep_best, 1);
  CVT_DEFAULT(checkpoint, keep_last, 1);
}

void WriteSynthetic(v1::Synthetic& synthetic) {
  CVT_DEFAULT(synthetic, step_time_ms, 10);
  CVT_DEFAULT(synthetic, steps_per_epoch, synthetic.steps());
  CVT_DEFAULT(synthetic, final_metric, 50);
  CVT_DEFAULT(synthetic, checkpoint_bytes, 1024);
  if (!synthetic.has_fail_at_step()) return;
  CVT_DEFAULT(synthetic, fail_attempts, 1);
  if (synthetic.failure() == v1::Synthetic::FAILURE_UNSPECIFIED) {
    synthetic.set_failure(v1::Synthetic::FAILURE_USER_ERROR);
  }
}

void WriteClassification(v1::Recipe& recipe) {
  v1::DatasetSource& dataset = *recipe.mutable_dataset();
  if (dataset.train_split().empty()) dataset.set_train_split("train");
  if (dataset.validation_split().empty()) dataset.set_validation_split("test");
  WriteModelDefaults(*recipe.mutable_model());
  WriteSampler(*recipe.mutable_sampler());
  WriteTrainingDefaults(recipe);
  WriteAugmentationDefaults(WeightDecayOf(recipe.optimizer()), *recipe.mutable_augmentation());
  CVT_DEFAULT(*recipe.mutable_loss(), label_smoothing, 0);
  WriteEvaluation(recipe.sampler(), *recipe.mutable_evaluation());
}

template <typename Method>
void WriteSpace(uint64_t recipe_seed, Method& method) {
  CVT_DEFAULT(method, seed, recipe_seed);
  for (v1::Constraint& constraint : *method.mutable_constraints()) {
    for (v1::ConstraintTerm& term : *constraint.mutable_terms()) CVT_DEFAULT(term, factor, 1);
  }
}

void WriteScalar(int32_t parallel, v1::ScalarRange& range) { CVT_DEFAULT(range, ahead, parallel); }

void WriteMethod(uint64_t recipe_seed, v1::Search& search) {
  const int32_t parallel = search.max_parallel_trials();
  switch (search.method_case()) {
    case v1::Search::kRandom:
      WriteSpace(recipe_seed, *search.mutable_random());
      break;
    case v1::Search::kSobol:
      WriteSpace(recipe_seed, *search.mutable_sobol());
      break;
    case v1::Search::kTpe:
      WriteSpace(recipe_seed, *search.mutable_tpe());
      CVT_DEFAULT(*search.mutable_tpe(), startup_trials, 10);
      CVT_DEFAULT(*search.mutable_tpe(), candidates, 24);
      break;
    case v1::Search::kAsha:
      WriteSpace(recipe_seed, *search.mutable_asha());
      CVT_DEFAULT(*search.mutable_asha(), min_epochs, 1);
      CVT_DEFAULT(*search.mutable_asha(), reduction_factor, 4);
      break;
    case v1::Search::kHyperband:
      WriteSpace(recipe_seed, *search.mutable_hyperband());
      CVT_DEFAULT(*search.mutable_hyperband(), min_epochs, 1);
      CVT_DEFAULT(*search.mutable_hyperband(), reduction_factor, 3);
      break;
    case v1::Search::kLinear:
      CVT_DEFAULT(*search.mutable_linear(), patience, 0);
      break;
    case v1::Search::kGolden:
      WriteScalar(parallel, *search.mutable_golden()->mutable_over());
      break;
    case v1::Search::kBisect:
      WriteScalar(parallel, *search.mutable_bisect()->mutable_over());
      break;
    case v1::Search::kSecant:
      WriteScalar(parallel, *search.mutable_secant()->mutable_over());
      break;
    case v1::Search::kMonotoneThreshold:
      WriteScalar(parallel, *search.mutable_monotone_threshold()->mutable_over());
      if (search.monotone_threshold().seek() == v1::MonotoneThresholdSearch::SEEK_UNSPECIFIED) {
        search.mutable_monotone_threshold()->set_seek(v1::MonotoneThresholdSearch::SEEK_SMALLEST);
      }
      break;
    case v1::Search::kGrid:
    case v1::Search::METHOD_NOT_SET:
      break;
  }
}

void WriteObjective(v1::Objective& objective) {
  if (objective.at() == v1::Objective::AT_UNSPECIFIED) objective.set_at(v1::Objective::AT_LAST);
}

void WriteSearch(uint64_t recipe_seed, v1::Search& search) {
  CVT_DEFAULT(search, max_parallel_trials, 16);
  CVT_DEFAULT(search, replicates, 1);
  if (search.has_racing()) {
    v1::Racing& racing = *search.mutable_racing();
    CVT_DEFAULT(racing, confidence, 0.95);
    CVT_DEFAULT(racing, min_replicates, std::min(3, search.replicates() - 1));
  }
  WriteObjective(*search.mutable_objective());
  for (v1::Objective& tradeoff : *search.mutable_tradeoffs()) WriteObjective(tradeoff);
  WriteMethod(recipe_seed, search);
}

}  // namespace

void WriteDefaults(v1::ExperimentSpec& spec) {
  if (spec.project().empty()) spec.set_project("default");
  CVT_DEFAULT(spec, priority, 50);
  v1::Resources& resources = *spec.mutable_resources();
  CVT_DEFAULT(resources, slots, 1);
  CVT_DEFAULT(resources, logical_ranks, resources.slots());
  v1::RetryPolicy& retry = *spec.mutable_retry();
  CVT_DEFAULT(retry, user_max, 0);
  CVT_DEFAULT(retry, out_of_memory_max, 1);
  CVT_DEFAULT(retry, infrastructure_max, 20);

  v1::Recipe& recipe = *spec.mutable_recipe();
  CVT_DEFAULT(recipe, seed, 0);
  if (recipe.task() == v1::Recipe::TASK_SYNTHETIC) {
    WriteSynthetic(*recipe.mutable_synthetic());
  } else {
    WriteClassification(recipe);
  }
  WriteCheckpoint(*recipe.mutable_checkpoint());
  if (spec.has_search()) WriteSearch(recipe.seed(), *spec.mutable_search());
}

}  // namespace cvtrain::plan
