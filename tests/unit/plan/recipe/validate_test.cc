#include "plan/recipe/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/plan/recipe/specs.h"

namespace cvtrain::plan {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

std::vector<std::string> Lines(const v1::ExperimentSpec& spec) {
  std::vector<std::string> lines;
  for (const FieldViolation& violation : Validate(spec)) lines.push_back(ToString(violation));
  return lines;
}

struct Case {
  std::string change;
  std::string violation;  // the begin of the only one; empty: valid
};

void ExpectCases(absl::string_view yaml, const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.change);
    const std::vector<std::string> lines = Lines(Spec(yaml, {c.change}));
    if (c.violation.empty()) {
      EXPECT_THAT(lines, IsEmpty());
    } else {
      EXPECT_THAT(lines, ElementsAre(StartsWith(c.violation)));
    }
  }
}

TEST(ValidateTest, AcceptsWhatCanRun) {
  EXPECT_THAT(Lines(SmallSpec()), IsEmpty());
  EXPECT_THAT(Lines(MultiScaleSpec()), IsEmpty());
  EXPECT_THAT(ValidateExperiment(SmallSpec()), IsOk());
}

TEST(ValidateTest, ChecksTheExperiment) {
  ExpectCases(kSmallExperiment,
              {{"api=cvtrain/v2", "api: must be cvtrain/v1, got 'cvtrain/v2'"},
               {"kind=Sweep", "kind: must be Experiment"},
               {"name=''", "name: is required"},
               {"name=a/b", "name: must be a name"},
               {"project=-x", "project: must be a name"},
               {"begin_after='2026-12-01T08:00:00Z'", ""},
               {"begin_after=tomorrow", "begin_after: 'tomorrow': must be a time with a zone"},
               {"after=[exp/7:ok, trial/7.1:failed, '3', sweep/2:end]", ""},
               {"after=[exp/7:soon]", "after.0: 'soon': must be ok, failed or end"},
               {"after=[worker/w1]", "after.0: 'worker/w1': must be an experiment or a trial"},
               {"labels={Team: x}", "labels: must be a name"},
               {"labels={team: 'a b'}", "labels.team: must be a name"},
               {"labels={team: vision}", ""},
               {"priority=100", ""},
               {"priority=101", "priority: must be in [0, 100], got 101"},
               {"resources={slots: 0}", "resources.slots: must be in [1, 1024]"},
               {"resources={slots: 1025}", "resources.slots: must be in [1, 1024]"},
               {"resources={slots: 4, logical_ranks: 3}",
                "resources.logical_ranks: must be in [4, 1024], got 3"},
               {"resources={slots: 4, logical_ranks: 8}", ""},
               {"retry={user_max: -1}", "retry.user_max: must be in [0, 100]"},
               {"retry={out_of_memory_max: 101}", "retry.out_of_memory_max"},
               {"retry={infrastructure_max: 1001}", "retry.infrastructure_max"},
               {"description=\"a\\nb\"", ""},
               {"description=\"a\\eb\"", "description: must have no control characters"},
               {"description=two words", ""}});
}

TEST(ValidateTest, BoundsEveryText) {
  v1::ExperimentSpec spec = SmallSpec();
  spec.set_description(std::string(1024, 'x'));
  EXPECT_THAT(Lines(spec), IsEmpty());
  spec.set_description(std::string(1025, 'x'));
  EXPECT_THAT(Lines(spec), ElementsAre("description: must be at most 1024 bytes, got 1025"));
}

TEST(ValidateTest, ChecksWhatAReaderCouldNotHaveWritten) {
  v1::ExperimentSpec spec = SmallSpec();
  spec.mutable_recipe()->mutable_loss()->set_label_smoothing(
      std::numeric_limits<double>::quiet_NaN());
  EXPECT_THAT(Lines(spec), ElementsAre("recipe.loss.label_smoothing: must be finite, got nan"));
  spec = SmallSpec();
  spec.mutable_recipe()->set_precision(static_cast<v1::Recipe::Precision>(77));
  EXPECT_THAT(Lines(spec), ElementsAre("recipe.precision: must be a known value, got 77"));
}

