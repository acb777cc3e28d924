#include "plan/curriculum/learning_rate.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "common/errors.h"
#include "cvtrain/v1/recipe.pb.h"

namespace cvtrain::plan {

absl::StatusOr<LearningRateSchedule> LearningRateSchedule::Create(const v1::Recipe& recipe,
                                                                  const TrialPlan& plan) {
  LearningRateSchedule schedule;
  schedule.epochs_ = plan.epochs();
  switch (recipe.learning_rate().kind_case()) {
    case v1::LearningRate::kCosine: {
      const v1::CosineRate& cosine = recipe.learning_rate().cosine();
      schedule.max_ = cosine.max();
      schedule.min_ = cosine.min();
      schedule.warmup_init_ = cosine.warmup_init();
      schedule.warmup_steps_ =
          cosine.warmup_epochs() > 0
              ? plan.FirstStepOf(std::min(cosine.warmup_epochs(), plan.epochs()))
              : cosine.warmup_steps();
      return schedule;
    }
    case v1::LearningRate::kConstant:
      schedule.constant_ = true;
      schedule.max_ = recipe.learning_rate().constant().value();
      schedule.warmup_steps_ = recipe.learning_rate().constant().warmup_steps();
      return schedule;
    case v1::LearningRate::KIND_NOT_SET:
      break;
  }
  return InvalidArgument(Reason::kRecipeInvalid,
                         "recipe.learning_rate: needs one of cosine, constant");
}

double LearningRateSchedule::At(int32_t epoch, int64_t global_step) const {
  if (global_step < warmup_steps_) {
    return warmup_init_ + static_cast<double>(global_step) * (max_ - warmup_init_) /
                              static_cast<double>(warmup_steps_);
  }
  if (constant_) {
    return max_;
  }
  return min_ + (max_ - min_) / 2 * (1 + std::cos(std::numbers::pi * epoch / epochs_));
}

}  // namespace cvtrain::plan
