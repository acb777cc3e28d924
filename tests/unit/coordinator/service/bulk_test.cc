#include "coordinator/service/bulk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "common/crc32c.h"
#include "common/sha256.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/coordinator/storage/storage_disk.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;

class SendShardTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(disk_.Open(), IsOk());
    CVT_ASSERT_OK_AND_ASSIGN(store_, ShardStore::Open(disk_.database()));
    const Uuid request = Uuid::Parse("9f3c5d1e-0b7a-4c66-8f0e-2f6f1c0d9a11").value();
    ASSERT_THAT(store_->Begin(request), IsOk());
    CVT_ASSERT_OK_AND_ASSIGN(
        const auto writer,
        store_->Upload(request, {.digest = Sha256Hex(bytes_),
                                 .size_bytes = static_cast<int64_t>(bytes_.size())}));
    ASSERT_THAT(writer->Append(bytes_), IsOk());
    ASSERT_THAT(writer->Finish(), IsOk());
  }
  void TearDown() override { store_.reset(); }

  absl::StatusOr<std::string> Send(const ByteRange& range) {
    std::string sent;
    const absl::Status status = SendShard(*store_, Sha256Hex(bytes_), range,
                                          [&](const std::string& bytes, uint32_t crc32c) {
                                            EXPECT_EQ(crc32c, Crc32c(bytes));
                                            sent += bytes;
                                            return true;
                                          });
    if (!status.ok()) return status;
    return sent;
  }

  const std::string bytes_ = "0123456789";
  StorageDisk disk_;
  std::unique_ptr<ShardStore> store_;
};

TEST_F(SendShardTest, SendsAllOfItWithoutALength) {
  EXPECT_THAT(Send({}), IsOkAndHolds(bytes_));
  EXPECT_THAT(Send({.offset = 7}), IsOkAndHolds("789"));
  EXPECT_THAT(Send({.offset = 10}), IsOkAndHolds(""));
}

TEST_F(SendShardTest, SendsARange) {
  EXPECT_THAT(Send({.offset = 0, .length = 1}), IsOkAndHolds("0"));
  EXPECT_THAT(Send({.offset = 3, .length = 4}), IsOkAndHolds("3456"));
  EXPECT_THAT(Send({.offset = 3, .length = 7}), IsOkAndHolds("3456789"));
}

TEST_F(SendShardTest, RefusesARangeThatIsNotInside) {
  for (const ByteRange range : {ByteRange{-1, 0}, ByteRange{11, 0}, ByteRange{0, 11},
                                ByteRange{9, 2}, ByteRange{0, -1}, ByteRange{9, INT64_MAX}}) {
    EXPECT_THAT(Send(range), StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID")))
        << range.offset << " + " << range.length;
  }
}

}  // namespace
}  // namespace cvtrain::coordinator
