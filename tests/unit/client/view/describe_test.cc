#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "client/view/show.h"
#include "tests/unit/client/view/samples.h"

namespace cvtrain::client {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(DescribeTest, TracesATrialToWhatMadeIt) {
  v1::Trial trial = RunningTrial();
  trial.set_seed(7);
  trial.set_recipe_digest("aaa");
  trial.set_dataset_digest("bbb");
  trial.set_program_version("0.1.0");
  EXPECT_THAT(DescribeText(trial, "task: synthetic\n", Now()),
              AllOf(HasSubstr("Seed:            7\n"), HasSubstr("Recipe digest:   aaa\n"),
                    HasSubstr("Dataset digest:  bbb\n"), HasSubstr("Program version: 0.1.0\n"),
                    HasSubstr("Last, best:      85.5, 87.92\n"),
                    HasSubstr("\nRecipe:\n  task: synthetic\n")));
}

TEST(DescribeTest, SaysNoTotalThatItDoesNotKnow) {
  v1::Trial trial = RunningTrial();
  *trial.mutable_progress() = {};
  trial.mutable_progress()->set_step(200);
  trial.mutable_progress()->set_step_total(200);
  trial.mutable_progress()->set_epoch(4);
  EXPECT_THAT(DescribeText(trial, "", Now()),
              HasSubstr("Progress:        200/200 steps, epoch 4\n"));
}

TEST(DescribeTest, SaysWhichClassIsTakenForWhich) {
  v1::Trial trial = RunningTrial();
  EXPECT_THAT(DescribeText(trial, "", Now()), Not(HasSubstr("Classes in it")));
  v1::ConfusionMatrix& confusion = *trial.add_evaluations()->mutable_confusion();
  confusion.set_classes(3);
  for (int count : {8, 2, 0, 0, 0, 0, 1, 3, 4}) confusion.add_counts(count);
  // The second class has no pictures.
  EXPECT_THAT(DescribeText(trial, "", Now()),
              AllOf(HasSubstr("class 0     80.00 % of 10, 2 taken for class 1\n"),
                    Not(HasSubstr("class 1 ")),
                    HasSubstr("class 2     50.00 % of 8, 3 taken for class 1\n")));
}

TEST(DescribeTest, ShowsWhatASearchHasFound) {
  v1::Experiment sweep = Sweep();
  EXPECT_THAT(DescribeText(sweep, {}, "", Now()), Not(HasSubstr("Search:")));
  sweep.mutable_spec()->mutable_search()->mutable_budget()->set_slot_hours(12);
  v1::Objective& tradeoff = *sweep.mutable_spec()->mutable_search()->add_tradeoffs();
  tradeoff.set_metric("val/loss");
  *sweep.mutable_search() = testing::ParseTextProto<v1::SearchStatus>(R"pb(
    bracket { low: 20 high: 22 low_objective: 74.1 }
    answer: 22
    best {
      parameters { key: "recipe.augmentation.range_augment.target_psnr.end" value: "22" }
      objectives: 75.3
      objectives: 1.25
      replicates: 3
      standard_deviation: 0.21
      trial: "experiments/1/trials/4"
    }
    raced_out: 2
    message: "ends here\x1b"
    used { trials: 6 flops: 4.5e15 slot_hours: 3.5 hours: 1.25 }
  )pb");
  *sweep.mutable_search()->add_front() = sweep.search().best();
  EXPECT_THAT(
      DescribeText(sweep, {}, "", Now()),
      AllOf(HasSubstr("  answer   22\n"), HasSubstr("  bracket  [20, 22], objective 74.1 to ?\n"),
            HasSubstr("  best     target_psnr.end=22: 75.3, deviation 0.21 over 3 seeds\n"),
            HasSubstr("  stopped  2 points that are clearly worse\n"),
            HasSubstr("  used     6 trials, 4.5e+15 FLOPs, 3.5 of 12 slot-hours, 1.25 hours\n"),
            HasSubstr("  note     ends here"), Not(HasSubstr("\x1b")), HasSubstr("val/loss"),
            HasSubstr("1.25")));
}

TEST(DescribeTest, EscapesControlCharacters) {
  v1::Trial trial = RunningTrial();
  trial.set_reason("\x1b]0;owned\x07");
  v1::Attempt& attempt = *trial.add_attempts();
  attempt.set_message("\x1b[2J\n");
  (*trial.add_evaluations()->mutable_metrics())["a\x1b"] = 1;
  EXPECT_THAT(DescribeText(trial, "", Now()),
              AllOf(Not(HasSubstr("\x1b")), Not(HasSubstr("\x07"))));
}

TEST(DescribeTest, ShowsBoxesRungsAndSizesOfADataset) {
  v1::DatasetVersion version;
  version.set_name("datasets/cells/versions/2");
  version.set_format("voc");
  version.set_media(v1::DatasetVersion::MEDIA_IMAGES);
  version.set_boxes(4888);
  version.add_rungs(72);
  version.add_rung_size_bytes(1024);
  version.add_rung_size_bytes(8192);
  v1::Split& split = *version.add_splits();
  split.set_name("train");
  split.set_images(4);
  for (const auto& [side, images] : {std::pair{256, 1}, {384, 3}, {512, 0}}) {
    version.add_short_sides()->set_side(side);
    version.mutable_short_sides()->rbegin()->set_images(images);
  }
  const std::string text = DescribeText(version, Now());
  EXPECT_THAT(text, AllOf(HasSubstr("Format:          voc\n"),
                          HasSubstr("Media:           images\n"), HasSubstr("Samples:         4\n"),
                          HasSubstr("Boxes:           4888\n"), Not(HasSubstr("Masks:"))));
  EXPECT_THAT(text, AllOf(HasSubstr("  256-383px   1       " + std::string(14, '#') + "\n"),
                          HasSubstr("  384-511px   3       " + std::string(40, '#') + "\n"),
                          Not(HasSubstr("512px"))));
  EXPECT_THAT(text,
              AllOf(HasSubstr("  72px    1 KiB  256 B\n"), HasSubstr("  source  8 KiB  2 KiB\n")));
  version.mutable_short_sides()->RemoveLast();
  EXPECT_THAT(DescribeText(version, Now()), HasSubstr("  384px and more  3  "));
}

TEST(DescribeTest, ShowsTheTrialsOfAnExperiment) {
  EXPECT_THAT(DescribeText(Sweep(), {RunningTrial()}, "name: psnr\n", Now()),
              AllOf(HasSubstr("Best value:      88.25\n"), HasSubstr("\nTrials:\n"),
                    HasSubstr("trial/1.1"), HasSubstr("\nSpecification:\n  name: psnr\n")));
}

TEST(DescribeTest, SaysThatACheckpointIsDamaged) {
  v1::Checkpoint checkpoint;
  EXPECT_THAT(DescribeText(checkpoint, Now()), Not(HasSubstr("Damaged")));
  checkpoint.set_damaged(true);
  EXPECT_THAT(DescribeText(checkpoint, Now()), HasSubstr("Damaged:"));
}

TEST(PreviewTest, ShowsRecipeStagesTrialsAndWarnings) {
  const auto preview = testing::ParseTextProto<v1::PreviewExperimentResponse>(R"pb(
    stages {
      to_epoch: 2
      sizes { height: 96 width: 96 batch_size: 32 }
      steps: 10
      images: 320
      flops: 2e9
      duration { seconds: 95 nanos: 1 }
    }
    duration_basis: "measured in experiments/1/trials/1\x1b"
    trials { parameters { key: "recipe.epochs" value: "5" } }
    trial_count: 1
    warnings: "slow\x1b"
  )pb");
  EXPECT_THAT(
      PreviewText(preview, "epochs: 5\n"),
      AllOf(HasSubstr("Recipe, with every default:\n  epochs: 5\n"), HasSubstr("96:32"),
            HasSubstr("10 steps, 320 images, 2G FLOPs, about 1m36s a trial\n"),
            HasSubstr("epochs=5"), HasSubstr("Times: measured in experiments/1/trials/1\\x1b"),
            HasSubstr("slow\\x1b"), HasSubstr("Nothing was submitted.")));
}

}  // namespace
}  // namespace cvtrain::client
