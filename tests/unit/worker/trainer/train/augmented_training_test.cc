// A few steps with everything that may be done to pictures at once, from shards of JPEG files to
// checkpoints.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "common/thread.h"
#include "plan/recipe/resolve.h"
#include "tests/support/proto_matchers.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/worker/trainer/data/photo_dataset.h"
#include "tests/unit/worker/trainer/support/fakes.h"
#include "tests/unit/worker/trainer/train/attempt_fixtures.h"
#include "worker/trainer/data/shard_batch_source.h"
#include "worker/trainer/train/attempt.h"

namespace cvtrain::trainer {
namespace {

using ::cvtrain::testing::ParseTextProto;
using ::testing::SizeIs;

constexpr int kImages = 16;

constexpr char kAugmentedRecipe[] = R"pb(
  task: TASK_CLASSIFICATION
  dataset { name: "photos" train_split: "train" validation_split: "test" }
  model {
    small_resnet { widths: 8 blocks: 1 stem: STEM_CIFAR zero_init_residual: true }
    num_classes: 3
  }
  epochs: 2
  sampler {
    multi_scale {
      base { height: 24 width: 24 batch_size: 4 }
      scales { min: 16 max: 32 count: 3 divisible_by: 8 }
      variable_batch: true
      include_base: true
    }
  }
  augmentation {
    random_resized_crop { scale_min: 0.08 scale_max: 1 ratio_min: 0.75 ratio_max: 1.33 }
    horizontal_flip { probability: 0.5 }
    color_jitter { brightness: 0.4 contrast: 0.4 saturation: 0.4 hue: 0.1 probability: 0.8 }
    rand_augment { num_ops: 2 magnitude: 9 num_magnitude_bins: 31 }
    range_augment {
      target_psnr { start: 40 end: 20 curve: CURVE_COSINE }
      operations: OPERATION_BRIGHTNESS
      operations: OPERATION_NOISE
      alpha: 100
    }
    normalize { mean: 0.485 mean: 0.456 mean: 0.406 std: 0.229 std: 0.224 std: 0.225 }
    random_erasing {
      probability: 0.5
      scale_min: 0.02
      scale_max: 0.33
      ratio_min: 0.3
      ratio_max: 3.3
      noise: true
    }
    mixup { alpha: 0.2 probability: 1 }
    cutmix { alpha: 1 probability: 1 }
  }
  loss { label_smoothing: 0.1 }
  optimizer { sgd { momentum: 0.9 } }
  learning_rate { constant { value: 0.02 } }
  evaluation {
    every_epochs: 2
    sizes { resize: 27 crop: 24 }
    conditions { name: "clean" }
    batch_size: 4
  }
  checkpoint { every { epochs: 2 } }
  precision: PRECISION_FP32
  seed: 7
)pb";

v1::Start MakeStart(const PhotoDataset& photos, const cvtrain::v1::Recipe& recipe) {
  v1::Start start;
  start.set_attempt("experiments/1/trials/2/attempts/1");
  *start.mutable_recipe() = recipe;
  start.set_recipe_digest(std::string(64, 'a'));
  start.set_plan_version(plan::kPlanVersion);
  *start.mutable_dataset() = photos.version();
  start.set_world_size(1);
  start.set_logical_ranks(2);
  start.set_threads(1);
  return start;
}

struct TrainOptions {
  int world_size = 1;      // processes, each a thread here
  int decode_threads = 1;  // of each
  int64_t stop_after = -1;
  // Where it goes on from; empty: from the start.
  std::string checkpoint = {};
};

std::vector<std::unique_ptr<Rank>> Train(const cvtrain::v1::Recipe& recipe,
                                         const TrainOptions& options) {
  at::globalContext().setDeterministicAlgorithms(true, false);
  PhotoDataset photos({{.name = "test", .images = 4}, {.name = "train", .images = kImages}});
  const BatchSourceFactory sources = [&](const BatchSourceContext& context) {
    return NewShardBatchSource(context, photos,
                               {.decode_threads = options.decode_threads, .nice = 0});
  };
  v1::Start start = MakeStart(photos, recipe);
  start.set_world_size(options.world_size);
  if (!options.checkpoint.empty()) start = ResumeFrom(start, options.checkpoint);
  InMemoryStore store;
  std::vector<std::unique_ptr<Rank>> ranks;
  std::vector<std::unique_ptr<Thread>> threads;
  for (int i = 0; i < options.world_size; ++i) {
    ranks.push_back(std::make_unique<Rank>());
    if (options.stop_after >= 0) {
      ranks.back()->host.StopAfter(options.stop_after, {.mode = StopRequest::Mode::kCheckpoint,
                                                        .cause = cvtrain::v1::CAUSE_PAUSED});
    }
    start.set_rank(i);
    threads.push_back(std::make_unique<Thread>("rank", [&, start,
                                                        rank = ranks.back().get()](StopToken) {
      rank->result = RunAttempt(start, start.has_resume() ? FileOf(options.checkpoint) : UniqueFd(),
                                {.host = rank->host,
                                 .checkpoints = rank->sink,
                                 .store = store,
                                 .batch_sources = sources,
                                 .clock = RealClock()});
    }));
  }
  threads.clear();
  return ranks;
}

std::vector<double> LossesOf(const Rank& rank) {
  std::vector<double> losses;
  for (const auto& [step, loss] : rank.host.Points("loss")) losses.push_back(loss);
  return losses;
}

TEST(AugmentedTrainingTest, TrainsWithEverythingOnWhateverDecodesThePictures) {
  const auto recipe = ParseTextProto<cvtrain::v1::Recipe>(kAugmentedRecipe);
  const auto one = Train(recipe, {});
  ASSERT_EQ(one[0]->result.cause, cvtrain::v1::CAUSE_FINISHED) << one[0]->result.message;
  const std::vector<double> losses = LossesOf(*one[0]);
  ASSERT_THAT(losses, SizeIs(one[0]->result.end_step));
  ASSERT_GE(losses.size(), 4u);
  for (const double loss : losses) EXPECT_TRUE(std::isfinite(loss));

  const auto many = Train(recipe, {.decode_threads = 3});
  EXPECT_EQ(LossesOf(*many[0]), losses);
  EXPECT_EQ(TensorsOf(LastFile(*many[0])), TensorsOf(LastFile(*one[0])));
}

TEST(AugmentedTrainingTest, SeesTheSameWithTwoProcesses) {
  const auto recipe = ParseTextProto<cvtrain::v1::Recipe>(kAugmentedRecipe);
  const auto alone = Train(recipe, {});
  const auto together = Train(recipe, {.world_size = 2});
  ASSERT_EQ(together[0]->result.cause, cvtrain::v1::CAUSE_FINISHED) << together[0]->result.message;
  EXPECT_EQ(together[0]->result.sample_digest, alone[0]->result.sample_digest);
  const std::vector<double> expected = LossesOf(*alone[0]);
  const std::vector<double> losses = LossesOf(*together[0]);
  ASSERT_EQ(losses.size(), expected.size());
  // The same pictures and labels; sums are rounded in another order.
  for (size_t i = 0; i < losses.size(); ++i) EXPECT_NEAR(losses[i], expected[i], 1e-3) << i;
}

TEST(AugmentedTrainingTest, GoesOnAsIfItHadNotBeenInterrupted) {
  const auto recipe = ParseTextProto<cvtrain::v1::Recipe>(kAugmentedRecipe);
  const auto whole = Train(recipe, {});
  for (const int64_t stop : {int64_t{1}, whole[0]->result.end_step - 1}) {
    const auto first = Train(recipe, {.stop_after = stop});
    ASSERT_EQ(first[0]->result.cause, cvtrain::v1::CAUSE_PAUSED) << first[0]->result.message;
    const auto second = Train(recipe, {.checkpoint = LastFile(*first[0])});
    EXPECT_EQ(second[0]->result.cause, cvtrain::v1::CAUSE_FINISHED) << second[0]->result.message;
    EXPECT_EQ(TensorsOf(LastFile(*second[0])), TensorsOf(LastFile(*whole[0]))) << stop;
  }
}

TEST(AugmentedTrainingTest, EachAugmentationReachesTheLoss) {
  const auto recipe = ParseTextProto<cvtrain::v1::Recipe>(kAugmentedRecipe);
  const double with_all = LossesOf(*Train(recipe, {})[0]).front();
  for (const char* name : {"color_jitter", "rand_augment", "random_erasing", "mixup", "cutmix"}) {
    cvtrain::v1::Recipe less = recipe;
    const auto* field = cvtrain::v1::Augmentation::descriptor()->FindFieldByName(name);
    cvtrain::v1::Augmentation& augmentation = *less.mutable_augmentation();
    augmentation.GetReflection()->ClearField(&augmentation, field);
    const std::vector<double> losses = LossesOf(*Train(less, {})[0]);
    EXPECT_NE(losses.front(), with_all) << name;
  }
}

}  // namespace
}  // namespace cvtrain::trainer
