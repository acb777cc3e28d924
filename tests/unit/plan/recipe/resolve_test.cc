#include "plan/recipe/resolve.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "plan/recipe/validate.h"
#include "plan/recipe/writer.h"
#include "tests/support/proto_matchers.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/plan/recipe/specs.h"

namespace cvtrain::plan {
namespace {

using ::cvtrain::testing::EqualsProto;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

v1::ExperimentSpec Resolved(v1::ExperimentSpec spec) {
  const absl::Status status = Resolve(&spec, FlowerFacts());
  EXPECT_TRUE(status.ok()) << status;
  return spec;
}

TEST(ResolveTest, WritesEveryDefault) {
  EXPECT_THAT(
      Resolved(MultiScaleSpec({
          "recipe.augmentation={range_augment: {target_psnr: {}}}",
          "recipe.sampler.multi_scale.curriculum={linear: {grow_until_epoch: 5}}",
      })),
      EqualsProto(R"pb(
        api: "cvtrain/v1"
        kind: "Experiment"
        name: "multi"
        project: "default"
        recipe {
          task: TASK_CLASSIFICATION
          dataset {
            name: "flowers"
            version: 3
            digest: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
            train_split: "train"
            validation_split: "test"
          }
          model {
            resnet { depth: 18 zero_init_residual: false }
            num_classes: 12
          }
          epochs: 10
          sampler {
            multi_scale {
              base { height: 224 width: 224 batch_size: 128 }
              scales { min: 128 max: 320 count: 5 divisible_by: 32 }
              variable_batch: true
              include_base: true
              curriculum { linear { grow_until_epoch: 5 start_max: 128 } }
            }
          }
          augmentation {
            random_resized_crop {
              scale_min: 0.08
              scale_max: 1
              ratio_min: 0.75
              ratio_max: 1.3333333333333333
            }
            horizontal_flip { probability: 0.5 }
            range_augment {
              target_psnr { start: 40 end: 20 curve: CURVE_COSINE }
              operations: OPERATION_BRIGHTNESS
              operations: OPERATION_CONTRAST
              operations: OPERATION_NOISE
              alpha: 100
              start {
                brightness { low: 0.59796746496148367 high: 8.3764128381234286 }
                contrast { low: 0.59796746496148367 high: 8.3764128381234286 }
                noise { low: 2.5e-05 high: 0.525026689560192 }
              }
              learning_rate_multiplier: 1
              weight_decay: 0
            }
          }
          loss { label_smoothing: 0 }
          optimizer {
            sgd { momentum: 0.9 weight_decay: 0 nesterov: false decay_one_dimensional: false }
          }
          learning_rate {
            cosine { max: 0.1 min: 0 warmup_steps: 0 warmup_epochs: 0 warmup_init: 0 }
          }
          evaluation {
            every_epochs: 1
            sizes { resize: 256 crop: 224 }
            conditions { name: "clean" noise: 0 }
            batch_size: 64
            confusion_matrix: false
          }
          checkpoint {
            every { epochs: 1 }
            keep_best: 1
            keep_last: 1
          }
          precision: PRECISION_FP32
          seed: 0
          micro_batches: 1
        }
        resources { slots: 1 logical_ranks: 1 }
        priority: 50
        retry { user_max: 0 out_of_memory_max: 1 infrastructure_max: 20 }
      )pb"));
}

TEST(ResolveTest, ACorruptionHasAllSeveritiesOfImagenetC) {
  const auto condition = [](const std::string& given) {
    return Resolved(SmallSpec({"recipe.evaluation.conditions=[" + given + "]"}))
        .recipe()
        .evaluation()
        .conditions(0);
  };
  EXPECT_THAT(condition("{name: fog, corruption: fog}"),
              EqualsProto("name: \"fog\" noise: 0 corruption: CORRUPTION_FOG severities: 1 "
                          "severities: 2 severities: 3 severities: 4 severities: 5 "
                          "levels: LEVELS_IMAGENET_C"));
  EXPECT_THAT(condition("{name: fog, corruption: fog, severities: [3], levels: cifar10_c}"),
              EqualsProto("name: \"fog\" noise: 0 corruption: CORRUPTION_FOG severities: 3 "
                          "levels: LEVELS_CIFAR10_C"));
  EXPECT_THAT(condition("{name: plain}"), EqualsProto("name: \"plain\" noise: 0"));
}

TEST(ResolveTest, WritesTheDefaultsOfEachSchedule) {
  const auto rate = [](const std::string& given) {
    const v1::ExperimentSpec spec = Resolved(SmallSpec(
        {"recipe.learning_rate=" + given, "recipe.ema={}", "recipe.optimizer={adamw: {}}"}));
    EXPECT_THAT(spec.recipe().ema(), EqualsProto("decay: 0.9999 every_steps: 1 warmup: true"));
    EXPECT_THAT(spec.recipe().optimizer().adamw(),
                EqualsProto("beta1: 0.9 beta2: 0.999 epsilon: 1e-8 weight_decay: 0.01 "
                            "decay_one_dimensional: false"));
    return spec.recipe().learning_rate();
  };
  EXPECT_THAT(rate("{step: {max: 0.1, every_epochs: 3}}"),
              EqualsProto("step { max: 0.1 every_epochs: 3 gamma: 0.1 warmup_steps: 0 "
                          "warmup_epochs: 0 warmup_init: 0 }"));
  EXPECT_THAT(rate("{polynomial: {max: 0.1}}"),
              EqualsProto("polynomial { max: 0.1 min: 0 power: 1 warmup_steps: 0 warmup_epochs: 0 "
                          "warmup_init: 0 }"));
  EXPECT_THAT(
      rate("{one_cycle: {max: 0.1}}"),
      EqualsProto("one_cycle { max: 0.1 div_factor: 25 final_div_factor: 1e4 pct_start: 0.3 "
                  "anneal: ANNEAL_COSINE }"));
  EXPECT_THAT(
      rate("{constant: {value: 0.1}}"),
      EqualsProto("constant { value: 0.1 warmup_steps: 0 warmup_epochs: 0 warmup_init: 0 }"));
}

// A search may bring in averages by one of their fields.
TEST(ResolveTest, ATrialHasTheDefaultsOfWhatItsSearchBroughtIn) {
  const auto recipe = ConcreteRecipe(Resolved(SmallSpec()), {{"recipe.ema.decay", "0.99"}});
  ASSERT_TRUE(recipe.ok()) << recipe.status();
  EXPECT_THAT(recipe->ema(), EqualsProto("decay: 0.99 every_steps: 1 warmup: true"));
}

TEST(ResolveTest, KeepsWhatIsGiven) {
  const v1::ExperimentSpec spec = Resolved(SmallSpec(
      {"project=mine", "priority=0", "resources={slots: 2, logical_ranks: 8}", "recipe.seed=5",
       "recipe.dataset={name: flowers, train_split: test, validation_split: train}",
       "recipe.model={small_resnet: {widths: [8, 16], blocks: [3]}, num_classes: 20}",
       "recipe.evaluation={sizes: [{crop: 112}]}", "recipe.checkpoint={every: {steps: 7}}",
       "recipe.augmentation={normalize: {}}"}));
  EXPECT_EQ(spec.project(), "mine");
  EXPECT_EQ(spec.priority(), 0);
  EXPECT_EQ(spec.resources().logical_ranks(), 8);
  EXPECT_EQ(spec.recipe().dataset().train_split(), "test");
  EXPECT_EQ(spec.recipe().model().num_classes(), 20);
  EXPECT_THAT(spec.recipe().model().small_resnet().blocks(), ::testing::ElementsAre(3, 3));
  EXPECT_EQ(spec.recipe().evaluation().sizes(0).resize(), 128);
  EXPECT_FALSE(spec.recipe().checkpoint().every().has_epochs());
  EXPECT_EQ(spec.recipe().augmentation().normalize().mean(0), 0.485);
}

v1::Augmentation Augmented(const std::string& augmentation) {
  return Resolved(SmallSpec({"recipe.augmentation=" + augmentation})).recipe().augmentation();
}

// What a recipe of before these fields is resolved to: its bytes, and its digest, stay.
TEST(ResolveTest, WritesNothingOfAnAugmentationThatIsNotThere) {
  EXPECT_THAT(Augmented("{}"), EqualsProto(R"pb(
                random_resized_crop {
                  scale_min: 0.08
                  scale_max: 1
                  ratio_min: 0.75
                  ratio_max: 1.3333333333333333
                }
                horizontal_flip { probability: 0.5 }
              )pb"));
}

TEST(ResolveTest, WritesTheDefaultsOfEveryAugmentation) {
  EXPECT_THAT(Augmented("{resize: {}, color_jitter: {hue: 0.1}, rand_augment: {}, "
                        "random_erasing: {}, mixup: {}, cutmix: {}}"),
              EqualsProto(R"pb(
                horizontal_flip { probability: 0.5 }
                resize {}
                color_jitter { brightness: 0 contrast: 0 saturation: 0 hue: 0.1 probability: 1 }
                rand_augment { num_ops: 2 magnitude: 9 num_magnitude_bins: 31 }
                random_erasing {
                  probability: 0.5
                  scale_min: 0.02
                  scale_max: 0.33
                  ratio_min: 0.3
                  ratio_max: 3.3
                  noise: false
                }
                mixup { alpha: 0.2 probability: 1 }
                cutmix { alpha: 1 probability: 1 }
              )pb"));
  EXPECT_THAT(Augmented("{center_crop: {}, trivial_augment: {}}"), EqualsProto(R"pb(
                horizontal_flip { probability: 0.5 }
                center_crop { resize_ratio: 1.1428571428571428 }
                trivial_augment { num_magnitude_bins: 31 }
              )pb"));
}

TEST(ResolveTest, FillsTheStagesOfACurriculum) {
  const v1::ExperimentSpec spec = Resolved(
      MultiScaleSpec({"recipe.sampler.multi_scale.curriculum={stages: {list: [{scales: {max: 160}, "
                      "include_base: false}, {from_epoch: 5}]}}"}));
  const v1::StageList& stages = spec.recipe().sampler().multi_scale().curriculum().stages();
  EXPECT_THAT(stages, EqualsProto(R"pb(
                list {
                  scales { min: 128 max: 160 count: 5 divisible_by: 32 }
                  include_base: false
                }
                list {
                  from_epoch: 5
                  scales { min: 128 max: 320 count: 5 divisible_by: 32 }
                  include_base: true
                }
              )pb"));
}

TEST(ResolveTest, GivesTheSixScalarsTheDecayOfTheNetwork) {
  const v1::ExperimentSpec spec =
      Resolved(SmallSpec({"recipe.optimizer={sgd: {weight_decay: 0.0005}}",
                          "recipe.augmentation={range_augment: {target_psnr: {}}}"}));
  EXPECT_EQ(spec.recipe().augmentation().range_augment().weight_decay(), 0.0005);
}

TEST(ResolveTest, ChangesNothingTheSecondTime) {
  for (v1::ExperimentSpec spec :
       {SmallSpec(), MultiScaleSpec({"recipe.augmentation={range_augment: {target_psnr: {}}}"})}) {
    const v1::ExperimentSpec once = Resolved(spec);
    EXPECT_THAT(Resolved(once), EqualsProto(once));
    EXPECT_THAT(Validate(once), IsEmpty());
  }
}

TEST(ResolveTest, NeedsNoDataForASyntheticTask) {
  v1::ExperimentSpec spec = Spec(R"(
api: cvtrain/v1
kind: Experiment
name: synthetic
recipe: {task: synthetic, synthetic: {steps: 100, fail_at_step: 5}}
)");
  CVT_ASSERT_OK(Resolve(&spec, {}));
  EXPECT_THAT(spec.recipe().synthetic(), EqualsProto(R"pb(
                steps: 100
                step_time_ms: 10
                steps_per_epoch: 100
                final_metric: 50
                fail_at_step: 5
                fail_attempts: 1
                failure: FAILURE_USER_ERROR
                checkpoint_bytes: 1024
              )pb"));
  EXPECT_FALSE(spec.recipe().has_dataset());
  EXPECT_FALSE(spec.recipe().has_sampler());
}

absl::Status ResolveSmall(const std::vector<std::string>& changes,
                          const DatasetFacts& facts = FlowerFacts()) {
  v1::ExperimentSpec spec = SmallSpec(changes);
  const v1::ExperimentSpec before = spec;
  const absl::Status status = Resolve(&spec, facts);
  EXPECT_THAT(spec, EqualsProto(before));  // after an error
  return status;
}

TEST(ResolveTest, RefusesWhatDoesNotFitTheData) {
  EXPECT_THAT(ResolveSmall({"recipe.dataset.train_split=trian"}),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("UNKNOWN_NAME"),
                       Message(HasSubstr("did you mean train?"))));
  EXPECT_THAT(ResolveSmall({"recipe.dataset.validation_split=val"}), Reason("UNKNOWN_NAME"));
  EXPECT_THAT(ResolveSmall({"recipe.dataset.version=2"}), Reason("RECIPE_INVALID"));
  EXPECT_THAT(ResolveSmall({"recipe.dataset.digest=" + std::string(64, 'b')}),
              Reason("RECIPE_INVALID"));
  EXPECT_THAT(ResolveSmall({"recipe.model.num_classes=11"}),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("RECIPE_INVALID"),
                       Message(HasSubstr("must be at least 12"))));
  EXPECT_THAT(ResolveSmall({"resources.slots=1000"}),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("RECIPE_INVALID"),
                       Message(HasSubstr("must be at most 720"))));
  DatasetFacts empty = FlowerFacts();
  empty.images_by_split["test"] = 0;
  EXPECT_THAT(ResolveSmall({}, empty), Reason("RECIPE_INVALID"));
}

TEST(ResolveTest, RefusesEndlessTrials) {
  DatasetFacts large = FlowerFacts();
  large.images_by_split["train"] = 10'000'000;
  EXPECT_THAT(ResolveSmall({"recipe.epochs=100000"}, large),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("RECIPE_INVALID"),
                       Message(HasSubstr("more than 20000000 steps"))));
}

TEST(ResolveTest, RefusesASearchThatADefaultContradicts) {
  // start_max becomes scales.min, 128, which the second value leaves behind.
  v1::ExperimentSpec spec = MultiScaleSpec({
      "recipe.sampler.multi_scale.curriculum={linear: {grow_until_epoch: 5}}",
      "search={grid: {parameters: [{parameter: recipe.sampler.multi_scale.scales.min, values: "
      "[96, 160]}]}, objective: {metric: val/top1, mode: max}}",
  });
  EXPECT_THAT(Validate(spec), IsEmpty());
  EXPECT_THAT(Resolve(&spec, FlowerFacts()),
              StatusIs(absl::StatusCode::kInvalidArgument, Message(HasSubstr("values.1"))));
}

TEST(ConcreteRecipeTest, SetsTheParametersOfATrial) {
  const v1::ExperimentSpec spec =
      Resolved(SmallSpec({"recipe.augmentation={range_augment: {target_psnr: {}}}"}));
  CVT_ASSERT_OK_AND_ASSIGN(
      const v1::Recipe recipe,
      ConcreteRecipe(spec, {{"recipe.augmentation.range_augment.target_psnr.end", "5"},
                            {"recipe.precision", "bf16"}}));
  EXPECT_EQ(recipe.augmentation().range_augment().target_psnr().end(), 5);
  EXPECT_EQ(recipe.precision(), v1::Recipe::PRECISION_BF16);
  EXPECT_EQ(recipe.epochs(), spec.recipe().epochs());
  CVT_ASSERT_OK_AND_ASSIGN(const v1::Recipe same, ConcreteRecipe(spec, {}));
  EXPECT_THAT(same, EqualsProto(spec.recipe()));
}

TEST(ConcreteRecipeTest, CompletesAnAugmentationThatTheSearchBringsIn) {
  const v1::ExperimentSpec spec = Resolved(SmallSpec());
  CVT_ASSERT_OK_AND_ASSIGN(
      const v1::Recipe recipe,
      ConcreteRecipe(spec, {{"recipe.augmentation.rand_augment.magnitude", "5"},
                            {"recipe.augmentation.mixup.alpha", "0.8"}}));
  EXPECT_THAT(recipe.augmentation().rand_augment(),
              EqualsProto("num_ops: 2 magnitude: 5 num_magnitude_bins: 31"));
  EXPECT_THAT(recipe.augmentation().mixup(), EqualsProto("alpha: 0.8 probability: 1"));
  EXPECT_THAT(ConcreteRecipe(spec, {{"recipe.augmentation.center_crop.resize_ratio", "1.1"}}),
              Reason("RECIPE_INVALID"))
      << "which random_resized_crop, by default, excludes";
}

TEST(ConcreteRecipeTest, RefusesBadParameters) {
  const v1::ExperimentSpec spec = Resolved(SmallSpec());
  EXPECT_THAT(ConcreteRecipe(spec, {{"recipe.epoch", "5"}}), Reason("UNKNOWN_NAME"));
  EXPECT_THAT(ConcreteRecipe(spec, {{"recipe.epochs", "x"}}), Reason("FIELD_INVALID"));
  EXPECT_THAT(ConcreteRecipe(spec, {{"recipe.epochs", "0"}}), Reason("RECIPE_INVALID"));
}

TEST(RecipeDigestTest, NamesARecipe) {
  const v1::Recipe recipe = Resolved(SmallSpec()).recipe();
  v1::Recipe other = recipe;
  EXPECT_EQ(RecipeDigest(recipe), RecipeDigest(other));
  EXPECT_EQ(RecipeDigest(recipe).size(), 64u);
  other.set_seed(1);
  EXPECT_NE(RecipeDigest(recipe), RecipeDigest(other));
}

TEST(RecipeDigestTest, NeverChanges) {
  v1::Recipe recipe;
  recipe.set_task(v1::Recipe::TASK_CLASSIFICATION);
  recipe.set_epochs(30);
  recipe.set_seed(7);
  EXPECT_EQ(RecipeDigest(recipe),
            "0ed2153e50d218f1918f1e75b9a26f2b49a1248f20c17452d560435112ea577c");
}

constexpr char kRates[] =
    "parameters: [{parameter: recipe.learning_rate.constant.value, uniform: {min: 0.1, max: 1}}]";
constexpr char kTop1[] = "search.objective={metric: val/top1, mode: max}";

TEST(ResolveTest, WritesDefaultsOfSearches) {
  const v1::Search asha =
      Resolved(SmallSpec({absl::StrCat("search={asha: {trials: 4, ", kRates, "}}"), kTop1}))
          .search();
  EXPECT_EQ(asha.asha().reduction_factor(), 4);
  EXPECT_EQ(asha.asha().min_epochs(), 1);
  EXPECT_EQ(asha.replicates(), 1);
  const v1::Search tpe =
      Resolved(SmallSpec({absl::StrCat("search={tpe: {trials: 4, ", kRates, "}}"), kTop1}))
          .search();
  EXPECT_EQ(tpe.tpe().startup_trials(), 10);
  EXPECT_EQ(tpe.tpe().candidates(), 24);
  EXPECT_TRUE(tpe.tpe().has_seed());
  const v1::Search threshold =
      Resolved(SmallSpec({"search={monotone_threshold: {margin: 0.2, over: {parameter: "
                          "recipe.loss.label_smoothing, min: 0, max: 0.5, step: 0.1}}}",
                          kTop1, "search.max_parallel_trials=5"}))
          .search();
  EXPECT_EQ(threshold.monotone_threshold().seek(), v1::MonotoneThresholdSearch::SEEK_SMALLEST);
  EXPECT_EQ(threshold.monotone_threshold().over().ahead(), 5);
  const v1::Search racing =
      Resolved(SmallSpec({absl::StrCat("search={random: {trials: 4, ", kRates, "}}"), kTop1,
                          "search.replicates=3", "search.racing={}"}))
          .search();
  EXPECT_EQ(racing.racing().confidence(), 0.95);
  EXPECT_EQ(racing.racing().min_replicates(), 2) << "three would leave nothing to stop";
}

TEST(ResolveTest, RefusesABudgetThatEndsBeforeTheFirstRung) {
  // An epoch of 720 pictures of ResNet-18 at 96 pixels takes some 1.4e12 FLOPs.
  auto resolve = [](const std::string& method, const std::string& flops) {
    v1::ExperimentSpec spec =
        SmallSpec({absl::StrCat("search={", method, ": {trials: 4, ", kRates, "}}"), kTop1,
                   absl::StrCat("search.budget={flops: ", flops, "}")});
    return Resolve(&spec, FlowerFacts());
  };
  EXPECT_THAT(resolve("asha", "1e11"),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("RECIPE_INVALID"),
                       Message(HasSubstr("search.budget.flops: must be at least"))));
  EXPECT_THAT(resolve("asha", "3e12"), ::cvtrain::testing::IsOk());
  EXPECT_THAT(resolve("random", "3e12"),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("RECIPE_INVALID"),
                       Message(HasSubstr("what one trial needs to its end"))));
}

}  // namespace
}  // namespace cvtrain::plan
