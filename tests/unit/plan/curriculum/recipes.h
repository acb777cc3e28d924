#ifndef CVTRAIN_TESTS_UNIT_PLAN_CURRICULUM_RECIPES_H_
#define CVTRAIN_TESTS_UNIT_PLAN_CURRICULUM_RECIPES_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "cvtrain/v1/recipe.pb.h"
#include "plan/curriculum/forecast.h"
#include "plan/curriculum/scale_set.h"
#include "plan/curriculum/trial_plan.h"

namespace cvtrain::plan {

// Recipes of the reference vectors, in few words.

inline constexpr Scale kBase = {224, 224, 128};

inline v1::Recipe SingleScaleRecipe(const Scale& base, int epochs) {
  v1::Recipe recipe;
  recipe.set_task(v1::Recipe::TASK_CLASSIFICATION);
  recipe.set_epochs(epochs);
  recipe.set_seed(7);
  v1::SizedBatch& size = *recipe.mutable_sampler()->mutable_single_scale();
  size.set_height(base.height);
  size.set_width(base.width);
  size.set_batch_size(base.batch_size);
  return recipe;
}

struct RangeOptions {
  int min = 128;
  int max = 320;
  int count = 5;
  int divisible_by = 32;
};

inline v1::Recipe MultiScaleRecipe(const Scale& base, const RangeOptions& range, int epochs) {
  v1::Recipe recipe = SingleScaleRecipe(base, epochs);
  const v1::SizedBatch size = recipe.sampler().single_scale();
  v1::MultiScale& multi_scale = *recipe.mutable_sampler()->mutable_multi_scale();
  *multi_scale.mutable_base() = size;
  multi_scale.mutable_scales()->set_min(range.min);
  multi_scale.mutable_scales()->set_max(range.max);
  multi_scale.mutable_scales()->set_count(range.count);
  multi_scale.mutable_scales()->set_divisible_by(range.divisible_by);
  return recipe;
}

inline v1::LinearGrowth& Grow(v1::Recipe& recipe) {
  return *recipe.mutable_sampler()->mutable_multi_scale()->mutable_curriculum()->mutable_linear();
}

inline v1::CurriculumStage& AddStage(v1::Recipe& recipe, int from_epoch, int min, int max) {
  v1::CurriculumStage& stage = *recipe.mutable_sampler()
                                    ->mutable_multi_scale()
                                    ->mutable_curriculum()
                                    ->mutable_stages()
                                    ->add_list();
  stage.set_from_epoch(from_epoch);
  stage.mutable_scales()->set_min(min);
  stage.mutable_scales()->set_max(max);
  return stage;
}

inline TrialPlan Plan(const v1::Recipe& recipe, int64_t images, int32_t logical_ranks = 1) {
  return PlanTrial(recipe, {.images = images, .logical_ranks = logical_ranks}).value();
}

// (size, batch) of square scales.
inline std::vector<std::pair<int, int>> Pairs(const std::vector<Scale>& scales) {
  std::vector<std::pair<int, int>> pairs;
  for (const Scale& scale : scales) pairs.emplace_back(scale.height, scale.batch_size);
  return pairs;
}

}  // namespace cvtrain::plan

#endif  // CVTRAIN_TESTS_UNIT_PLAN_CURRICULUM_RECIPES_H_
