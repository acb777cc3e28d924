#ifndef CVTRAIN_PLAN_CURRICULUM_LEARNING_RATE_H_
#define CVTRAIN_PLAN_CURRICULUM_LEARNING_RATE_H_

#include <cstdint>
#include <functional>
#include <utility>

#include "absl/status/statusor.h"
#include "plan/curriculum/trial_plan.h"

namespace cvtrain::v1 {
class Recipe;
}  // namespace cvtrain::v1

namespace cvtrain::plan {

// The learning rate of every step (multiscale-samplers, B.5; the messages of v1.LearningRate have
// the formulas). It depends on epoch and step alone: never on the size or the batch of a step.
//
// All but one_cycle may warm up: from warmup_init to the highest rate, linearly, by step. Cosine,
// step and constant count epochs from the begin of the trial, warm-up or not; polynomial begins
// where the warm-up ends.
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

  int64_t warmup_steps() const { return warmup_.steps; }

 private:
  struct WarmUp {
    int64_t steps = 0;
    double from = 0;
    double to = 0;
  };
  // The rate of a step that is no warm-up.
  using Curve = std::function<double(int32_t epoch, int64_t global_step)>;

  LearningRateSchedule(const WarmUp& warmup, Curve curve)
      : warmup_(warmup), curve_(std::move(curve)) {}

  // Of a message with warmup_steps, warmup_epochs and warmup_init.
  template <typename Rate>
  static WarmUp WarmUpOf(const Rate& rate, double to, const TrialPlan& plan);

  WarmUp warmup_;
  Curve curve_;
};

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_CURRICULUM_LEARNING_RATE_H_
