#include "coordinator/state/memory_demand.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "coordinator/state/decide_experiment.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/curriculum/forecast.h"
#include "plan/recipe/resolve.h"
#include "plan/recipe/search_points.h"

namespace cvtrain::coordinator {
namespace {

// Whether trials of the search differ in memory: it changes more than what is done to pictures,
// rates and the seed.
bool ChangesMemory(const v1::Search& search) {
  const std::vector<std::string> paths = plan::SearchedPaths(search);
  return std::any_of(paths.begin(), paths.end(), [](const std::string& path) {
    return !absl::StartsWith(path, "recipe.augmentation.") &&
           !absl::StartsWith(path, "recipe.learning_rate.") &&
           !absl::StartsWith(path, "recipe.loss.") && path != "recipe.seed";
  });
}

}  // namespace

int64_t PredictRankMemory(const ClusterState& state, const v1::ExperimentSpec& spec) {
  const v1::Recipe& recipe = spec.recipe();
  if (recipe.task() == v1::Recipe::TASK_SYNTHETIC || ChangesMemory(spec.search())) return 0;
  const auto version = state.FindDatasetVersion(
      DatasetVersionName(DatasetName(recipe.dataset().name()), recipe.dataset().version()));
  if (!version.ok()) return 0;
  return plan::LeastMemoryOf(recipe, {.images = plan::TrainImages(recipe, FactsOf(**version)),
                                      .logical_ranks = spec.resources().logical_ranks()})
      .value_or(0);
}

}  // namespace cvtrain::coordinator
