#include "plan/curriculum/trial_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/support/status_matchers.h"
#include "tests/unit/plan/curriculum/recipes.h"

namespace cvtrain::plan {
namespace {

using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Sizes and first positions of an epoch.
std::vector<std::pair<int, int64_t>> Walk(const TrialPlan& plan, int epoch) {
  std::vector<std::pair<int, int64_t>> steps;
  for (const PlannedStep& step : plan.EpochSteps(epoch)) {
    steps.emplace_back(step.scale.height, step.first_position);
  }
  return steps;
}

TEST(TrialPlanTest, TakesBatchesOneAfterTheOther) {
  const TrialPlan plan = Plan(MultiScaleRecipe(kBase, {}, 20), 1000);
  for (int epoch = 0; epoch < 20; ++epoch) {
    int64_t position = 0;
    for (const PlannedStep& step : plan.EpochSteps(epoch)) {
      EXPECT_EQ(step.first_position, position);
      EXPECT_LT(position, 1000);
      position += step.scale.batch_size;
    }
    EXPECT_GE(position, 1000);
  }
}

TEST(TrialPlanTest, CountsTheStepsOfASingleScale) {
  // Reference vector G.6: 1,281,167 images on 8 ranks, 160,146 a rank.
  const TrialPlan plan = Plan(SingleScaleRecipe(kBase, 90), 1'281'167, 8);
  EXPECT_EQ(plan.images_per_rank(), 160'146);
  EXPECT_EQ(plan.StepsOf(0), 1252);
  EXPECT_EQ(plan.step_total(), 90 * 1252);
}

TEST(TrialPlanTest, CountsTheStepsOfVariableBatches) {
  // Reference vector G.6: 962.0 expected with 5 scales, 949.9 with 10.
  for (const auto& [count, expected] : {std::pair{5, 962.0}, std::pair{10, 949.9}}) {
    const TrialPlan plan = Plan(MultiScaleRecipe(kBase, {.count = count}, 20), 1'281'167, 8);
    const double mean = static_cast<double>(plan.step_total()) / 20;
    EXPECT_NEAR(mean, expected, 0.01 * expected) << count;
    EXPECT_NEAR(ExpectedEpochSteps(plan.curriculum().stages()[0].scales, 160'146), expected, 0.06);
  }
}

TEST(TrialPlanTest, AgreesWithItsOwnWalk) {
  v1::Recipe recipe = MultiScaleRecipe(kBase, {}, 12);
  Grow(recipe).set_grow_until_epoch(6);
  const TrialPlan plan = Plan(recipe, 5000, 3);
  int64_t total = 0;
  for (int epoch = 0; epoch < 12; ++epoch) {
    EXPECT_EQ(plan.FirstStepOf(epoch), total);
    EXPECT_EQ(plan.StepsOf(epoch), static_cast<int64_t>(plan.EpochSteps(epoch).size()));
    std::vector<int64_t> counts(plan.curriculum().StageOf(epoch).scales.size());
    plan.CountSteps(epoch, counts);
    int64_t sum = 0;
    for (int64_t count : counts) sum += count;
    EXPECT_EQ(sum, plan.StepsOf(epoch));
    total += plan.StepsOf(epoch);
  }
  EXPECT_EQ(plan.step_total(), total);
}

TEST(TrialPlanTest, DrawsEachScaleAboutEquallyOften) {
  const TrialPlan plan = Plan(MultiScaleRecipe(kBase, {}, 50), 100'000);
  std::vector<int64_t> counts(5);
  for (int epoch = 0; epoch < 50; ++epoch) plan.CountSteps(epoch, counts);
  for (int64_t count : counts) {
    EXPECT_NEAR(static_cast<double>(count) / static_cast<double>(plan.step_total()), 0.2, 0.01);
  }
}

TEST(TrialPlanTest, KeepsStepsOfFixedBatches) {
  v1::Recipe recipe = MultiScaleRecipe(kBase, {}, 5);
  recipe.mutable_sampler()->mutable_multi_scale()->set_variable_batch(false);
  const TrialPlan plan = Plan(recipe, 1000);
  EXPECT_EQ(plan.step_total(), 5 * 8);
  EXPECT_EQ(plan.EpochSteps(3).size(), 8u);
}

TEST(TrialPlanTest, TrainsOnShortBatchesOfTinyData) {
  const TrialPlan plan = Plan(SingleScaleRecipe({96, 96, 24}, 3), 5, 2);
  EXPECT_EQ(plan.images_per_rank(), 3);
  ASSERT_EQ(plan.StepsOf(0), 1);
  EXPECT_EQ(plan.EpochSteps(0)[0].scale.batch_size, 3);
}

TEST(TrialPlanTest, IsTheSameForTheSameKeyOnly) {
  v1::Recipe recipe = MultiScaleRecipe(kBase, {}, 3);
  const TrialPlan plan = Plan(recipe, 20'000);
  EXPECT_EQ(Walk(plan, 1), Walk(Plan(recipe, 20'000), 1));
  EXPECT_NE(Walk(plan, 1), Walk(plan, 2));
  recipe.set_seed(8);
  EXPECT_NE(Walk(plan, 1), Walk(Plan(recipe, 20'000), 1));
}

TEST(TrialPlanTest, NeverChanges) {
  // These sizes are part of plan version 1: trials that run depend on them.
  std::vector<int> sizes;
  for (const auto& [size, position] : Walk(Plan(MultiScaleRecipe(kBase, {}, 3), 2000), 2)) {
    sizes.push_back(size);
  }
  EXPECT_THAT(sizes, ElementsAre(192, 224, 288, 224, 224, 288, 288, 320, 288, 128, 224, 320, 224,
                                 192, 288, 192));
}

TEST(TrialPlanTest, FindsThePositionOfEveryStep) {
  const TrialPlan plan = Plan(MultiScaleRecipe(kBase, {}, 4), 3000);
  int64_t global_step = 0;
  for (int epoch = 0; epoch < 4; ++epoch) {
    for (int64_t step = 0; step < plan.StepsOf(epoch); ++step, ++global_step) {
      EXPECT_EQ(plan.PositionOf(global_step), (StepPosition{epoch, step}));
      EXPECT_EQ(plan.GlobalStepOf({epoch, step}), global_step);
    }
  }
  EXPECT_EQ(plan.PositionOf(plan.step_total()), (StepPosition{4, 0}));
}

TEST(TrialPlanTest, ResumesAtAnyStepWithWhatIsLeft) {
  // Check F.3: also across a change of stage.
  v1::Recipe recipe = MultiScaleRecipe(kBase, {}, 6);
  AddStage(recipe, 0, 128, 160);
  AddStage(recipe, 3, 128, 320);
  const TrialPlan whole = Plan(recipe, 2000, 2);
  std::vector<std::pair<int, int64_t>> all;
  for (int epoch = 0; epoch < 6; ++epoch) {
    for (const auto& step : Walk(whole, epoch)) all.push_back(step);
  }
  for (int64_t stop = 0; stop <= whole.step_total(); ++stop) {
    const TrialPlan resumed = Plan(recipe, 2000, 2);
    const StepPosition position = resumed.PositionOf(stop);
    std::vector<std::pair<int, int64_t>> rest;
    for (int epoch = position.epoch; epoch < 6; ++epoch) {
      const auto steps = Walk(resumed, epoch);
      const int64_t from = epoch == position.epoch ? position.step_in_epoch : 0;
      rest.insert(rest.end(), steps.begin() + from, steps.end());
    }
    ASSERT_EQ(rest, decltype(all)(all.begin() + stop, all.end())) << stop;
  }
}

TEST(TrialPlanTest, RefusesWhatCannotBePlanned) {
  const Curriculum curriculum = Curriculum::Create(SingleScaleRecipe(kBase, 10)).value();
  const auto refused = StatusIs(absl::StatusCode::kInvalidArgument, Reason("RECIPE_INVALID"));
  EXPECT_THAT(TrialPlan::Create(curriculum, {.images = 0}), refused);
  EXPECT_THAT(TrialPlan::Create(curriculum, {.images = 10, .logical_ranks = 0}), refused);
}

TEST(TrialPlanTest, RefusesMoreStepsThanItsBound) {
  const v1::Recipe endless = SingleScaleRecipe({224, 224, 1}, 100'000);
  EXPECT_THAT(PlanTrial(endless, {.images = 1'000'000}),
              StatusIs(absl::StatusCode::kInvalidArgument, Message(HasSubstr("more than 20000000 "
                                                                             "steps"))));
  EXPECT_TRUE(PlanTrial(endless, {.images = 200}).ok());
  EXPECT_FALSE(PlanTrial(endless, {.images = 201}).ok());
}

}  // namespace
}  // namespace cvtrain::plan
