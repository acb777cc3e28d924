#include "worker/trainer/train/picture_conditions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "cvtrain/v1/recipe.pb.h"
#include "formats/corruption/corruptor.h"
#include "plan/curriculum/keys.h"
#include "tests/support/proto_matchers.h"
#include "tests/unit/worker/trainer/support/fakes.h"
#include "tests/unit/worker/trainer/train/training_fixtures.h"

namespace cvtrain::trainer {
namespace {

using ::cvtrain::testing::ParseTextProto;
using ::cvtrain::v1::EvaluationCondition;

constexpr int kSide = 16;
constexpr size_t kPictureBytes = kSide * kSide * 3;

class PictureConditionsTest : public ::testing::Test {
 protected:
  void TearDown() override { at::set_num_threads(1); }

  static std::vector<uint8_t> PixelsOf(const std::vector<int64_t>& samples) {
    std::vector<uint8_t> pixels;
    for (const int64_t sample : samples) {
      for (size_t i = 0; i < kPictureBytes; ++i) {
        pixels.push_back(static_cast<uint8_t>((i * 7 + static_cast<size_t>(sample) * 31) % 256));
      }
    }
    return pixels;
  }

  // The pictures of `samples` as one batch of the split.
  at::Tensor Pictures(const std::vector<int64_t>& samples, const std::string& condition,
                      int severity = 1) {
    const std::vector<uint8_t> pixels = PixelsOf(samples);
    Batch batch;
    batch.count = static_cast<int64_t>(samples.size());
    batch.height = batch.width = kSide;
    batch.pixels = pixels;
    batch.samples = samples;
    conditions_.Start(batch);
    return conditions_.Under(ParseTextProto<EvaluationCondition>(condition), severity).value();
  }

  InMemoryStore store_;
  std::unique_ptr<ProcessGroup> group_ = ProcessGroup::Create({}, store_);
  std::unique_ptr<Learner> learner_ =
      Learner::Create(MakeTrainingStart().recipe(), 1, *group_).value();
  PictureConditions conditions_{*learner_};
};

TEST_F(PictureConditionsTest, ThePictureDecidesNotItsPlaceInABatch) {
  at::set_num_threads(2);
  for (const char* condition :
       {"name: 'noisy' noise: 0.1", "name: 'c' corruption: CORRUPTION_FOG levels: LEVELS_CIFAR10_C",
        "name: 'c' corruption: CORRUPTION_SHOT_NOISE levels: LEVELS_IMAGENET_C",
        "name: 'c' corruption: CORRUPTION_JPEG_COMPRESSION levels: LEVELS_IMAGENET_C"}) {
    SCOPED_TRACE(condition);
    const at::Tensor all = Pictures({0, 1, 2, 3, 4, 5}, condition);
    // As the second of two ranks has them, and once more.
    const at::Tensor some = Pictures({1, 3, 5}, condition);
    EXPECT_TRUE(some.equal(all.slice(0, 1, 6, 2)));
    EXPECT_TRUE(Pictures({1, 3, 5}, condition).equal(some));
    EXPECT_FALSE(some.equal(Pictures({1, 3, 5}, "name: 'clean'")));
  }
}

TEST_F(PictureConditionsTest, ACorruptionIsThatOfThePictureKindSeverityAndLevels) {
  const std::string fog = "name: 'f' corruption: CORRUPTION_FOG levels: LEVELS_CIFAR10_C";
  std::vector<uint8_t> expected = PixelsOf({9});
  formats::Corruptor corruptor;
  ASSERT_TRUE(corruptor
                  .Apply({.kind = formats::CorruptionKind::kFog,
                          .severity = 4,
                          .levels = formats::CorruptionLevels::kCifar10C},
                         plan::CorruptionStream(9, EvaluationCondition::CORRUPTION_FOG, 4),
                         {absl::MakeSpan(expected), kSide, kSide})
                  .ok());
  const at::Tensor bytes =
      Pictures({9}, fog, 4).mul(255).round().to(at::kByte).permute({0, 2, 3, 1}).contiguous();
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), bytes.data_ptr<uint8_t>()));
}

TEST_F(PictureConditionsTest, CleanPicturesStayWhatTheyAre) {
  const at::Tensor clean = Pictures({4, 5}, "name: 'clean'");
  EXPECT_FALSE(
      Pictures({4, 5}, "name: 's' corruption: CORRUPTION_SATURATE levels: LEVELS_IMAGENET_C", 5)
          .equal(clean));
  EXPECT_TRUE(Pictures({4, 5}, "name: 'clean'").equal(clean));
  EXPECT_TRUE(Pictures({4, 5}, "name: 'plain' noise: 0").equal(clean));
}

}  // namespace
}  // namespace cvtrain::trainer
