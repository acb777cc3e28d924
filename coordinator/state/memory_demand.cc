#include "coordinator/state/memory_demand.h"

#include "coordinator/state/decide_experiment.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/curriculum/forecast.h"
#include "plan/recipe/resolve.h"

namespace cvtrain::coordinator {

int64_t PredictRankMemory(const ClusterState& state, const v1::ExperimentSpec& spec) {
  const v1::Recipe& recipe = spec.recipe();
  if (recipe.task() == v1::Recipe::TASK_SYNTHETIC) return 0;
  const auto version = state.FindDatasetVersion(
      DatasetVersionName(DatasetName(recipe.dataset().name()), recipe.dataset().version()));
  if (!version.ok()) return 0;
  return plan::PeakMemoryOf(recipe, {.images = plan::TrainImages(recipe, FactsOf(**version)),
                                     .logical_ranks = spec.resources().logical_ranks()})
      .value_or(0);
}

}  // namespace cvtrain::coordinator
