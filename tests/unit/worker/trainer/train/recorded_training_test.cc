// A learner on a device that records: it learns the same, and asks for a recording of each kind of
// work only.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/random.h"
#include "cvtrain/v1/recipe.pb.h"
#include "tests/support/proto_matchers.h"
#include "tests/unit/worker/trainer/support/fake_gpu.h"
#include "tests/unit/worker/trainer/support/fakes.h"
#include "worker/trainer/train/learner.h"

namespace cvtrain::trainer {
namespace {

using ::cvtrain::testing::ParseTextProto;
using ::testing::Each;
using ::testing::Pair;
using ::testing::SizeIs;

// Pictures of noise.
struct Pictures {
  Pictures(int64_t count, int64_t side, uint64_t seed) : pixels(count * side * side * 3) {
    KeyedStream stream("pictures", {seed});
    for (uint8_t& pixel : pixels) pixel = static_cast<uint8_t>(stream.NextU32());
    for (int64_t i = 0; i < count; ++i) labels.push_back(i % 10);
    batch.count = static_cast<int32_t>(count);
    batch.height = batch.width = static_cast<int32_t>(side);
    batch.pixels = pixels;
    batch.labels = labels;
  }

  std::vector<uint8_t> pixels;
  std::vector<int64_t> labels;
  Batch batch;
};

class RecordedTrainingTest : public ::testing::Test {
 protected:
  std::unique_ptr<Learner> MakeLearner(const std::string& recipe, Device& device) {
    auto parsed = ParseTextProto<cvtrain::v1::Recipe>(recipe);
    parsed.mutable_model()->set_num_classes(10);
    parsed.mutable_optimizer()->mutable_sgd()->set_momentum(0.9);
    auto learner = Learner::Create(parsed, 1, *group_, Learner::Begin::kDrawn, device);
    EXPECT_TRUE(learner.ok()) << learner.status();
    return *std::move(learner);
  }

  // Losses of steps at two sizes in turn, each on other pictures.
  static std::vector<double> Train(Learner& learner, int steps) {
    std::vector<double> losses;
    for (int step = 0; step < steps; ++step) {
      const Pictures pictures(6, step % 2 == 0 ? 32 : 48, static_cast<uint64_t>(step));
      learner.BeginStep();
      losses.push_back(
          learner.Accumulate(pictures.batch, {.step_in_epoch = step}, 0, Learner::Reduction::kNow)
              .task);
      learner.FinishStep(0.05, step);
    }
    return losses;
  }

  // Trains twice and compares; returns what was asked of the device.
  void ExpectTheSame(const std::string& recipe) {
    const auto plain = MakeLearner(recipe, Device::Cpu());
    const auto recorded = MakeLearner(recipe, gpu_);
    EXPECT_EQ(Train(*plain, 8), Train(*recorded, 8));
    const auto expected = plain->States();
    const auto states = recorded->States();
    ASSERT_EQ(states.size(), expected.size());
    for (size_t i = 0; i < states.size(); ++i) {
      EXPECT_TRUE(at::equal(states[i].tensor, expected[i].tensor)) << states[i].name;
    }
  }

  InMemoryStore store_;
  const std::unique_ptr<ProcessGroup> group_ = ProcessGroup::Create({}, store_);
  FakeGpu gpu_;
};

TEST_F(RecordedTrainingTest, LearnsTheSameAndRecordsEachSizeOnce) {
  ExpectTheSame("model { small_resnet { widths: 8 widths: 16 blocks: 1 blocks: 1 } }");
  EXPECT_THAT(gpu_.runs(), SizeIs(2));
  EXPECT_THAT(gpu_.runs(), Each(Pair(::testing::_, 4)));
}

TEST_F(RecordedTrainingTest, RecordsPartsOfABatch) {
  ExpectTheSame(
      "model { small_resnet { widths: 8 blocks: 1 } } micro_batches: 2 "
      "augmentation { mixup { alpha: 0.5 probability: 1 } }");
  EXPECT_THAT(gpu_.runs(), SizeIs(2));
  EXPECT_THAT(gpu_.runs(), Each(Pair(::testing::_, 8)));
}

TEST_F(RecordedTrainingTest, ScalesTheLossWithinTheRecording) {
  ExpectTheSame("model { small_resnet { widths: 8 blocks: 1 } } precision: PRECISION_FP16");
  EXPECT_THAT(gpu_.runs(), SizeIs(2));
}

TEST_F(RecordedTrainingTest, DoesNotRecordWhatDiffersFromStepToStep) {
  ExpectTheSame("model { vit { size: SIZE_TINY depth: 2 patch: 16 image: 48 drop_path: 0.2 } }");
  EXPECT_EQ(gpu_.recorders(), 0);
}

TEST_F(RecordedTrainingTest, DoesNotRecordWhatPicturesAreLearnedBy) {
  ExpectTheSame(
      "model { small_resnet { widths: 8 blocks: 1 } } augmentation { range_augment { alpha: 1 "
      "operations: OPERATION_BRIGHTNESS } }");
  EXPECT_THAT(gpu_.runs(), SizeIs(0));
}

}  // namespace
}  // namespace cvtrain::trainer
