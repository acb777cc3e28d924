#ifndef CVTRAIN_PLAN_CURRICULUM_FORECAST_H_
#define CVTRAIN_PLAN_CURRICULUM_FORECAST_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "plan/curriculum/trial_plan.h"
#include "plan/network/description.h"
#include "plan/network/memory.h"

namespace cvtrain::v1 {
class PlannedStage;
class Recipe;
}  // namespace cvtrain::v1

namespace cvtrain::plan {

// What a trial will cost, before it starts. Pure functions; thread-safe.

struct TrialFacts {
  // Images of the training split.
  int64_t images = 0;
  int32_t logical_ranks = 1;
};

// The plan of a trial of `recipe`: its curriculum, seed and steps.
//
// Returns INVALID_ARGUMENT (RECIPE_INVALID) as Curriculum::Create and
// TrialPlan::Create do; a synthetic recipe has no plan.
absl::StatusOr<TrialPlan> PlanTrial(const v1::Recipe& recipe, const TrialFacts& facts);

// The stages of a trial with their exact steps and images, their FLOPs and the
// predicted peak of memory. A synthetic recipe has one stage, without sizes,
// FLOPs and memory; its facts are ignored.
//
// Errors as PlanTrial, DescribeNetwork, FrozenLayers and InferShapes.
absl::StatusOr<std::vector<v1::PlannedStage>> PlannedStages(const v1::Recipe& recipe,
                                                            const TrialFacts& facts);

// What memory depends on beside sizes and batches; plan/network/memory.h says more.
struct TrainingMemory {
  int optimizer_state_per_parameter = 1;
  bool averaged = false;
  int32_t micro_batches = 1;
  std::vector<bool> frozen = {};
  bool half_precision = false;
  bool input_has_gradient = false;
};

// That of `recipe`, whose defaults may be missing. Errors as FrozenLayers.
absl::StatusOr<TrainingMemory> TrainingMemoryOf(const v1::Recipe& recipe,
                                                const NetworkDescription& network);

// The memory options of a step of this size and batch of a logical rank.
MemoryOptions MemoryOptionsOf(const TrainingMemory& training, ImageSize size, int64_t batch_size);

// The same for a plan and a network that the caller has.
absl::StatusOr<std::vector<v1::PlannedStage>> ForecastStages(const TrialPlan& plan,
                                                             const NetworkDescription& network,
                                                             const TrainingMemory& training = {});

// A stage as it is on average over seeds.
struct ExpectedStage {
  double steps = 0;
  // Of all logical ranks.
  double images = 0;
  // Training, as PlannedStage.flops; 0 for a synthetic recipe.
  double flops = 0;
};

// What PlannedStages() says, without drawing the size of each step: so fast that a scheduler can
// ask for every trial. Errors as PlannedStages().
absl::StatusOr<std::vector<ExpectedStage>> ExpectedStages(const v1::Recipe& recipe,
                                                          const TrialFacts& facts);

// Bytes of tensors that a process of a trial needs at least, over all stages: those of
// PlannedStages() if each micro-batch were a single image, without the process itself. What has so
// much can train, since what does not fit is run in more parts. 0 for a synthetic recipe. Errors as
// PlannedStages().
absl::StatusOr<int64_t> LeastMemoryOf(const v1::Recipe& recipe, const TrialFacts& facts);

// Optimizer steps of a whole trial. Errors as PlanTrial.
absl::StatusOr<int64_t> StepTotal(const v1::Recipe& recipe, const TrialFacts& facts);

// Expected cost of an epoch over that of the same images at the base size with
// the base batch (multiscale-samplers, B.8).
struct CostRatio {
  double flops = 1;
  double steps = 1;
};

// `forward_cost` gives the cost of one image of a size, in any unit. The area
// (Scale::Area) is a good one for convolutional networks.
CostRatio ExpectedCostRatio(const std::vector<Scale>& scales, const Scale& base,
                            const std::function<double(const Scale&)>& forward_cost);

// The same over all epochs of a curriculum.
CostRatio ExpectedCostRatio(const Curriculum& curriculum,
                            const std::function<double(const Scale&)>& forward_cost);

// Expected steps of an epoch: images_per_rank / E[b] + E[b^2] / (2 E[b]^2),
// because the last batch overshoots; exact for one scale.
double ExpectedEpochSteps(const std::vector<Scale>& scales, int64_t images_per_rank);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_CURRICULUM_FORECAST_H_