TEST(ValidateTest, TellsAllThatIsMissing) {
  v1::ExperimentSpec spec;
  EXPECT_THAT(Lines(spec), ElementsAre("api: must be cvtrain/v1", "kind: must be Experiment",
                                       "name: is required", "recipe: is required"));
  spec = SmallSpec();
  spec.mutable_recipe()->Clear();
  EXPECT_THAT(Lines(spec),
              ElementsAre("recipe.task: is required: one of classification, synthetic"));
  spec.mutable_recipe()->set_task(v1::Recipe::TASK_CLASSIFICATION);
  EXPECT_THAT(Lines(spec),
              ElementsAre("recipe.dataset.name: is required",
                          "recipe.model: is required: one of alexnet, convmixer, efficientnet, "
                          "mobilenet_v1, mobilenet_v2, mobilenet_v3, preresnet, resnet, "
                          "small_resnet, swin, vgg, vit",
                          "recipe.epochs: is required: a number in [1, 100000]",
                          "recipe.sampler: is required: one of single_scale, multi_scale",
                          "recipe.learning_rate: is required: one of cosine, constant, step, "
                          "polynomial, one_cycle"));
}

TEST(ValidateTest, ChecksDataAndModel) {
  ExpectCases(
      kSmallExperiment,
      {{"recipe.dataset.name=../x", "recipe.dataset.name: must be a name"},
       {"recipe.dataset.version=-1", "recipe.dataset.version"},
       {"recipe.dataset.digest=abc", "recipe.dataset.digest"},
       {"recipe.dataset.train_split=a/b", "recipe.dataset.train_split: must be a name"},
       {"recipe.model={resnet: {depth: 19}}",
        "recipe.model.resnet.depth: must be 18, 34, 50, 101 or 152"},
       {"recipe.model={}", "recipe.model: is required"},
       {"recipe.model={small_resnet: {widths: [4]}}", "recipe.model.small_resnet.widths.0"},
       {"recipe.model={small_resnet: {widths: [8,8,8,8,8,8,8,8,8]}}",
        "recipe.model.small_resnet.widths: must have 1 to 8"},
       {"recipe.model={small_resnet: {blocks: [2, 2]}}",
        "recipe.model.small_resnet.blocks: must have one entry, or 4"},
       {"recipe.model={small_resnet: {widths: [8, 16], blocks: [1, 2]}}", ""},
       {"recipe.model={small_resnet: {blocks: [65]}}", "recipe.model.small_resnet.blocks.0"},
       {"recipe.model.num_classes=0", "recipe.model.num_classes: must be in [1, 100000]"},
       {"recipe.epochs=0", "recipe.epochs: must be in [1, 100000], got 0"},
       {"recipe.epochs=100001", "recipe.epochs: must be in [1, 100000]"}});
}

TEST(ValidateTest, ChecksTheSampler) {
  const std::string scales = "recipe.sampler.multi_scale.scales";
  ExpectCases(kMultiScaleExperiment,
              {{"recipe.sampler={}", "recipe.sampler: is required"},
               {"recipe.sampler={single_scale: {height: 96, width: 96}}",
                "recipe.sampler.single_scale.batch_size: is required"},
               {"recipe.sampler={multi_scale: {scales: {min: 96, max: 128}}}",
                "recipe.sampler.multi_scale.base: is required"},
               {"recipe.sampler={multi_scale: {base: {height: 96, width: 96, batch_size: 8}}}",
                "recipe.sampler.multi_scale.scales: is required"},
               {scales + ".min=4", scales + ".min: must be in [8, 4096], got 4"},
               {scales + ".min=400", scales + ".max: must be at least min, 400, got 320"},
               {scales + ".max=5000", scales + ".max: must be in [8, 4096]"},
               {scales + ".count=0", scales + ".count: must be in [1, 64]"},
               {scales + ".divisible_by=0", scales + ".divisible_by: must be in [1, 512]"},
               {"recipe.sampler.multi_scale.base.batch_size=0",
                "recipe.sampler.multi_scale.base.batch_size: is required"},
               {"recipe.sampler.multi_scale.base={height: 200, width: 224, batch_size: 64}",
                "recipe.sampler.multi_scale.base: must have height and width"},
               {"recipe.sampler.multi_scale.base={height: 176, width: 224, batch_size: 64}", ""},
               {"recipe.sampler.multi_scale.base={height: 4096, width: 4096, batch_size: 1024}",
                "recipe.sampler.multi_scale.base.batch_size: must give at most 65536 images"}});
}

