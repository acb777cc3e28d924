#ifndef CVTRAIN_PLAN_CURRICULUM_LEARNING_RATE_H_
#define CVTRAIN_PLAN_CURRICULUM_LEARNING_RATE_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "plan/curriculum/trial_plan.h"

namespace cvtrain::v1 {
class Recipe;
}  // namespace cvtrain::v1

namespace cvtrain::plan {

// The learning rate of every step (multiscale-samplers, B.5). It depends on
// epoch and step alone: never on the size or the batch of a step.
//
//   step < warm-up steps   warmup_init + step * (max - warmup_init) / warm-up steps
//   cosine, else           min + (max - min) / 2 * (1 + cos(pi * epoch / epochs)),
//                          constant within an epoch
//   constant, else         value
//
// The cosine counts epochs from the begin of the trial, warm-up or not.
//
// Immutable.
class LearningRateSchedule {
 public:
  // `plan` is that of `recipe`; warm-up epochs become its steps.
  //
  // Returns INVALID_ARGUMENT (RECIPE_INVALID) if no rate is given.
  static absl::StatusOr<LearningRateSchedule> Create(const v1::Recipe& recipe,
                                                     const TrialPlan& plan);

  // `global_step` counts the finished steps of the trial; `epoch` is its epoch.
  double At(int32_t epoch, int64_t global_step) const;

  int64_t warmup_steps() const { return warmup_steps_; }

 private:
  LearningRateSchedule() = default;

  double max_ = 0;
  double min_ = 0;
  double warmup_init_ = 0;
  int64_t warmup_steps_ = 0;
  int32_t epochs_ = 0;
  bool constant_ = false;
};

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_CURRICULUM_LEARNING_RATE_H_
