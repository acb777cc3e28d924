// The program cvtrain-trainer on real shards: one process, two that talk through Gloo, and what
// is left of them after SIGKILL.

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/memory_file_system.h"
#include "common/random.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "common/thread.h"
#include "formats/checkpoint/checkpoint.h"
#include "formats/image/jpeg.h"
#include "formats/shard/shard_writer.h"
#include "plan/recipe/resolve.h"
#include "tests/unit/worker/trainer/link/trainer_process.h"
#include "tests/unit/worker/trainer/support/fakes.h"

namespace cvtrain::trainer {
namespace {

using ::testing::SizeIs;

constexpr int kClasses = 4;
constexpr int kSide = 40;
constexpr int kRung = 24;

constexpr char kRecipe[] = R"pb(
  task: TASK_CLASSIFICATION
  dataset { name: "patterns" train_split: "train" validation_split: "test" }
  model {
    small_resnet { widths: 16 widths: 32 blocks: 1 stem: STEM_CIFAR zero_init_residual: true }
    num_classes: 4
  }
  epochs: 3
  sampler {
    multi_scale {
      base { height: 24 width: 24 batch_size: 8 }
      scales { min: 16 max: 32 count: 3 divisible_by: 8 }
      variable_batch: true
      include_base: true
    }
  }
  augmentation {
    random_resized_crop { scale_min: 0.25 scale_max: 1 ratio_min: 0.75 ratio_max: 1.333 }
    horizontal_flip { probability: 0.5 }
    range_augment {
      target_psnr { start: 40 end: 20 curve: CURVE_COSINE }
      operations: OPERATION_BRIGHTNESS
      operations: OPERATION_CONTRAST
      operations: OPERATION_NOISE
      alpha: 100
    }
  }
  loss { label_smoothing: 0.1 }
  optimizer { sgd { momentum: 0.9 weight_decay: 5e-4 nesterov: true } }
  learning_rate { cosine { max: 0.05 warmup_steps: 4 } }
  evaluation {
    every_epochs: 1
    sizes { resize: 27 crop: 24 }
    conditions { name: "clean" }
    batch_size: 16
  }
  checkpoint { every { steps: 5 } }
  precision: PRECISION_FP32
  seed: 7
)pb";

// Noise over a pattern of the class.
std::string Picture(int side, int number) {
  formats::Image image;
  image.Resize(side, side);
  KeyedStream stream("test/picture/v1", {static_cast<uint64_t>(number)});
  const int label = number % kClasses;
  for (int y = 0; y < side; ++y) {
    for (int x = 0; x < side; ++x) {
      const bool stripe = (label % 2 == 0 ? x : y) * 8 / side / (1 + label / 2) % 2 == 0;
      for (int channel = 0; channel < 3; ++channel) {
        image.pixels[static_cast<size_t>((y * side + x) * 3 + channel)] =
            static_cast<uint8_t>((stripe ? 150 : 40) + static_cast<int>(stream.UniformInt(60)));
      }
    }
  }
  return *formats::EncodeJpeg(image);
}

// A data set of two shards, one per split.
class Shards {
 public:
  Shards() {
    dataset_.set_digest(std::string(64, 'b'));
    for (int i = 0; i < kClasses; ++i) dataset_.add_classes(absl::StrCat("class", i));
    dataset_.add_rungs(kRung);
    Add("train", 60);
    Add("test", 24);
  }

  const cvtrain::v1::DatasetVersion& dataset() const { return dataset_; }
  std::vector<int> files() const {
    std::vector<int> files;
    for (const UniqueFd& file : files_) files.push_back(file.get());
    return files;
  }

 private:
  void Add(const std::string& name, int images) {
    formats::ShardWriterOptions options;
    options.split = name;
    options.rungs = {kRung};
    options.classes = kClasses;
    formats::ShardWriter writer(options);
    for (int i = 0; i < images; ++i) {
      const std::string source = Picture(kSide, i);
      const std::string rung = Picture(kRung, i);
      const Sha256Digest digest = Sha256Of(source);
      formats::ShardPicture picture;
      const std::string key = absl::StrCat("picture", i);
      picture.key = key;
      picture.label = static_cast<uint32_t>(i % kClasses);
      picture.size.width = kSide;
      picture.size.height = kSide;
      picture.source_digest = {reinterpret_cast<const char*>(digest.data()), digest.size()};
      picture.rungs = {rung};
      picture.source = source;
      CVT_CHECK_OK(writer.Add(picture));
    }
    InMemoryFileSystem memory;
    auto file = memory.NewWritableFile("/shard", {});
    CVT_CHECK_OK(file.status());
    const auto summary = writer.Finish(**file);
    CVT_CHECK_OK(summary.status());
    CVT_CHECK_OK((*file)->Close());
    const auto bytes = ReadFile(memory, "/shard", size_t{1} << 30);
    CVT_CHECK_OK(bytes.status());
    files_.push_back(FileOf(*bytes));

    cvtrain::v1::Split& split = *dataset_.add_splits();
    split.set_name(name);
    split.set_images(images);
    for (int i = 0; i < kClasses; ++i) split.add_class_images(images / kClasses);
    cvtrain::v1::Shard& shard = *dataset_.add_shards();
    shard.set_index(static_cast<int32_t>(files_.size()) - 1);
    shard.set_split(name);
    shard.set_images(images);
    shard.set_size_bytes(summary->file_bytes);
    shard.set_digest(summary->digest);
  }