TEST(ValidateTest, ChecksTheCurriculum) {
  const std::string curriculum = "recipe.sampler.multi_scale.curriculum";
  const std::string list = curriculum + ".stages.list";
  ExpectCases(
      kMultiScaleExperiment,
      {{curriculum + "={}", curriculum + ": must be one of linear, stages"},
       {curriculum + "={linear: {}}", curriculum + ".linear.grow_until_epoch: is required"},
       {curriculum + "={linear: {grow_until_epoch: 10}}", ""},
       {curriculum + "={linear: {grow_until_epoch: 11}}",
        curriculum + ".linear.grow_until_epoch: must be in [1, 10], got 11"},
       {curriculum + "={linear: {grow_until_epoch: 5, start_max: 100}}",
        curriculum + ".linear.start_max: must be in [128, 320], got 100"},
       {curriculum + "={stages: {list: []}}", list + ": must have 1 to 1000 entries"},
       {curriculum + "={stages: {list: [{from_epoch: 1}]}}", list + ".0.from_epoch: must be 0"},
       {curriculum + "={stages: {list: [{from_epoch: 0}, {from_epoch: 5}, {from_epoch: 3}]}}",
        list + ".2.from_epoch: must be after that of the stage before, 5, got 3"},
       {curriculum + "={stages: {list: [{from_epoch: 0}, {from_epoch: 10}]}}",
        list + ".1.from_epoch: must be before the end, epoch 10"},
       {curriculum + "={stages: {list: [{scales: {min: 330}}]}}",
        list + ".0.scales.max: must be at least min, 330, got 320"},
       {curriculum + "={stages: {list: [{scales: {count: 65}}]}}", list + ".0.scales.count"},
       {curriculum + "={stages: {list: [{scales: {max: 160}}, {from_epoch: 5}]}}", ""}});
}

TEST(ValidateTest, ChecksTheAugmentation) {
  const std::string a = "recipe.augmentation.";
  const std::string range = a + "range_augment";
  ExpectCases(kSmallExperiment,
              {{a + "random_resized_crop={scale_min: 0}",
                a + "random_resized_crop.scale_min: must be in (0, 1]"},
               {a + "random_resized_crop={scale_min: 0.5, scale_max: 0.4}",
                a + "random_resized_crop.scale_max: must be at least scale_min, 0.5, got 0.4"},
               {a + "random_resized_crop={ratio_max: 11}",
                a + "random_resized_crop.ratio_max: must be in [0.1, 10]"},
               {a + "horizontal_flip={probability: 1.1}", a + "horizontal_flip.probability"},
               {a + "normalize={mean: [1, 2]}", a + "normalize.mean: must have three entries"},
               {a + "normalize={std: [1, 0, 1]}", a + "normalize.std.1: must be positive"},
               {a + "normalize={}", ""},
               {range + "={}", range + ".target_psnr: is required"},
               {range + "={target_psnr: {}}", ""},
               {range + "={target_psnr: {start: 40, end: -1}}",
                range + ".target_psnr.end: must be in [0, 100], got -1"},
               {range + "={target_psnr: {}, operations: [noise, noise]}",
                range + ".operations.1: is given twice"},
               {range + "={target_psnr: {}, alpha: 0}", range + ".alpha: must be positive"},
               {range + "={target_psnr: {}, start: {noise: {low: 0.1, high: 0.5}}}",
                range + ".start.noise.low: must be in [0, 5e-05], got 0.1"},
               {range + "={target_psnr: {}, start: {brightness: {low: 0.7, high: 1}}}",
                range + ".start.brightness.high: must be in [1.1, 10], got 1"},
               {range + "={target_psnr: {}, learning_rate_multiplier: 0}",
                range + ".learning_rate_multiplier: must be in (0, 100]"},
               {range + "={target_psnr: {}, weight_decay: -1}", range + ".weight_decay"}});
}

