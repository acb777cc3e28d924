#ifndef CVTRAIN_TESTS_UNIT_WORKER_TRAINER_TRAIN_TRAINING_FIXTURES_H_
#define CVTRAIN_TESTS_UNIT_WORKER_TRAINER_TRAIN_TRAINING_FIXTURES_H_

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/status_macros.h"
#include "common/thread.h"
#include "plan/recipe/resolve.h"
#include "tests/unit/worker/trainer/support/fakes.h"
#include "tests/unit/worker/trainer/train/attempt_fixtures.h"
#include "worker/trainer/train/attempt.h"

// Attempts at a small trial, alone or as ranks on threads.
namespace cvtrain::trainer {

inline constexpr int kClasses = 4;

// Three epochs in two stages, sizes 16 to 32, a small network, RangeAugment.
inline constexpr char kTrainingRecipe[] = R"pb(
  task: TASK_CLASSIFICATION
  dataset { name: "patterns" train_split: "train" validation_split: "test" }
  model {
    small_resnet { widths: 8 widths: 16 blocks: 1 stem: STEM_CIFAR zero_init_residual: true }
    num_classes: 4
  }
  epochs: 3
  sampler {
    multi_scale {
      base { height: 24 width: 24 batch_size: 6 }
      scales { min: 16 max: 32 count: 3 divisible_by: 8 }
      variable_batch: true
      include_base: true
      curriculum {
        stages {
          list {
            from_epoch: 0
            scales { min: 16 max: 24 count: 2 divisible_by: 8 }
          }
          list { from_epoch: 2 }
        }
      }
    }
  }
  augmentation {
    range_augment {
      target_psnr { start: 40 end: 20 curve: CURVE_COSINE }
      operations: OPERATION_BRIGHTNESS
      operations: OPERATION_CONTRAST
      operations: OPERATION_NOISE
      alpha: 100
      learning_rate_multiplier: 0.3
      weight_decay: 0
    }
  }
  loss { label_smoothing: 0.1 }
  optimizer { sgd { momentum: 0.9 weight_decay: 5e-4 nesterov: true } }
  learning_rate { cosine { max: 0.1 warmup_steps: 4 } }
  evaluation {
    every_epochs: 1
    sizes { resize: 27 crop: 24 }
    sizes { resize: 18 crop: 16 }
    conditions { name: "clean" }
    conditions { name: "noisy" noise: 0.1 }
    batch_size: 10
  }
  checkpoint { every { epochs: 1 } }
  precision: PRECISION_FP32
  seed: 7
)pb";

inline v1::Start MakeTrainingStart(int world_size = 1, int logical_ranks = 1) {
  v1::Start start;
  start.set_attempt("experiments/1/trials/2/attempts/1");
  CVT_CHECK(google::protobuf::TextFormat::ParseFromString(kTrainingRecipe, start.mutable_recipe()));
  start.set_recipe_digest(std::string(64, 'a'));
  start.set_plan_version(plan::kPlanVersion);
  start.mutable_dataset()->set_digest(std::string(64, 'b'));
  for (const auto& [name, images] : {std::pair("train", 50), std::pair("test", 24)}) {
    cvtrain::v1::Split& split = *start.mutable_dataset()->add_splits();
    split.set_name(name);
    split.set_images(images);
  }
  start.set_world_size(world_size);
  start.set_logical_ranks(logical_ranks);
  start.set_threads(1);
  return start;
}

struct RunOptions {
  int64_t fail_at = -1;
  int64_t stall_at = -1;
  std::function<void()> stalled = {};
  std::vector<int64_t> bad = {};
};

inline void RunRank(const v1::Start& start, const std::string& checkpoint, StoreTransport& store,
                    Rank& rank, const RunOptions& options = {}) {
  at::globalContext().setDeterministicAlgorithms(true, false);
  const BatchSourceFactory sources = [&](const BatchSourceContext& context) {
    auto source = std::make_unique<PatternSource>(context, kClasses);
    source->FailAt(options.fail_at);
    source->NoteBadSamples(options.bad);
    source->StallAt(options.stall_at, options.stalled);
    return absl::StatusOr<std::unique_ptr<BatchSource>>(std::move(source));
  };
  rank.result =
      RunAttempt(start, start.has_resume() || start.has_init() ? FileOf(checkpoint) : UniqueFd(),
                 {.host = rank.host,
                  .checkpoints = rank.sink,
                  .store = store,
                  .batch_sources = sources,
                  .clock = RealClock()});
}

inline void RunAlone(const v1::Start& start, Rank& rank, const std::string& checkpoint = "",
                     const RunOptions& options = {}) {
  InMemoryStore store;
  RunRank(start, checkpoint, store, rank, options);
  EXPECT_EQ(store.calls(), 0);
}

// Each rank on a thread of its own, as if they were processes.
inline void RunTogether(v1::Start start, std::vector<std::unique_ptr<Rank>>& ranks,
                        const std::string& checkpoint = "") {
  InMemoryStore store;
  std::vector<std::unique_ptr<Thread>> threads;
  start.set_world_size(static_cast<int32_t>(ranks.size()));
  for (size_t i = 0; i < ranks.size(); ++i) {
    start.set_rank(static_cast<int32_t>(i));
    threads.push_back(std::make_unique<Thread>(
        "rank", [&, i, start](StopToken) { RunRank(start, checkpoint, store, *ranks[i]); }));
  }
}

inline std::vector<std::unique_ptr<Rank>> MakeRanks(int count) {
  std::vector<std::unique_ptr<Rank>> ranks;
  for (int i = 0; i < count; ++i) ranks.push_back(std::make_unique<Rank>());
  return ranks;
}

inline constexpr StopRequest kPause = {.mode = StopRequest::Mode::kCheckpoint,
                                       .cause = cvtrain::v1::CAUSE_PAUSED};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_TESTS_UNIT_WORKER_TRAINER_TRAIN_TRAINING_FIXTURES_H_
