#include "formats/shard/shard_outline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "formats/shard/shard_reader.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/formats/shard/shard_fixtures.h"

namespace cvtrain::formats {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

absl::string_view PageOf(absl::string_view shard) { return shard.substr(0, kShardPageBytes); }

class ShardOutlineTest : public ::testing::Test {
 protected:
  absl::StatusOr<ShardOutline> Outline() {
    absl::StatusOr<ShardOutline> outline =
        OutlineOfPage(PageOf(bytes_), static_cast<int64_t>(bytes_.size()), "test");
    if (!outline.ok()) return outline;
    const absl::Status added =
        AddFooter(absl::string_view(bytes_).substr(static_cast<size_t>(outline->footer_at)), "test",
                  *outline);
    if (!added.ok()) return added;
    return outline;
  }
  absl::string_view Block(const ShardOutline& outline, int64_t block) const {
    return absl::string_view(bytes_).substr(static_cast<size_t>(block * kShardBlockBytes),
                                            static_cast<size_t>(outline.BlockBytes(block)));
  }

  std::string bytes_ = testing::MakeShard(12, 300'000).bytes;
};

TEST_F(ShardOutlineTest, SaysWhereEverythingIs) {
  CVT_ASSERT_OK_AND_ASSIGN(const ShardOutline outline, Outline());
  CVT_ASSERT_OK_AND_ASSIGN(const auto reader, ShardReader::Open(bytes_, "test"));
  EXPECT_EQ(outline.file_bytes, static_cast<int64_t>(bytes_.size()));
  ASSERT_EQ(outline.sections.size(), reader->info().sections.size());
  for (size_t s = 0; s < outline.sections.size(); ++s) {
    EXPECT_EQ(outline.sections[s].offset, reader->info().sections[s].offset);
    EXPECT_EQ(outline.sections[s].length, reader->info().sections[s].length);
  }
  EXPECT_LE(outline.index_end, outline.sections[0].offset);
  int64_t bytes = 0;
  for (int64_t block = 0; block < outline.blocks(); ++block) bytes += outline.BlockBytes(block);
  EXPECT_EQ(bytes, outline.footer_at);
}

TEST_F(ShardOutlineTest, KnowsEachBlockFromEveryOther) {
  CVT_ASSERT_OK_AND_ASSIGN(const ShardOutline outline, Outline());
  ASSERT_GE(outline.blocks(), 4);
  for (int64_t block = 0; block < outline.blocks(); ++block) {
    EXPECT_THAT(CheckBlock(outline, block, Block(outline, block), "test"), IsOk());
    std::string flipped(Block(outline, block));
    flipped[flipped.size() / 2] = static_cast<char>(flipped[flipped.size() / 2] ^ 4);
    EXPECT_THAT(CheckBlock(outline, block, flipped, "test"),
                AllOf(StatusIs(absl::StatusCode::kDataLoss, Reason("SHARD_BAD")),
                      Message(HasSubstr(absl::StrCat("block ", block)))));
  }
}

TEST_F(ShardOutlineTest, RefusesAPageOfAFileOfAnotherLength) {
  bytes_.pop_back();
  EXPECT_THAT(Outline(), StatusIs(absl::StatusCode::kDataLoss, Reason("SHARD_BAD")));
}

TEST_F(ShardOutlineTest, RefusesAFlippedBitInPageOrFooter) {
  CVT_ASSERT_OK_AND_ASSIGN(const ShardOutline outline, Outline());
  for (const size_t at :
       {size_t{40}, size_t{100}, static_cast<size_t>(outline.footer_at) + 9, bytes_.size() - 1}) {
    bytes_[at] = static_cast<char>(bytes_[at] ^ 1);
    EXPECT_THAT(Outline(), StatusIs(absl::StatusCode::kDataLoss, Reason("SHARD_BAD"))) << at;
    bytes_[at] = static_cast<char>(bytes_[at] ^ 1);
  }
  EXPECT_THAT(Outline(), IsOk());
}

TEST_F(ShardOutlineTest, RefusesAFooterThatIsCutOff) {
  CVT_ASSERT_OK_AND_ASSIGN(ShardOutline outline, Outline());
  const absl::string_view footer =
      absl::string_view(bytes_).substr(static_cast<size_t>(outline.footer_at));
  EXPECT_THAT(AddFooter(footer.substr(0, footer.size() - 1), "test", outline),
              StatusIs(absl::StatusCode::kDataLoss, Reason("SHARD_BAD")));
  EXPECT_THAT(AddFooter("", "test", outline),
              StatusIs(absl::StatusCode::kDataLoss, Reason("SHARD_BAD")));
}

}  // namespace
}  // namespace cvtrain::formats