TEST(ValidateTest, ChecksThatThereIsOneCutAndOnePolicy) {
  const std::string a = "recipe.augmentation";
  ExpectCases(
      kSmallExperiment,
      {{a + "={resize: {}}", ""},
       {a + "={center_crop: {}}", ""},
       {a + "={resize: {}, center_crop: {}}",
        a + ".center_crop: cannot be given together with resize: at most one of "
            "random_resized_crop, resize, center_crop"},
       {a + "={random_resized_crop: {}, resize: {}}",
        a + ".resize: cannot be given together with random_resized_crop"},
       {a + "={random_resized_crop: {}, center_crop: {}}", a + ".center_crop: cannot be given"},
       {a + "={rand_augment: {}, trivial_augment: {}}",
        a + ".trivial_augment: cannot be given together with rand_augment: at most one of "
            "rand_augment, trivial_augment, auto_augment"},
       {a + "={trivial_augment: {}, auto_augment: {policy: cifar10}}",
        a + ".auto_augment: cannot be given together with trivial_augment"},
       {a + "={rand_augment: {}, auto_augment: {policy: imagenet}}",
        a + ".auto_augment: cannot be given together with rand_augment"},
       {a + "={mixup: {}, cutmix: {}, color_jitter: {}, random_erasing: {}}", ""}});
}

TEST(ValidateTest, ChecksTheRangesOfTheAugmentations) {
  const std::string a = "recipe.augmentation.";
  const std::string rand = a + "rand_augment";
  const std::string erasing = a + "random_erasing";
  ExpectCases(
      kSmallExperiment,
      {{a + "center_crop={resize_ratio: 0.9}",
        a + "center_crop.resize_ratio: must be in [1, 4], got 0.9"},
       {a + "center_crop={resize_ratio: 1}", ""},
       {a + "center_crop={resize_ratio: 4.1}", a + "center_crop.resize_ratio"},
       {a + "color_jitter={brightness: -1}", a + "color_jitter.brightness: must be in [0, 10]"},
       {a + "color_jitter={contrast: 10.5}", a + "color_jitter.contrast: must be in [0, 10]"},
       {a + "color_jitter={saturation: 11}", a + "color_jitter.saturation: must be in [0, 10]"},
       {a + "color_jitter={hue: 0.6}", a + "color_jitter.hue: must be in [0, 0.5], got 0.6"},
       {a + "color_jitter={hue: 0.5, brightness: 10}", ""},
       {a + "color_jitter={probability: 2}", a + "color_jitter.probability: must be in [0, 1]"},
       {rand + "={num_ops: 0}", rand + ".num_ops: must be in [1, 14], got 0"},
       {rand + "={num_ops: 15}", rand + ".num_ops: must be in [1, 14]"},
       {rand + "={magnitude: 31}", rand + ".magnitude: must be in [0, 30], got 31"},
       {rand + "={magnitude: -1}", rand + ".magnitude: must be in [0, 30]"},
       {rand + "={num_magnitude_bins: 8}", rand + ".magnitude: must be in [0, 7], got 9"},
       {rand + "={num_magnitude_bins: 8, magnitude: 7, num_ops: 14}", ""},
       {rand + "={num_magnitude_bins: 1}", rand + ".num_magnitude_bins: must be in [2, 1024]"},
       {a + "trivial_augment={num_magnitude_bins: 1}", a + "trivial_augment.num_magnitude_bins"},
       {a + "trivial_augment={num_magnitude_bins: 1024}", ""},
       {a + "auto_augment={}", a + "auto_augment.policy: is required: one of imagenet, cifar10"},
       {erasing + "={probability: -0.1}", erasing + ".probability: must be in [0, 1]"},
       {erasing + "={scale_min: 0}", erasing + ".scale_min: must be in (0, 1]"},
       {erasing + "={scale_min: 0.4}",
        erasing + ".scale_max: must be at least scale_min, 0.4, got 0.33"},
       {erasing + "={ratio_max: 0.2}",
        erasing + ".ratio_max: must be at least ratio_min, 0.3, got 0.2"},
       {erasing + "={ratio_min: 0.05}", erasing + ".ratio_min: must be in [0.1, 10]"},
       {a + "mixup={alpha: 0}", a + "mixup.alpha: must be in (0, 10], got 0"},
       {a + "mixup={probability: 1.5}", a + "mixup.probability: must be in [0, 1]"},
       {a + "cutmix={alpha: 10.1}", a + "cutmix.alpha: must be in (0, 10]"},
       {a + "cutmix={probability: -1}", a + "cutmix.probability: must be in [0, 1]"}});
}

