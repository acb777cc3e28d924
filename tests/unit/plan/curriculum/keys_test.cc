#include "plan/curriculum/keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace cvtrain::plan {
namespace {

constexpr RankStepKey kStep = {.seed = 7, .epoch = 3, .step_in_epoch = 11, .logical_rank = 1};
constexpr SampleKey kSample = {.step = kStep, .position = 5};

uint64_t First(KeyedStream stream) { return stream.NextU64(); }

TEST(KeysTest, GiveEachPurposeItsOwnStream) {
  using Op = RangeAugmentOperation;
  std::vector<uint64_t> firsts = {
      First(CropStream(kSample)),
      First(FlipStream(kSample)),
      First(ColorJitterStream(kSample)),
      First(PolicyStream(kSample)),
      First(ErasingStream(kSample)),
      First(ErasingNoiseStream(kSample)),
      First(MixStream(kStep)),
      First(RangeAugmentOrderStream(kStep)),
      First(RangeAugmentNoiseStream(kSample)),
      First(InitStream(7, 3)),
      First(EvaluationNoiseStream(7)),
      First(CorruptionStream(7, 9, 3)),
  };
  for (Op operation : {Op::kBrightness, Op::kContrast, Op::kNoise}) {
    firsts.push_back(First(RangeAugmentChoiceStream(kStep, operation)));
    firsts.push_back(First(RangeAugmentMagnitudeStream(kSample, operation)));
  }
  EXPECT_EQ(std::set<uint64_t>(firsts.begin(), firsts.end()).size(), firsts.size());
}

TEST(KeysTest, DependOnEachPartOfTheKey) {
  std::vector<SampleKey> keys(6, kSample);
  keys[1].step.seed = 8;
  keys[2].step.epoch = 4;
  keys[3].step.step_in_epoch = 12;
  keys[4].step.logical_rank = 0;
  keys[5].position = 6;
  std::set<uint64_t> crops;
  for (const SampleKey& key : keys) crops.insert(First(CropStream(key)));
  EXPECT_EQ(crops.size(), keys.size());
}

TEST(KeysTest, CorruptionsDependOnImageKindAndSeverity) {
  const std::set<uint64_t> firsts = {
      First(CorruptionStream(7, 9, 3)), First(CorruptionStream(8, 9, 3)),
      First(CorruptionStream(7, 3, 9)), First(CorruptionStream(7, 9, 4))};
  EXPECT_EQ(firsts.size(), 4u);
}

TEST(KeysTest, AreTheSameWhoeverAsks) {
  EXPECT_EQ(First(CropStream(kSample)), First(CropStream(kSample)));
  EXPECT_EQ(First(RangeAugmentOrderStream(kStep)), First(RangeAugmentOrderStream(kStep)));
}

TEST(KeysTest, NeverChange) {
  // Part of plan version 1: trials that run depend on these numbers.
  EXPECT_EQ(First(CropStream(kSample)), 4536289948708357306u);
  EXPECT_EQ(First(FlipStream(kSample)), 14707259849266724117u);
  EXPECT_EQ(First(RangeAugmentOrderStream(kStep)), 9650821486348180585u);
  EXPECT_EQ(First(RangeAugmentChoiceStream(kStep, RangeAugmentOperation::kNoise)),
            2535177763880982722u);
  EXPECT_EQ(First(RangeAugmentMagnitudeStream(kSample, RangeAugmentOperation::kContrast)),
            13602494930948556172u);
  EXPECT_EQ(First(RangeAugmentNoiseStream(kSample)), 4737719233269669712u);
  EXPECT_EQ(First(ColorJitterStream(kSample)), 2530827744973860808u);
  EXPECT_EQ(First(PolicyStream(kSample)), 8430349918590461862u);
  EXPECT_EQ(First(ErasingStream(kSample)), 13974075297750921741u);
  EXPECT_EQ(First(ErasingNoiseStream(kSample)), 17367455406294799984u);
  EXPECT_EQ(First(MixStream(kStep)), 14216574310498814535u);
  EXPECT_EQ(First(InitStream(7, 3)), 3770021920342099700u);
  EXPECT_EQ(First(EvaluationNoiseStream(7)), 71024647938584649u);
  EXPECT_EQ(First(CorruptionStream(7, 9, 3)), 6008042468717182782u);
}

TEST(ScaleDrawTest, IsUniform) {
  const ScaleDraw draw(7, 0);
  std::vector<int> counts(7, 0);
  for (int64_t step = 0; step < 70'000; ++step) {
    const int32_t index = draw.At(step, 7);
    ASSERT_GE(index, 0);
    ASSERT_LT(index, 7);
    ++counts[static_cast<size_t>(index)];
  }
  for (int count : counts) EXPECT_NEAR(count, 10'000, 400);
}

TEST(ScaleDrawTest, NeedsNoWalkToAnyStep) {
  const ScaleDraw draw(7, 4);
  const int32_t later = draw.At(1'000'000, 1000);
  draw.At(5, 1000);
  EXPECT_EQ(draw.At(1'000'000, 1000), later);
  EXPECT_EQ(draw.At(3, 1), 0);
}

}  // namespace
}  // namespace cvtrain::plan
