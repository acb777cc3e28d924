#include "worker/trainer/data/ahead_fetcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/support/log_capture.h"
#include "tests/unit/worker/trainer/data/photo_dataset.h"
#include "worker/trainer/data/split_reader.h"

namespace cvtrain::trainer {
namespace {

using ::testing::ElementsAre;

constexpr SectionSet kRungSection = SectionSet::Of(0);
constexpr SectionSet kSourceSection = SectionSet::Of(1);
constexpr int64_t kPlenty = int64_t{1} << 30;

// Three training shards and one of validation.
class AheadFetcherTest : public ::testing::Test {
 protected:
  AheadFetcherTest() {
    train_->Expect(kRungSection);
    validation_->Expect(kRungSection);
  }
  ~AheadFetcherTest() override { photos_.CancelWaits(); }

  void Start(const std::vector<SectionSet>& stages, SectionSet evaluation, int64_t budget) {
    fetcher_ = std::make_unique<AheadFetcher>(*train_, *validation_,
                                              AheadFetcher::Options{.stages = stages,
                                                                    .stage = 0,
                                                                    .evaluation = evaluation,
                                                                    .budget_bytes = budget,
                                                                    .rank = rank_,
                                                                    .world_size = 3});
  }
  // What was asked for: shard, sections.
  std::vector<std::string> Asked() const {
    std::vector<std::string> asked;
    const std::vector<int32_t> shards = photos_.asked();
    const std::vector<std::vector<int32_t>> sections = photos_.asked_sections();
    for (size_t i = 0; i < shards.size(); ++i) {
      asked.push_back(absl::StrCat(shards[i], ":", absl::StrJoin(sections[i], ",")));
    }
    return asked;
  }
  // Once so many were.
  std::vector<std::string> WaitForAsked(size_t count) const {
    photos_.AwaitAsked(count);
    return Asked();
  }

  testing::LogCapture log_;
  PhotoDataset photos_{{{.name = "train", .images = 12}, {.name = "test", .images = 4}}};
  std::unique_ptr<SplitReader> train_ =
      SplitReader::Create(photos_.version(), "train", photos_).value();
  std::unique_ptr<SplitReader> validation_ =
      SplitReader::Create(photos_.version(), "test", photos_).value();
  int rank_ = 0;
  std::unique_ptr<AheadFetcher> fetcher_;
};

TEST_F(AheadFetcherTest, FetchesThisStageThenEvaluationThenTheNextStage) {
  Start({kRungSection, kSourceSection}, kSourceSection, kPlenty);
  EXPECT_THAT(WaitForAsked(7), ElementsAre("0:0", "1:0", "2:0", "3:1", "0:0,1", "1:0,1", "2:0,1"));
}

TEST_F(AheadFetcherTest, StopsWhereTheBudgetOfLaterStagesIsSpent) {
  Start({kRungSection, kSourceSection}, SectionSet(), /*budget=*/1);
  EXPECT_THAT(WaitForAsked(4), ElementsAre("0:0", "1:0", "2:0", "0:0,1"));
  // Nothing more comes until the stage begins: the next request is the one after this.
  fetcher_->BeginStage(1);
  EXPECT_THAT(WaitForAsked(6), ElementsAre("0:0", "1:0", "2:0", "0:0,1", "1:0,1", "2:0,1"));
}

TEST_F(AheadFetcherTest, WaitsForTheStageToBeginAndEndsWhileItWaits) {
  Start({kRungSection, kSourceSection}, SectionSet(), /*budget=*/1);
  WaitForAsked(4);
  fetcher_.reset();
  EXPECT_EQ(Asked().size(), 4u) << "the budget did not hold it back";
}

TEST_F(AheadFetcherTest, AnErrorEndsItAndNothingElse) {
  photos_.Fail(1, absl::ResourceExhaustedError("the cache is full"));
  Start({kRungSection, kSourceSection}, kRungSection, kPlenty);
  WaitForAsked(2);
  fetcher_.reset();
  EXPECT_THAT(Asked(), ElementsAre("0:0", "1:0"));
  photos_.Fail(1, absl::OkStatus());
  EXPECT_TRUE(train_->Find(5).ok());
}

TEST_F(AheadFetcherTest, RanksBeginAtDifferentShards) {
  rank_ = 1;
  Start({kRungSection}, SectionSet(), kPlenty);
  EXPECT_THAT(WaitForAsked(3), ElementsAre("1:0", "2:0", "0:0"));
}

TEST_F(AheadFetcherTest, WhatIsHereIsNotAskedForAgain) {
  ASSERT_TRUE(train_->Find(0).ok());
  Start({kRungSection}, SectionSet(), kPlenty);
  EXPECT_THAT(WaitForAsked(3), ElementsAre("0:0", "1:0", "2:0"));
}

}  // namespace
}  // namespace cvtrain::trainer
