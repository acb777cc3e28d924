#include "plan/recipe/evaluation_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/plan/recipe/specs.h"

namespace cvtrain::plan {
namespace {

using ::testing::ElementsAre;

TEST(EvaluationMetricsTest, HavePlainNamesByDefault) {
  EXPECT_THAT(EvaluationMetrics(SmallSpec().recipe()),
              ElementsAre("val/top1", "val/top5", "val/loss", "val/ece"));
}

TEST(EvaluationMetricsTest, NameSizesAndConditions) {
  const v1::Recipe recipe =
      SmallSpec({"recipe.evaluation={sizes: [{crop: 112}, {crop: 64}], conditions: [{name: "
                 "clean}, {name: noisy, noise: 0.1}]}"})
          .recipe();
  EXPECT_EQ(EvaluationPrefix(recipe.evaluation(), 0, 0), "val");
  EXPECT_EQ(EvaluationPrefix(recipe.evaluation(), 1, 0), "val@64px");
  EXPECT_EQ(EvaluationPrefix(recipe.evaluation(), 0, 1), "val/noisy");
  EXPECT_EQ(EvaluationPrefix(recipe.evaluation(), 1, 1), "val@64px/noisy");
  const std::vector<std::string> names = EvaluationMetrics(recipe);
  EXPECT_EQ(names.size(), 20u);
  EXPECT_EQ(names.back(), "val/mean/ece");
}

TEST(EvaluationMetricsTest, OfASyntheticTaskIsOne) {
  v1::Recipe recipe;
  recipe.set_task(v1::Recipe::TASK_SYNTHETIC);
  EXPECT_THAT(EvaluationMetrics(recipe), ElementsAre("val/top1"));
}

}  // namespace
}  // namespace cvtrain::plan