  cvtrain::v1::DatasetVersion dataset_;
  std::vector<UniqueFd> files_;
};

std::map<std::string, std::string> TensorsOf(const std::string& file) {
  const auto view = formats::CheckpointView::Open(file, "checkpoint");
  CVT_CHECK_OK(view.status());
  std::map<std::string, std::string> tensors;
  for (int i = 0; i < view->tensor_count(); ++i) {
    tensors[std::string(view->tensor(i).name)] = std::string(view->tensor(i).data);
  }
  return tensors;
}

class TrainerTrainingTest : public ::testing::Test {
 protected:
  v1::AgentFrame MakeStart(int rank, int world_size) const {
    v1::AgentFrame frame;
    v1::Start& start = *frame.mutable_start();
    start.set_attempt("experiments/1/trials/1/attempts/1");
    CVT_CHECK(google::protobuf::TextFormat::ParseFromString(kRecipe, start.mutable_recipe()));
    start.mutable_recipe()->mutable_dataset()->set_digest(shards_.dataset().digest());
    start.set_plan_version(plan::kPlanVersion);
    *start.mutable_dataset() = shards_.dataset();
    start.set_rank(rank);
    start.set_world_size(world_size);
    start.set_logical_ranks(2);
    start.set_threads(1);
    return frame;
  }

  // One attempt of `world_size` new processes. With `kill_at_step`, all of them are killed when
  // the first hands over the checkpoint of that step.
  std::vector<ServedAttempt> Run(int world_size, const std::string& checkpoint = "",
                                 int64_t kill_at_step = -1) {
    InMemoryStore store;
    std::vector<std::unique_ptr<TrainerProcess>> trainers;
    for (int rank = 0; rank < world_size; ++rank) {
      trainers.push_back(std::make_unique<TrainerProcess>());
    }
    std::vector<ServedAttempt> attempts(trainers.size());
    std::vector<std::unique_ptr<Thread>> threads;
    for (int rank = 0; rank < world_size; ++rank) {
      threads.push_back(std::make_unique<Thread>("agent", [&, rank](StopToken) {
        TrainerProcess& trainer = *trainers[static_cast<size_t>(rank)];
        trainer.SendStart(MakeStart(rank, world_size), checkpoint);
        attempts[static_cast<size_t>(rank)] = trainer.Serve(
            {.shards = shards_.files(), .store = &store, .kill_at_step = kill_at_step});
      }));
    }
    threads.clear();  // waits
    return attempts;
  }

  const Shards shards_;
};

TEST_F(TrainerTrainingTest, LearnsFromShards) {
  const ServedAttempt attempt = Run(1)[0];
  ASSERT_TRUE(attempt.exit.has_value());
  ASSERT_EQ(attempt.exit->cause(), cvtrain::v1::CAUSE_FINISHED) << attempt.exit->message();
  EXPECT_THAT(attempt.exit->sample_digest(), SizeIs(64));
  EXPECT_THAT(attempt.loss_steps, SizeIs(attempt.exit->end_step()));
  double top1 = 0;
  for (const auto& fact : attempt.facts) {
    if (fact.has_evaluation()) top1 = fact.evaluation().metrics().at("val/top1");
  }
  EXPECT_GT(top1, 100.0 / kClasses);
  RecordProperty("start_latency_ms",
                 absl::StrCat(absl::ToInt64Milliseconds(attempt.start_latency)));
}

TEST_F(TrainerTrainingTest, AKilledTrainerLeavesNoTraceInTheResult) {
  const ServedAttempt whole = Run(1)[0];
  ASSERT_TRUE(whole.exit.has_value());
  const ServedAttempt killed = Run(1, "", /*kill_at_step=*/10)[0];
  EXPECT_FALSE(killed.exit.has_value());
  const ServedAttempt resumed = Run(1, killed.last_checkpoint)[0];
  ASSERT_TRUE(resumed.exit.has_value());
  EXPECT_EQ(resumed.exit->cause(), cvtrain::v1::CAUSE_FINISHED) << resumed.exit->message();
  EXPECT_EQ(resumed.exit->sample_digest(), whole.exit->sample_digest());
  EXPECT_EQ(TensorsOf(resumed.last_checkpoint), TensorsOf(whole.last_checkpoint));
}

TEST_F(TrainerTrainingTest, TwoProcessesTrainAsOneAndSurviveAKill) {
  const std::vector<ServedAttempt> whole = Run(2);
  ASSERT_TRUE(whole[0].exit.has_value());
  ASSERT_EQ(whole[0].exit->cause(), cvtrain::v1::CAUSE_FINISHED) << whole[0].exit->message();
  ASSERT_EQ(whole[1].exit->cause(), cvtrain::v1::CAUSE_FINISHED) << whole[1].exit->message();
  EXPECT_EQ(whole[0].exit->sample_digest(), Run(1)[0].exit->sample_digest());

  // Rank 0 is killed; rank 1 notices in its next collective and says so.
  const std::vector<ServedAttempt> killed = Run(2, "", /*kill_at_step=*/10);
  EXPECT_FALSE(killed[0].exit.has_value());
  ASSERT_TRUE(killed[1].exit.has_value());
  EXPECT_EQ(killed[1].exit->cause(), cvtrain::v1::CAUSE_WORKER_LOST) << killed[1].exit->message();

  const std::vector<ServedAttempt> resumed = Run(2, killed[0].last_checkpoint);
  ASSERT_TRUE(resumed[0].exit.has_value());
  EXPECT_EQ(resumed[0].exit->cause(), cvtrain::v1::CAUSE_FINISHED) << resumed[0].exit->message();
  EXPECT_EQ(resumed[0].exit->sample_digest(), whole[0].exit->sample_digest());
  EXPECT_EQ(TensorsOf(resumed[0].last_checkpoint), TensorsOf(whole[0].last_checkpoint));
}

}  // namespace
}  // namespace cvtrain::trainer
