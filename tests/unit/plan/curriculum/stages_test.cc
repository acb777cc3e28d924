#include "plan/curriculum/stages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plan/curriculum/forecast.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/plan/curriculum/recipes.h"

namespace cvtrain::plan {
namespace {

using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::Pair;

Curriculum Make(const v1::Recipe& recipe) { return Curriculum::Create(recipe).value(); }

double Area(const Scale& scale) { return static_cast<double>(scale.Area()); }

double FlopsOfEpoch(const Curriculum& curriculum, int epoch) {
  return ExpectedCostRatio(curriculum.StageOf(epoch).scales, curriculum.base(), Area).flops;
}

// hi(e) of the released mechanism: `factor` more at each epoch of the list.
v1::Recipe ReleasedCurriculum(int max, double factor, const std::vector<int>& at, int epochs) {
  v1::Recipe recipe = MultiScaleRecipe(kBase, {.min = 128, .max = 320}, epochs);
  AddStage(recipe, 0, 128, max);
  for (int epoch : at) {
    max += static_cast<int>(max * factor);
    AddStage(recipe, epoch, 128, max);
  }
  return recipe;
}

TEST(CurriculumTest, OfASingleScaleIsOneStage) {
  const Curriculum curriculum = Make(SingleScaleRecipe({96, 128, 24}, 30));
  ASSERT_EQ(curriculum.stages().size(), 1u);
  EXPECT_THAT(curriculum.stages()[0].scales, ElementsAre(Scale{96, 128, 24}));
  EXPECT_EQ(curriculum.epochs(), 30);
}

TEST(CurriculumTest, UsesTheDefaultsOfTheProto) {
  v1::Recipe recipe = MultiScaleRecipe(kBase, {}, 10);
  recipe.mutable_sampler()->mutable_multi_scale()->mutable_scales()->clear_count();
  recipe.mutable_sampler()->mutable_multi_scale()->mutable_scales()->clear_divisible_by();
  EXPECT_THAT(
      Pairs(Make(recipe).stages()[0].scales),
      ElementsAre(Pair(128, 392), Pair(192, 174), Pair(224, 128), Pair(288, 77), Pair(320, 62)));
}

TEST(CurriculumTest, GrowsLinearly) {
  // Reference vector G.8: "grow-50" for 10 epochs.
  v1::Recipe recipe = MultiScaleRecipe(kBase, {}, 10);
  Grow(recipe).set_grow_until_epoch(5);
  Grow(recipe).set_start_max(160);
  std::vector<int> max;
  for (const StageOptions& stage : StageOptionsOf(recipe.sampler(), 10)) {
    max.push_back(stage.options.max);
  }
  EXPECT_THAT(max, ElementsAre(160, 192, 224, 256, 288, 320));

  const Curriculum curriculum = Make(recipe);
  const std::vector<double> flops = {0.4981, 0.5417, 0.5417, 0.6136, 0.6760,
                                     0.7655, 0.7655, 0.7655, 0.7655, 0.7655};
  for (int epoch = 0; epoch < 10; ++epoch) {
    EXPECT_NEAR(FlopsOfEpoch(curriculum, epoch), flops[static_cast<size_t>(epoch)], 0.00006)
        << epoch;
  }
}

TEST(CurriculumTest, CostsLessWithoutTheBaseInAnEarlyStage) {
  v1::Recipe recipe = MultiScaleRecipe(kBase, {}, 10);
  AddStage(recipe, 0, 128, 160).set_include_base(false);
  AddStage(recipe, 1, 128, 320);
  const Curriculum curriculum = Make(recipe);
  EXPECT_THAT(Pairs(curriculum.stages()[0].scales), ElementsAre(Pair(128, 392), Pair(160, 250)));
  EXPECT_NEAR(FlopsOfEpoch(curriculum, 0), 0.3981, 0.00006);
  EXPECT_NEAR(FlopsOfEpoch(curriculum, 1), 0.7655, 0.00006);
}

TEST(CurriculumTest, GivesThePresetsTheirCost) {
  // Table of B.7 (ii), 100 epochs.
  struct Preset {
    int grow_until;
    double flops;
    double steps;
  };
  for (const Preset& preset : {Preset{50, 0.6785, 0.6804}, Preset{75, 0.6341, 0.6354}}) {
    v1::Recipe recipe = MultiScaleRecipe(kBase, {}, 100);
    Grow(recipe).set_grow_until_epoch(preset.grow_until);
    Grow(recipe).set_start_max(160);
    const CostRatio ratio = ExpectedCostRatio(Make(recipe), Area);
    EXPECT_NEAR(ratio.flops, preset.flops, 0.00006) << preset.grow_until;
    EXPECT_NEAR(ratio.steps, preset.steps, 0.00006) << preset.grow_until;
  }
  v1::Recipe four = MultiScaleRecipe(kBase, {}, 100);
  AddStage(four, 0, 128, 160);
  AddStage(four, 25, 128, 224);
  AddStage(four, 50, 128, 288);
  AddStage(four, 75, 128, 320);
  const CostRatio ratio = ExpectedCostRatio(Make(four), Area);
  EXPECT_NEAR(ratio.flops, 0.6203, 0.00006);
  EXPECT_NEAR(ratio.steps, 0.6217, 0.00006);
}

TEST(CurriculumTest, UnrollsTheReleasedMechanism) {
  // Reference vector G.7, second part.
  const v1::Recipe recipe = ReleasedCurriculum(192, 0.15, {100, 200, 300, 400}, 600);
  std::vector<int> max;
  for (const StageOptions& stage : StageOptionsOf(recipe.sampler(), 600)) {
    max.push_back(stage.options.max);
  }
  EXPECT_THAT(max, ElementsAre(192, 220, 253, 290, 333));

  const Curriculum curriculum = Make(recipe);
  const std::vector<double> flops = {0.5417, 0.5417, 0.6136, 0.6760, 0.7655};
  for (int i = 0; i < 5; ++i) {
    EXPECT_NEAR(FlopsOfEpoch(curriculum, 100 * i), flops[static_cast<size_t>(i)], 0.00006) << i;
  }
  EXPECT_NEAR(ExpectedCostRatio(curriculum, Area).flops, 0.6507, 0.00006);
}

TEST(CurriculumTest, KeepsTheBaseWhenTheRangeLeavesIt) {
  // Reference vector G.7, first part: 160..320 becomes 320..640.
  v1::Recipe recipe = MultiScaleRecipe(kBase, {.min = 160, .max = 320}, 60);
  AddStage(recipe, 0, 160, 320);
  AddStage(recipe, 40, 320, 640);
  EXPECT_THAT(Pairs(Make(recipe).StageOf(40).scales),
              ElementsAre(Pair(224, 128), Pair(320, 62), Pair(416, 37), Pair(480, 27),
                          Pair(576, 19), Pair(640, 15)));
}

TEST(CurriculumTest, JoinsNeighboursWithOneSet) {
  const Curriculum curriculum = Make(ReleasedCurriculum(192, 0.15, {100, 200, 300, 400}, 600));
  std::vector<std::pair<int, int>> epochs;
  for (const Stage& stage : curriculum.stages()) {
    EXPECT_EQ(stage.index, static_cast<int>(epochs.size()));
    epochs.emplace_back(stage.from_epoch, stage.to_epoch);
  }
  EXPECT_THAT(epochs, ElementsAre(Pair(0, 200), Pair(200, 300), Pair(300, 400), Pair(400, 600)));
}

TEST(CurriculumTest, KnowsTheStageOfAnyEpoch) {
  v1::Recipe recipe = MultiScaleRecipe(kBase, {}, 20);
  AddStage(recipe, 0, 128, 160);
  AddStage(recipe, 10, 128, 320);
  const Curriculum curriculum = Make(recipe);
  EXPECT_EQ(curriculum.StageOf(0).index, 0);
  EXPECT_EQ(curriculum.StageOf(9).index, 0);
  EXPECT_EQ(curriculum.StageOf(10).index, 1);
  EXPECT_EQ(curriculum.StageOf(19).index, 1);
  EXPECT_EQ(curriculum.StageOf(1000).index, 1);
}

TEST(CurriculumTest, LetsAStageTakeWhatItDoesNotSayFromTheSampler) {
  v1::Recipe recipe = MultiScaleRecipe(kBase, {.min = 128, .max = 320, .count = 3}, 20);
  AddStage(recipe, 0, 0, 224).mutable_scales()->set_count(2);
  AddStage(recipe, 5, 0, 0);
  const std::vector<StageOptions> stages = StageOptionsOf(recipe.sampler(), 20);
  EXPECT_EQ(stages[0].options.min, 128);
  EXPECT_EQ(stages[0].options.max, 224);
  EXPECT_EQ(stages[0].options.count, 2);
  EXPECT_EQ(stages[1].options.max, 320);
  EXPECT_EQ(stages[1].options.count, 3);
}

TEST(CurriculumTest, RefusesWhatIsImpossible) {
  const auto refused = StatusIs(absl::StatusCode::kInvalidArgument, Reason("RECIPE_INVALID"));
  EXPECT_THAT(Curriculum::Create(SingleScaleRecipe(kBase, 0)), refused);
  EXPECT_THAT(Curriculum::Create(SingleScaleRecipe({0, 96, 24}, 10)), refused);
  EXPECT_THAT(Curriculum::Create(MultiScaleRecipe(kBase, {.min = 320, .max = 128}, 10)), refused);
  EXPECT_THAT(Curriculum::Create(MultiScaleRecipe(kBase, {.count = 0}, 10)), refused);
  EXPECT_THAT(Curriculum::Create(MultiScaleRecipe({224, 224, 0}, {}, 10)), refused);

  v1::Recipe no_sampler;
  no_sampler.set_epochs(3);
  EXPECT_THAT(Curriculum::Create(no_sampler), refused);

  v1::Recipe late = MultiScaleRecipe(kBase, {}, 10);
  AddStage(late, 1, 128, 160);
  EXPECT_THAT(Curriculum::Create(late), refused);

  v1::Recipe unordered = MultiScaleRecipe(kBase, {}, 10);
  AddStage(unordered, 0, 128, 160);
  AddStage(unordered, 5, 128, 224);
  AddStage(unordered, 5, 128, 320);
  EXPECT_THAT(Curriculum::Create(unordered), refused);
}

}  // namespace
}  // namespace cvtrain::plan
