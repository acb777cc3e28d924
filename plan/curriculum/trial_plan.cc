#include "plan/curriculum/trial_plan.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "plan/curriculum/keys.h"

namespace cvtrain::plan {
namespace {

// A batch is at most the whole list of its rank.
int64_t BatchOf(const Scale& scale, int64_t images_per_rank) {
  return std::min<int64_t>(scale.batch_size, images_per_rank);
}

// Calls `visit(step, scale index, first position)` for each step of an epoch,
// at most `steps_max`. Returns the number of steps.
template <typename Visit>
int64_t WalkEpoch(const ScaleDraw& draw, const std::vector<Scale>& scales, int64_t images_per_rank,
                  int64_t steps_max, Visit visit) {
  const auto scale_count = static_cast<int32_t>(scales.size());
  int64_t step = 0;
  for (int64_t position = 0; position < images_per_rank && step < steps_max; ++step) {
    const int32_t index = draw.At(step, scale_count);
    visit(step, index, position);
    position += BatchOf(scales[static_cast<size_t>(index)], images_per_rank);
  }
  return step;
}

bool HaveOneBatch(const std::vector<Scale>& scales) {
  return std::all_of(scales.begin(), scales.end(), [&](const Scale& scale) {
    return scale.batch_size == scales.front().batch_size;
  });
}

int64_t CeilDiv(int64_t value, int64_t divisor) { return (value + divisor - 1) / divisor; }

int64_t CountEpochSteps(uint64_t seed, int32_t epoch, const std::vector<Scale>& scales,
                        int64_t images_per_rank, int64_t steps_max) {
  if (HaveOneBatch(scales)) {
    return CeilDiv(images_per_rank, BatchOf(scales.front(), images_per_rank));
  }
  return WalkEpoch(ScaleDraw(seed, epoch), scales, images_per_rank, steps_max,
                   [](int64_t, int32_t, int64_t) {});
}

}  // namespace

TrialPlan::TrialPlan(Curriculum curriculum, const Options& options)
    : curriculum_(std::move(curriculum)),
      options_(options),
      images_per_rank_(CeilDiv(options.images, options.logical_ranks)) {}

absl::StatusOr<TrialPlan> TrialPlan::Create(Curriculum curriculum, const Options& options) {
  if (options.images < 1) {
    return InvalidArgument(Reason::kRecipeInvalid,
                           "recipe.dataset.train_split: has no images to train on");
  }
  if (options.logical_ranks < 1) {
    return InvalidArgument(
        Reason::kRecipeInvalid,
        absl::StrCat("resources.logical_ranks: must be at least 1, got ", options.logical_ranks));
  }
  TrialPlan plan(std::move(curriculum), options);
  plan.first_step_.reserve(static_cast<size_t>(plan.epochs()) + 1);
  int64_t total = 0;
  plan.first_step_.push_back(0);
  for (int32_t epoch = 0; epoch < plan.epochs(); ++epoch) {
    total += CountEpochSteps(options.seed, epoch, plan.curriculum_.StageOf(epoch).scales,
                             plan.images_per_rank_, kStepsMax - total + 1);
    if (total > kStepsMax) {
      return InvalidArgument(
          Reason::kRecipeInvalid,
          absl::StrCat("recipe.epochs: the trial would have more than ", kStepsMax,
                       " steps: fewer epochs, larger batches or more logical ranks are needed"));
    }
    plan.first_step_.push_back(total);
  }
  return plan;
}

std::vector<PlannedStep> TrialPlan::EpochSteps(int32_t epoch) const {
  const std::vector<Scale>& scales = curriculum_.StageOf(epoch).scales;
  std::vector<PlannedStep> steps;
  steps.reserve(static_cast<size_t>(StepsOf(epoch)));
  WalkEpoch(ScaleDraw(options_.seed, epoch), scales, images_per_rank_, kStepsMax,
            [&](int64_t, int32_t index, int64_t position) {
              PlannedStep step{scales[static_cast<size_t>(index)], index, position};
              step.scale.batch_size = static_cast<int32_t>(BatchOf(step.scale, images_per_rank_));
              steps.push_back(step);
            });
  return steps;
}

void TrialPlan::CountSteps(int32_t epoch, std::vector<int64_t>& counts) const {
  WalkEpoch(ScaleDraw(options_.seed, epoch), curriculum_.StageOf(epoch).scales, images_per_rank_,
            kStepsMax,
            [&](int64_t, int32_t index, int64_t) { ++counts[static_cast<size_t>(index)]; });
}

StepPosition TrialPlan::PositionOf(int64_t global_step) const {
  const auto after = std::upper_bound(first_step_.begin(), first_step_.end(), global_step);
  const auto epoch = static_cast<int32_t>(after - first_step_.begin()) - 1;
  return {epoch, global_step - FirstStepOf(epoch)};
}

}  // namespace cvtrain::plan
