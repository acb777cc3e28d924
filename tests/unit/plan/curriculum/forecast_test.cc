#include "plan/curriculum/forecast.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cvtrain/v1/experiment.pb.h"
#include "plan/network/cost.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/plan/curriculum/recipes.h"

namespace cvtrain::plan {
namespace {

using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;

constexpr TrialFacts kImageNetOn8 = {.images = 1'281'167, .logical_ranks = 8};

v1::Recipe WithModel(v1::Recipe recipe) {
  recipe.mutable_model()->mutable_resnet()->set_depth(50);
  recipe.mutable_model()->set_num_classes(1000);
  return recipe;
}

std::vector<v1::PlannedStage> Forecast(const v1::Recipe& recipe, const TrialFacts& facts) {
  return PlannedStages(WithModel(recipe), facts).value();
}

double Pixels(const TrialPlan& plan) {
  double pixels = 0;
  for (int epoch = 0; epoch < plan.epochs(); ++epoch) {
    for (const PlannedStep& step : plan.EpochSteps(epoch)) {
      pixels += static_cast<double>(step.scale.Area()) * step.scale.batch_size;
    }
  }
  return pixels;
}

TEST(ForecastTest, AgreesWithTheWalkWithinThreePercent) {
  // Check F.1: pixels within 3 % and steps within 2 % of B.8, mean of 20 epochs.
  const TrialPlan single = Plan(SingleScaleRecipe(kBase, 20), 160'146);
  for (int count : {5, 10}) {
    const TrialPlan multi = Plan(MultiScaleRecipe(kBase, {.count = count}, 20), 160'146);
    const CostRatio ratio = ExpectedCostRatio(
        multi.curriculum(), [](const Scale& s) { return static_cast<double>(s.Area()); });
    EXPECT_NEAR(Pixels(multi) / Pixels(single) / ratio.flops, 1, 0.03);
    EXPECT_NEAR(static_cast<double>(multi.step_total()) / static_cast<double>(single.step_total()) /
                    ratio.steps,
                1, 0.02);
  }
}

TEST(ForecastTest, CountsStepsAndImagesExactly) {
  v1::Recipe recipe = MultiScaleRecipe(kBase, {}, 6);
  Grow(recipe).set_grow_until_epoch(3);
  Grow(recipe).set_start_max(160);
  const TrialPlan plan = PlanTrial(recipe, kImageNetOn8).value();
  const std::vector<v1::PlannedStage> stages = Forecast(recipe, kImageNetOn8);
  ASSERT_EQ(stages.size(), plan.curriculum().stages().size());
  int64_t total = 0;
  for (const v1::PlannedStage& stage : stages) {
    int64_t steps = 0;
    int64_t images = 0;
    for (int epoch = stage.from_epoch(); epoch < stage.to_epoch(); ++epoch) {
      for (const PlannedStep& step : plan.EpochSteps(epoch)) {
        ++steps;
        images += 8 * step.scale.batch_size;
      }
    }
    EXPECT_EQ(stage.steps(), steps);
    EXPECT_EQ(stage.images(), images);
    total += stage.steps();
  }
  EXPECT_EQ(total, plan.step_total());
  EXPECT_EQ(StepTotal(recipe, kImageNetOn8).value(), total);
}

TEST(ForecastTest, ExpectsWhatIsPlannedOnAverage) {
  v1::Recipe recipe = WithModel(MultiScaleRecipe(kBase, {}, 6));
  Grow(recipe).set_grow_until_epoch(3);
  Grow(recipe).set_start_max(160);
  const std::vector<v1::PlannedStage> planned = PlannedStages(recipe, kImageNetOn8).value();
  const std::vector<ExpectedStage> expected = ExpectedStages(recipe, kImageNetOn8).value();
  ASSERT_EQ(expected.size(), planned.size());
  for (size_t i = 0; i < planned.size(); ++i) {
    EXPECT_NEAR(expected[i].steps, static_cast<double>(planned[i].steps()),
                0.04 * expected[i].steps);
    EXPECT_NEAR(expected[i].images, static_cast<double>(planned[i].images()),
                0.04 * expected[i].images);
    EXPECT_NEAR(expected[i].flops, planned[i].flops(), 0.05 * expected[i].flops);
  }
  EXPECT_THAT(ExpectedStages(SingleScaleRecipe(kBase, 1), {.images = 10}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("RECIPE_INVALID")));
}

TEST(ForecastTest, CountsThreeForwardPassesPerImage) {
  const std::vector<v1::PlannedStage> stages =
      Forecast(SingleScaleRecipe(kBase, 1), {.images = 1280});
  ASSERT_EQ(stages.size(), 1u);
  // ResNet-50 at 224: 4.09 billion multiply-adds.
  EXPECT_NEAR(stages[0].flops(), 1280 * 3 * 2 * 4.09e9, 1280 * 3 * 2 * 0.005e9);
}

TEST(ForecastTest, KeepsThePeakOfMemoryNearTheBase) {
  // Check F.4.
  const double single = static_cast<double>(
      Forecast(SingleScaleRecipe(kBase, 1), kImageNetOn8)[0].peak_memory_bytes());
  const double multi = static_cast<double>(
      Forecast(MultiScaleRecipe(kBase, {}, 1), kImageNetOn8)[0].peak_memory_bytes());
  EXPECT_LE(multi, 1.05 * single);
  EXPECT_GE(multi, 0.95 * single);
}

TEST(ForecastTest, NeedsNoMomentumMemoryWithoutMomentum) {
  v1::Recipe recipe = WithModel(SingleScaleRecipe(kBase, 1));
  const int64_t with = PlannedStages(recipe, {.images = 100})->front().peak_memory_bytes();
  recipe.mutable_optimizer()->mutable_sgd()->set_momentum(0);
  const int64_t without = PlannedStages(recipe, {.images = 100})->front().peak_memory_bytes();
  EXPECT_EQ(with - without, 4 * 25'557'032);
}

TEST(ForecastTest, NamesTheSizesOfEachStage) {
  const std::vector<v1::PlannedStage> stages =
      Forecast(MultiScaleRecipe(kBase, {}, 5), kImageNetOn8);
  ASSERT_EQ(stages.size(), 1u);
  ASSERT_EQ(stages[0].sizes_size(), 5);
  EXPECT_EQ(stages[0].sizes(0).height(), 128);
  EXPECT_EQ(stages[0].sizes(0).batch_size(), 392);
  EXPECT_EQ(stages[0].to_epoch(), 5);
}

TEST(ForecastTest, OfASyntheticTaskIsItsSteps) {
  v1::Recipe recipe;
  recipe.set_task(v1::Recipe::TASK_SYNTHETIC);
  recipe.mutable_synthetic()->set_steps(101);
  recipe.mutable_synthetic()->set_steps_per_epoch(50);
  const std::vector<v1::PlannedStage> stages = PlannedStages(recipe, {}).value();
  ASSERT_EQ(stages.size(), 1u);
  EXPECT_EQ(stages[0].steps(), 101);
  EXPECT_EQ(stages[0].to_epoch(), 3);
  EXPECT_EQ(StepTotal(recipe, {}).value(), 101);
}

TEST(ForecastTest, PassesOnWhatIsWrong) {
  const auto refused = StatusIs(absl::StatusCode::kInvalidArgument, Reason("RECIPE_INVALID"));
  EXPECT_THAT(PlannedStages(SingleScaleRecipe(kBase, 1), {.images = 10}), refused);
  EXPECT_THAT(PlannedStages(WithModel(SingleScaleRecipe(kBase, 1)), {.images = 0}), refused);
  EXPECT_THAT(PlannedStages(WithModel(SingleScaleRecipe(kBase, 0)), {.images = 10}), refused);
}

}  // namespace
}  // namespace cvtrain::plan
