#include "worker/trainer/data/split_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"
#include "tests/unit/worker/trainer/data/photo_dataset.h"

namespace cvtrain::trainer {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(SplitReaderTest, FindsEachPictureInItsShard) {
  PhotoDataset photos({{.name = "test", .images = 3}, {.name = "train", .images = 10}});
  CVT_ASSERT_OK_AND_ASSIGN(auto split, SplitReader::Create(photos.version(), "train", photos));
  EXPECT_EQ(split->images(), 10);
  for (int i = 0; i < 10; ++i) {
    CVT_ASSERT_OK_AND_ASSIGN(const SplitReader::Picture picture, split->Find(i));
    EXPECT_EQ(picture.shard->key(picture.record), absl::StrCat("train/", i, ".jpg"));
  }
}

TEST(SplitReaderTest, FetchesAShardOnceAndOnlyWhenAPictureOfItIsAskedFor) {
  PhotoDataset photos({{.name = "train", .images = 10}});
  CVT_ASSERT_OK_AND_ASSIGN(auto split, SplitReader::Create(photos.version(), "train", photos));
  EXPECT_THAT(photos.asked(), IsEmpty());
  for (const int position : {9, 8, 0, 3, 1}) EXPECT_THAT(split->Find(position), IsOk());
  EXPECT_THAT(photos.asked(), ElementsAre(2, 0));
}

TEST(SplitReaderTest, RefusesASplitThatIsNotThere) {
  PhotoDataset photos({{.name = "train", .images = 4}});
  EXPECT_THAT(SplitReader::Create(photos.version(), "validation", photos),
              AllOf(StatusIs(absl::StatusCode::kInvalidArgument, Reason("RECIPE_INVALID")),
                    Message(HasSubstr("validation"))));
}

TEST(SplitReaderTest, RefusesShardsThatLeaveAGap) {
  PhotoDataset photos({{.name = "train", .images = 12}});
  photos.mutable_version().mutable_shards()->DeleteSubrange(1, 1);
  EXPECT_THAT(SplitReader::Create(photos.version(), "train", photos),
              AllOf(StatusIs(absl::StatusCode::kInvalidArgument, Reason("RECIPE_INVALID")),
                    Message(HasSubstr("gap at picture 4"))));
}

TEST(SplitReaderTest, RefusesAShardThatIsNotTheOneListed) {
  PhotoDataset photos({{.name = "test", .images = 4}, {.name = "train", .images = 4}});
  photos.bytes(1) = photos.bytes(0);  // a good shard, of another split
  CVT_ASSERT_OK_AND_ASSIGN(auto split, SplitReader::Create(photos.version(), "train", photos));
  EXPECT_THAT(split->Find(0), StatusIs(absl::StatusCode::kDataLoss, Reason("SHARD_BAD")));
}

// Sections of PhotoDataset: one rung, then the sources.
constexpr int kRung = 0;
constexpr int kSource = 1;

class SplitSectionsTest : public ::testing::Test {
 protected:
  SplitSectionsTest() { split_->Expect(SectionSet::Of(kRung)); }

  PhotoDataset photos_{{{.name = "train", .images = 10}}};
  std::unique_ptr<SplitReader> split_ =
      SplitReader::Create(photos_.version(), "train", photos_).value();
};

TEST_F(SplitSectionsTest, AsksForWhatIsExpectedAndThenForWhatIsRequired) {
  CVT_ASSERT_OK_AND_ASSIGN(SplitReader::Picture picture, split_->Find(0));
  const formats::ShardReader* const shard = picture.shard;
  EXPECT_TRUE(split_->IsHere(0, kRung));
  EXPECT_FALSE(split_->IsHere(0, kSource));
  EXPECT_THAT(split_->Require(0, kRung, &picture), IsOk());
  EXPECT_THAT(photos_.asked_sections(), ElementsAre(ElementsAre(kRung)));
  EXPECT_THAT(split_->Require(0, kSource, &picture), IsOk());
  EXPECT_THAT(split_->Require(1, kSource, &picture), IsOk()) << "of the same shard";
  EXPECT_THAT(photos_.asked_sections(),
              ElementsAre(ElementsAre(kRung), ElementsAre(kRung, kSource)));
  EXPECT_EQ(picture.shard, shard) << "the file is the same, and its reader should be";
}

TEST_F(SplitSectionsTest, ReadsOnInANewFileWhereTheOldOneIsLost) {
  CVT_ASSERT_OK_AND_ASSIGN(SplitReader::Picture picture, split_->Find(0));
  const SplitReader::Picture old = picture;
  photos_.LoseFiles();
  EXPECT_THAT(split_->Require(0, kSource, &picture), IsOk());
  EXPECT_NE(picture.shard, old.shard);
  std::string scratch;
  EXPECT_THAT(picture.shard->Read(picture.record, kSource, &scratch), IsOk());
  EXPECT_EQ(old.shard->key(old.record), picture.shard->key(picture.record))
      << "a picture that was found before is gone";
  // Who found the picture in the old file goes over to the new one, without asking again.
  SplitReader::Picture other = old;
  EXPECT_THAT(split_->Require(0, kSource, &other), IsOk());
  EXPECT_EQ(other.shard, picture.shard);
  EXPECT_EQ(photos_.asked().size(), 2u);
}

TEST_F(SplitSectionsTest, FetchesAheadAndSaysHowMuchCame) {
  CVT_ASSERT_OK_AND_ASSIGN(const int64_t rung, split_->Fetch(0, SectionSet::Of(kRung)));
  CVT_ASSERT_OK_AND_ASSIGN(const SplitReader::Picture picture, split_->Find(0));
  const auto& sections = picture.shard->info().sections;
  EXPECT_EQ(rung, sections[kRung].length);
  EXPECT_THAT(split_->Fetch(0, SectionSet::Of(kRung)), IsOkAndHolds(0));
  EXPECT_THAT(split_->Fetch(0, SectionSet::Of(kRung) | SectionSet::Of(kSource)),
              IsOkAndHolds(sections[kSource].length));
  EXPECT_EQ(photos_.asked().size(), 2u);
}

TEST_F(SplitSectionsTest, AnErrorOfFetchingAheadDoesNotStay) {
  photos_.Fail(0, absl::UnavailableError("no room"));
  EXPECT_THAT(split_->Fetch(0, SectionSet::Of(kRung)), StatusIs(absl::StatusCode::kUnavailable));
  photos_.Fail(0, absl::OkStatus());
  EXPECT_THAT(split_->Find(0), IsOk());
}

TEST_F(SplitSectionsTest, AnErrorOfARequiredSectionStays) {
  CVT_ASSERT_OK_AND_ASSIGN(SplitReader::Picture picture, split_->Find(0));
  photos_.Fail(0, absl::UnavailableError("gone"));
  EXPECT_THAT(split_->Require(0, kSource, &picture), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(split_->Require(0, kSource, &picture), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(photos_.asked().size(), 2u);
  EXPECT_THAT(split_->Require(0, kRung, &picture), IsOk()) << "what is here can be read";
}

TEST(SplitReaderTest, AnErrorStays) {
  PhotoDataset photos({{.name = "train", .images = 4}});
  photos.Fail(0, absl::UnavailableError("the agent is busy"));
  CVT_ASSERT_OK_AND_ASSIGN(auto split, SplitReader::Create(photos.version(), "train", photos));
  EXPECT_THAT(split->Find(0), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(split->Find(1), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(photos.asked(), ElementsAre(0)) << "it was asked for again";
}

}  // namespace
}  // namespace cvtrain::trainer