TEST(ValidateTest, ChecksLossOptimizerAndRate) {
  const std::string rate = "recipe.learning_rate";
  ExpectCases(
      kSmallExperiment,
      {{"recipe.loss={label_smoothing: 1}",
        "recipe.loss.label_smoothing: must be in [0, 1), got 1"},
       {"recipe.optimizer={}", "recipe.optimizer: must be one of sgd, adamw"},
       {"recipe.optimizer={adamw: {}, clip_norm: 1}", ""},
       {"recipe.optimizer={adamw: {beta1: 1}}", "recipe.optimizer.adamw.beta1: must be in [0, 1)"},
       {"recipe.optimizer={adamw: {beta2: -1}}", "recipe.optimizer.adamw.beta2: must be in [0, 1)"},
       {"recipe.optimizer={adamw: {epsilon: 0}}",
        "recipe.optimizer.adamw.epsilon: must be in (0, 1]"},
       {"recipe.optimizer={adamw: {weight_decay: 2}}", "recipe.optimizer.adamw.weight_decay"},
       {"recipe.optimizer={sgd: {}, clip_norm: 0}",
        "recipe.optimizer.clip_norm: must be in (0, 1000000]"},
       {"recipe.optimizer={sgd: {momentum: 1}}", "recipe.optimizer.sgd.momentum"},
       {"recipe.optimizer={sgd: {weight_decay: -0.1}}", "recipe.optimizer.sgd.weight_decay"},
       {"recipe.optimizer={sgd: {nesterov: true}}", ""},
       {"recipe.optimizer={sgd: {nesterov: true, momentum: 0}}",
        "recipe.optimizer.sgd.nesterov: needs a momentum"},
       {rate + "={}", rate + ": is required"},
       {rate + "={constant: {value: 11}}", rate + ".constant.value: must be in (0, 10], got 11"},
       {rate + "={constant: {value: -1}}", rate + ".constant.value: must be in (0, 10], got -1"},
       {rate + "={constant: {}}", rate + ".constant.value: is required"},
       {rate + "={cosine: {max: 0.1, min: 0.2}}", rate + ".cosine.min: must be in [0, 0.1]"},
       {rate + "={cosine: {max: 0.1, warmup_init: 0.2}}", rate + ".cosine.warmup_init"},
       {rate + "={cosine: {max: 0.1, warmup_steps: 10000001}}", rate + ".cosine.warmup_steps"},
       {rate + "={cosine: {max: 0.1, warmup_epochs: 11}}",
        rate + ".cosine.warmup_epochs: must be in [0, 10]"},
       {rate + "={cosine: {max: 0.1, warmup_epochs: 1, warmup_steps: 5}}",
        rate + ".cosine.warmup_epochs: cannot be given together with warmup_steps"},
       {rate + "={step: {max: 0.1, milestones: [3, 6], gamma: 0.2}}", ""},
       {rate + "={step: {max: 0.1, every_epochs: 3, warmup_epochs: 1}}", ""},
       {rate + "={step: {max: 0.1}}", rate + ".step: must have exactly one of milestones"},
       {rate + "={step: {max: 0.1, milestones: [3], every_epochs: 3}}", rate + ".step: must have"},
       {rate + "={step: {max: 0.1, milestones: [3, 3]}}",
        rate + ".step.milestones.1: must come after the milestone before it, got 3"},
       {rate + "={step: {max: 0.1, milestones: [11]}}",
        rate + ".step.milestones.0: must be in [1, 10]"},
       {rate + "={step: {max: 0.1, every_epochs: 0}}", rate + ".step.every_epochs"},
       {rate + "={step: {max: 0.1, every_epochs: 3, gamma: 0}}", rate + ".step.gamma"},
       {rate + "={polynomial: {max: 0.1, power: 0.9, warmup_steps: 5}}", ""},
       {rate + "={polynomial: {max: 0.1, min: 0.2}}", rate + ".polynomial.min"},
       {rate + "={polynomial: {max: 0.1, power: 0}}", rate + ".polynomial.power"},
       {rate + "={one_cycle: {max: 0.1, anneal: linear}}", ""},
       {rate + "={one_cycle: {max: 0.1, pct_start: 1}}",
        rate + ".one_cycle.pct_start: must be in (0, 1)"},
       {rate + "={one_cycle: {max: 0.1, div_factor: 0.5}}", rate + ".one_cycle.div_factor"},
       {rate + "={one_cycle: {max: 0.1, final_div_factor: 0}}",
        rate + ".one_cycle.final_div_factor"},
       {rate + "={one_cycle: {}}", rate + ".one_cycle.max: is required"}});
}

