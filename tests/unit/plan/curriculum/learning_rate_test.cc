#include "plan/curriculum/learning_rate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"
#include "tests/unit/plan/curriculum/recipes.h"

namespace cvtrain::plan {
namespace {

using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;

// 10 epochs of 10 steps.
v1::Recipe Recipe() { return SingleScaleRecipe({96, 96, 10}, 10); }

LearningRateSchedule Schedule(const v1::Recipe& recipe) {
  return LearningRateSchedule::Create(recipe, Plan(recipe, 100)).value();
}

v1::CosineRate& Cosine(v1::Recipe& recipe) {
  recipe.mutable_learning_rate()->mutable_cosine()->set_max(0.1);
  return *recipe.mutable_learning_rate()->mutable_cosine();
}

TEST(LearningRateTest, FollowsTheCosineByEpoch) {
  v1::Recipe recipe = Recipe();
  Cosine(recipe).set_min(0.02);
  const LearningRateSchedule schedule = Schedule(recipe);
  EXPECT_DOUBLE_EQ(schedule.At(0, 0), 0.1);
  EXPECT_DOUBLE_EQ(schedule.At(5, 50), 0.06);
  // min + (max - min) / 2 * (1 + cos(0.9 pi)).
  EXPECT_NEAR(schedule.At(9, 90), 0.0219577, 1e-7);
}

TEST(LearningRateTest, IsConstantWithinAnEpoch) {
  v1::Recipe recipe = Recipe();
  Cosine(recipe);
  const LearningRateSchedule schedule = Schedule(recipe);
  EXPECT_EQ(schedule.At(3, 30), schedule.At(3, 39));
  EXPECT_GT(schedule.At(3, 39), schedule.At(4, 40));
}

TEST(LearningRateTest, WarmsUpByStep) {
  v1::Recipe recipe = Recipe();
  Cosine(recipe).set_warmup_steps(25);
  Cosine(recipe).set_warmup_init(0.05);
  const LearningRateSchedule schedule = Schedule(recipe);
  EXPECT_DOUBLE_EQ(schedule.At(0, 0), 0.05);
  EXPECT_DOUBLE_EQ(schedule.At(1, 10), 0.05 + 10 * 0.05 / 25);
  EXPECT_DOUBLE_EQ(schedule.At(2, 24), 0.05 + 24 * 0.05 / 25);
  // The cosine counts from the begin of the trial, warm-up or not.
  EXPECT_DOUBLE_EQ(schedule.At(5, 50), 0.05);
}

TEST(LearningRateTest, TurnsWarmUpEpochsIntoTheirSteps) {
  v1::Recipe recipe = MultiScaleRecipe({96, 96, 10}, {.min = 64, .max = 128}, 10);
  Cosine(recipe).set_warmup_epochs(2);
  const TrialPlan plan = Plan(recipe, 1000);
  const LearningRateSchedule schedule = LearningRateSchedule::Create(recipe, plan).value();
  EXPECT_EQ(schedule.warmup_steps(), plan.FirstStepOf(2));
  EXPECT_DOUBLE_EQ(schedule.At(0, 0), 0);
}

TEST(LearningRateTest, MayBeConstant) {
  v1::Recipe recipe = Recipe();
  recipe.mutable_learning_rate()->mutable_constant()->set_value(0.5);
  EXPECT_EQ(Schedule(recipe).At(9, 99), 0.5);
  recipe.mutable_learning_rate()->mutable_constant()->set_warmup_steps(10);
  EXPECT_DOUBLE_EQ(Schedule(recipe).At(0, 5), 0.25);
  EXPECT_DOUBLE_EQ(Schedule(recipe).At(1, 10), 0.5);
}

TEST(LearningRateTest, RefusesARecipeWithoutARate) {
  EXPECT_THAT(LearningRateSchedule::Create(Recipe(), Plan(Recipe(), 100)),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("RECIPE_INVALID")));
}

}  // namespace
}  // namespace cvtrain::plan
