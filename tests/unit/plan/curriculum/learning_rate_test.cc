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

// What torch 2.11 gives: MultiStepLR(optimizer, [3, 7], 0.1) and StepLR(optimizer, 4, 0.5) from
// 0.1.
TEST(LearningRateTest, FallsBySteps) {
  v1::Recipe recipe = Recipe();
  v1::StepRate& rate = *recipe.mutable_learning_rate()->mutable_step();
  rate.set_max(0.1);
  rate.set_gamma(0.1);
  rate.add_milestones(3);
  rate.add_milestones(7);
  const LearningRateSchedule milestones = Schedule(recipe);
  EXPECT_DOUBLE_EQ(milestones.At(2, 29), 0.1);
  EXPECT_DOUBLE_EQ(milestones.At(3, 30), 0.01);
  EXPECT_DOUBLE_EQ(milestones.At(6, 69), 0.01);
  EXPECT_NEAR(milestones.At(7, 70), 0.001, 1e-15);
  rate.clear_milestones();
  rate.set_gamma(0.5);
  rate.set_every_epochs(4);
  rate.set_warmup_epochs(1);
  const LearningRateSchedule regular = Schedule(recipe);
  EXPECT_DOUBLE_EQ(regular.At(0, 5), 0.05);
  EXPECT_DOUBLE_EQ(regular.At(3, 39), 0.1);
  EXPECT_DOUBLE_EQ(regular.At(4, 40), 0.05);
  EXPECT_DOUBLE_EQ(regular.At(9, 99), 0.025);
}

// What torch 2.11 gives: PolynomialLR(optimizer, total_iters=100, power=2) from 0.1.
TEST(LearningRateTest, FallsAlongAPolynomialAfterTheWarmUp) {
  v1::Recipe recipe = Recipe();
  v1::PolynomialRate& rate = *recipe.mutable_learning_rate()->mutable_polynomial();
  rate.set_max(0.1);
  rate.set_power(2);
  const LearningRateSchedule schedule = Schedule(recipe);
  EXPECT_DOUBLE_EQ(schedule.At(0, 0), 0.1);
  EXPECT_NEAR(schedule.At(1, 10), 0.081, 1e-12);
  EXPECT_NEAR(schedule.At(5, 50), 0.025, 1e-12);
  EXPECT_NEAR(schedule.At(9, 99), 1e-5, 1e-12);
  rate.set_power(1);
  rate.set_min(0.02);
  rate.set_warmup_steps(20);
  const LearningRateSchedule warmed = Schedule(recipe);
  EXPECT_DOUBLE_EQ(warmed.At(1, 10), 0.05);
  EXPECT_DOUBLE_EQ(warmed.At(2, 20), 0.1);
  EXPECT_DOUBLE_EQ(warmed.At(6, 60), 0.06);
}

// What torch 2.11 gives: OneCycleLR(optimizer, 0.1, total_steps=100, cycle_momentum=False), and
// with 0.2, anneal_strategy='linear', pct_start=0.25, div_factor=10, final_div_factor=100.
TEST(LearningRateTest, RisesAndFallsInOneCycle) {
  v1::Recipe recipe = Recipe();
  v1::OneCycleRate& rate = *recipe.mutable_learning_rate()->mutable_one_cycle();
  rate.set_max(0.1);
  rate.set_div_factor(25);
  rate.set_final_div_factor(1e4);
  rate.set_pct_start(0.3);
  rate.set_anneal(v1::OneCycleRate::ANNEAL_COSINE);
  const LearningRateSchedule cosine = Schedule(recipe);
  const std::pair<int64_t, double> expected[] = {{0, 0.004},
                                                 {10, 0.029516394846410082},
                                                 {29, 0.1},
                                                 {30, 0.09994965352845243},
                                                 {60, 0.05892800902855288},
                                                 {98, 5.07464715475788e-05},
                                                 {99, 4e-07}};
  for (const auto& [step, value] : expected) EXPECT_NEAR(cosine.At(0, step), value, 1e-12) << step;
  rate.set_max(0.2);
  rate.set_div_factor(10);
  rate.set_final_div_factor(100);
  rate.set_pct_start(0.25);
  rate.set_anneal(v1::OneCycleRate::ANNEAL_LINEAR);
  const LearningRateSchedule linear = Schedule(recipe);
  const std::pair<int64_t, double> lines[] = {
      {0, 0.02}, {10, 0.095}, {24, 0.2}, {60, 0.104096}, {98, 0.002864}};
  for (const auto& [step, value] : lines) EXPECT_NEAR(linear.At(0, step), value, 1e-12) << step;
}

TEST(LearningRateTest, OneCycleHasARateForTheShortestTrial) {
  v1::Recipe recipe = SingleScaleRecipe({96, 96, 10}, 1);
  v1::OneCycleRate& rate = *recipe.mutable_learning_rate()->mutable_one_cycle();
  rate.set_max(0.1);
  rate.set_div_factor(25);
  rate.set_final_div_factor(1e4);
  rate.set_pct_start(0.99);
  const LearningRateSchedule schedule =
      LearningRateSchedule::Create(recipe, Plan(recipe, 10)).value();
  EXPECT_GT(schedule.At(0, 0), 0);
  EXPECT_LE(schedule.At(0, 0), 0.1);
}

// The rise is one step: it begins at its peak.
TEST(LearningRateTest, OneCycleMayRiseInOneStep) {
  v1::Recipe recipe = Recipe();
  v1::OneCycleRate& rate = *recipe.mutable_learning_rate()->mutable_one_cycle();
  rate.set_max(0.1);
  rate.set_div_factor(25);
  rate.set_final_div_factor(1e4);
  rate.set_pct_start(0.01);  // of 100 steps
  const LearningRateSchedule schedule = Schedule(recipe);
  EXPECT_DOUBLE_EQ(schedule.At(0, 0), 0.1);
  EXPECT_LT(schedule.At(0, 1), 0.1);
  EXPECT_GT(schedule.At(0, 1), 0.09);
}

TEST(LearningRateTest, RefusesARecipeWithoutARate) {
  EXPECT_THAT(LearningRateSchedule::Create(Recipe(), Plan(Recipe(), 100)),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("RECIPE_INVALID")));
}

}  // namespace
}  // namespace cvtrain::plan
