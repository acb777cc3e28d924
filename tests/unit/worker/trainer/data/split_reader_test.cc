#include "worker/trainer/data/split_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"
#include "tests/unit/worker/trainer/data/photo_dataset.h"

namespace cvtrain::trainer {
namespace {

using ::cvtrain::testing::IsOk;
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