TEST(ValidateTest, ChecksAveragesPartsAndWhatIsFrozen) {
  ExpectCases(
      kSmallExperiment,
      {{"recipe.ema={decay: 0.999, every_steps: 8}", ""},
       {"recipe.ema={decay: 1}", "recipe.ema.decay: must be in [0, 1), got 1"},
       {"recipe.ema={every_steps: 0}", "recipe.ema.every_steps: must be in [1, 1000000]"},
       {"recipe.micro_batches=4", ""},
       {"recipe.micro_batches=0", "recipe.micro_batches: must be in [1, 1024], got 0"},
       {"recipe.precision=fp16", ""},
       {"recipe.frozen=[conv1, bn1]", ""},
       {"recipe.init_from={checkpoint: checkpoints/9f3c5d1e-0b7a-4c66-8f0e-2f6f1c0d9a11}", ""},
       {"recipe.init_from={except: [fc]}", "recipe.init_from.checkpoint: is required"},
       {"recipe.init_from={checkpoint: best.pt}",
        "recipe.init_from.checkpoint: must be a checkpoint: checkpoints/{uuid}, got"},
       {"recipe.frozen=[conv1, conv1]", "recipe.frozen.1: is given twice"},
       {"recipe.evaluation={confusion_matrix: true}", ""}});
  v1::ExperimentSpec spec = SmallSpec({"recipe.evaluation={confusion_matrix: true}"});
  spec.mutable_recipe()->mutable_model()->set_num_classes(129);
  EXPECT_THAT(Lines(spec), ElementsAre(HasSubstr("needs at most 128 classes")));
}

TEST(ValidateTest, ChecksEvaluationAndCheckpoints) {
  const std::string e = "recipe.evaluation.";
  ExpectCases(kSmallExperiment,
              {{e + "every_epochs=11", e + "every_epochs: must be in [1, 10]"},
               {e + "batch_size=0", e + "batch_size"},
               {e + "sizes=[{resize: 64}]", e + "sizes.0.crop: is required"},
               {e + "sizes=[{crop: 64}, {crop: 64}]", e + "sizes.1.crop: is given twice"},
               {e + "sizes=[{crop: 64, resize: 32}]", e + "sizes.0.resize: must be in [64, 8192]"},
               {e + "conditions=[{noise: 0.1}]", e + "conditions.0.name: is required"},
               {e + "conditions=[{name: a}, {name: a}]", e + "conditions.1.name: is given twice"},
               {e + "conditions=[{name: clean, noise: 0.1}]", e + "conditions.0.noise: must be 0"},
               {e + "conditions=[{name: mean}]", e + "conditions.0.name: must not be mean"},
               {e + "conditions=[{name: a/b}]", e + "conditions.0.name: must be a name"},
               {e + "conditions=[{name: noisy, noise: 2}]", e + "conditions.0.noise"},
               {"recipe.checkpoint={every: {}}", "recipe.checkpoint.every: must have exactly one"},
               {"recipe.checkpoint={every: {epochs: 1, steps: 5}}", "recipe.checkpoint.every"},
               {"recipe.checkpoint={every: {epochs: -1}}", "recipe.checkpoint.every"},
               {"recipe.checkpoint={keep_best: 101}", "recipe.checkpoint.keep_best"},
               {"recipe.checkpoint={keep_last: 0}", "recipe.checkpoint.keep_last"},
               {"recipe.synthetic={steps: 5}", "recipe.synthetic: is only for task synthetic"}});
}

