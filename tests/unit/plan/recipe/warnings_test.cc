#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plan/recipe/validate.h"
#include "tests/unit/plan/recipe/specs.h"

namespace cvtrain::plan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(WarningsTest, SayNothingAboutOrdinaryRecipes) {
  EXPECT_THAT(Warnings(SmallSpec()), IsEmpty());
  EXPECT_THAT(Warnings(MultiScaleSpec()), IsEmpty());
}

TEST(WarningsTest, TellWhatTheSamplerDoesWithTheBase) {
  const std::string base = "recipe.sampler.multi_scale.base=";
  EXPECT_THAT(Warnings(MultiScaleSpec({base + "{height: 96, width: 96, batch_size: 64}"})),
              ElementsAre(HasSubstr("is outside of the sizes 128 to 320")));
  EXPECT_THAT(Warnings(MultiScaleSpec({base + "{height: 260, width: 260, batch_size: 64}"})),
              ElementsAre(HasSubstr("260x260 is trained as 256x256")));
  EXPECT_THAT(Warnings(MultiScaleSpec({base + "{height: 224, width: 224, batch_size: 1}"})),
              ElementsAre(HasSubstr("leaves 4 sizes with batches of 1")));
  EXPECT_THAT(Warnings(MultiScaleSpec({base + "{height: 96, width: 96, batch_size: 64}",
                                       "recipe.sampler.multi_scale.include_base=false"})),
              IsEmpty());
}

TEST(WarningsTest, TellWhatIsLikelyNotMeant) {
  EXPECT_THAT(Warnings(SmallSpec({"recipe.dataset={name: a, train_split: x, validation_split: "
                                  "x}"})),
              ElementsAre(HasSubstr("images that it trains on")));
  EXPECT_THAT(Warnings(MultiScaleSpec({"recipe.learning_rate.cosine.warmup_epochs=10"})),
              ElementsAre(HasSubstr("the whole training is warm-up")));
  EXPECT_THAT(Warnings(SmallSpec({"recipe.augmentation={range_augment: {target_psnr: {start: 10, "
                                  "end: 40}}}"})),
              ElementsAre(HasSubstr("more similar with time")));
}

TEST(WarningsTest, TellWhatASearchDoesNotMove) {
  EXPECT_THAT(
      Warnings(SmallSpec({"recipe.augmentation={range_augment: {target_psnr: {}}}",
                          "search={linear: {parameter: recipe.optimizer.sgd.weight_decay, values: "
                          "[0.1]}}"})),
      ElementsAre(HasSubstr("stays at the recipe's weight decay")));
  EXPECT_THAT(Warnings(SmallSpec({"search={linear: {parameter: "
                                  "recipe.sampler.single_scale.height, values: [64]}}"})),
              ElementsAre(HasSubstr("evaluated at the recipe's base size")));
}

TEST(WarningsTest, TellWhichEpochsRungsWereMovedTo) {
  const std::string asha =
      "search={asha: {trials: 4, parameters: [{parameter: recipe.learning_rate.constant.value, "
      "uniform: {min: 0.1, max: 1}}]}}";
  EXPECT_THAT(Warnings(SmallSpec({asha})), IsEmpty());
  EXPECT_THAT(
      Warnings(SmallSpec({asha, "recipe.evaluation={every_epochs: 3}"})),
      ElementsAre(
          "search.asha: has its rungs after the epochs 3, 6, where something is evaluated"));
}

TEST(WarningsTest, CountThePassesOfAnEvaluation) {
  const std::string conditions =
      "recipe.evaluation.conditions=[{name: clean}, {name: fog, "
      "corruption: fog}, {name: snow, corruption: snow}";
  EXPECT_THAT(Warnings(SmallSpec({conditions + "]"})), IsEmpty()) << "11 passes";
  EXPECT_THAT(
      Warnings(SmallSpec({conditions + "]", "recipe.evaluation.sizes=[{crop: 32}, {crop: 64}]"})),
      ElementsAre(HasSubstr("recipe.evaluation: each is 22 passes")));
  EXPECT_THAT(
      Warnings(SmallSpec({conditions + ", {name: a, corruption: contrast}, {name: b, corruption: "
                                       "saturate, severities: [1, 2, 3, 4]}]"})),
      IsEmpty())
      << "20 passes";
}

TEST(WarningsTest, TellWhatASyntheticTaskIgnores) {
  EXPECT_THAT(Warnings(SmallSpec({"recipe.task=synthetic", "recipe.synthetic={steps: 5}"})),
              ElementsAre(HasSubstr("task synthetic uses none of")));
}

TEST(WarningsTest, NamesAugmentationsThatDoNothing) {
  EXPECT_THAT(Warnings(SmallSpec({"recipe.augmentation={color_jitter: {}}"})),
              ElementsAre(HasSubstr("color_jitter: changes nothing")));
  EXPECT_THAT(Warnings(SmallSpec({"recipe.augmentation={color_jitter: {hue: 0.1}}"})), IsEmpty());
  EXPECT_THAT(Warnings(SmallSpec({"recipe.augmentation={cutmix: {}}",
                                  "recipe.sampler.single_scale.batch_size=1"})),
              ElementsAre(HasSubstr("cutmix: a batch of one picture")));
  EXPECT_THAT(Warnings(SmallSpec({"recipe.augmentation={mixup: {}}"})), IsEmpty());
}

}  // namespace
}  // namespace cvtrain::plan