TEST(ValidateTest, ChecksCorruptions) {
  const std::string c = "recipe.evaluation.conditions";
  const std::string first = c + ".0.";
  ExpectCases(
      kSmallExperiment,
      {{c + "=[{name: fog, corruption: fog}]", ""},
       {c + "=[{name: fog, corruption: fog, severities: [5, 1], levels: cifar10_c}]", ""},
       {c + "=[{name: fog, corruption: fog, severities: [0]}]",
        first + "severities.0: must be in [1, 5], got 0"},
       {c + "=[{name: fog, corruption: fog, severities: [1, 6]}]",
        first + "severities.1: must be in [1, 5], got 6"},
       {c + "=[{name: fog, corruption: fog, severities: [2, 2]}]",
        first + "severities.1: is given twice, got 2"},
       {c + "=[{name: fog, severities: [1]}]", first + "severities: is only for a condition with"},
       {c + "=[{name: fog, levels: imagenet_c}]", first + "levels: is only for a condition with"},
       {c + "=[{name: fog, corruption: fog, noise: 0.1}]",
        first + "corruption: cannot be given together with noise"},
       {c + "=[{name: fog, corruption: fog, noise: 0}]", ""},
       {c + "=[{name: clean, corruption: fog}]", first + "corruption: must not be given for"}});
}

TEST(ValidateTest, ConditionsAreThirtyTwoAtMost) {
  const auto spec_with = [](int conditions, int sizes) {
    v1::ExperimentSpec spec = SmallSpec({});
    v1::Evaluation& evaluation = *spec.mutable_recipe()->mutable_evaluation();
    for (int i = 0; i < conditions; ++i) {
      v1::EvaluationCondition& condition = *evaluation.add_conditions();
      condition.set_name(absl::StrCat("fog", i));
      condition.set_corruption(v1::EvaluationCondition::CORRUPTION_FOG);
    }
    for (int i = 0; i < sizes; ++i) evaluation.add_sizes()->set_crop(32 + i);
    return spec;
  };
  EXPECT_THAT(Lines(spec_with(32, 6)), IsEmpty());
  EXPECT_THAT(Lines(spec_with(33, 1)),
              ElementsAre(HasSubstr("conditions: must have at most 32 entries, got 33")));
  EXPECT_THAT(Lines(spec_with(32, 7)),
              ElementsAre(HasSubstr("must give at most 200 pairs with sizes, got 224")));
}

TEST(ValidateTest, ChecksTheSyntheticTask) {
  constexpr absl::string_view kSynthetic = R"(
api: cvtrain/v1
kind: Experiment
name: synthetic
recipe: {task: synthetic, synthetic: {steps: 100}}
)";
  const std::string s = "recipe.synthetic.";
  ExpectCases(kSynthetic, {{s + "steps=100", ""},
                           {s + "steps=0", s + "steps: is required"},
                           {s + "steps=100000001", s + "steps: must be in"},
                           {s + "step_time_ms=-1", s + "step_time_ms"},
                           {s + "steps_per_epoch=101", s + "steps_per_epoch: must be in [1, 100]"},
                           {s + "fail_at_step=101", s + "fail_at_step"},
                           {s + "failure=crash", s + "fail_at_step: is required with"},
                           {s + "checkpoint_bytes=2000000000", s + "checkpoint_bytes"}});
}

TEST(ViolationsToStatusTest, ChoosesTheReason) {
  EXPECT_THAT(ViolationsToStatus({}), IsOk());
  EXPECT_THAT(ValidateExperiment(SmallSpec({"recipe.dataset.name=../x"})),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("BAD_RESOURCE_NAME")));
  EXPECT_THAT(ValidateExperiment(SmallSpec({"name=''"})), Reason("RECIPE_INVALID"));
  EXPECT_THAT(ValidateExperiment(SmallSpec({"name=a/b", "recipe.epochs=0"})),
              Reason("RECIPE_INVALID"));
}

}  // namespace
}  // namespace cvtrain::plan
