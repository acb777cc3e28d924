#include "coordinator/service/bulk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "common/block_digest.h"
#include "common/crc32c.h"
#include "common/memfd.h"
#include "common/peer_process.h"
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

// A checkpoint in memory, as a trainer leaves it.
class AppendSharedTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(disk_.Open(), IsOk());
    CVT_ASSERT_OK_AND_ASSIGN(store_, CheckpointStore::Open(disk_.database()));
    CVT_ASSERT_OK_AND_ASSIGN(memory_, SharedMemory::Create("checkpoint", kBytes));
    for (size_t i = 0; i < kBytes; ++i) memory_.mutable_bytes()[i] = static_cast<char>(i / 1000);
    shared_.set_place(PeerProcess::Place());
    shared_.set_process(PeerProcess::Self());
    shared_.set_file(memory_.fd());
  }

  absl::Status Append(int64_t size, bool cancelled = false) {
    writer_.reset();  // the one before, whose id this has
    CVT_ASSIGN_OR_RETURN(writer_, store_->Begin(id_, size));
    return AppendShared(
        shared_, [=] { return cancelled; }, *writer_);
  }
  void TearDown() override {
    writer_.reset();
    store_.reset();
  }

  static constexpr size_t kBytes = (2 << 20) + 5;
  const Uuid id_ = Uuid::Parse("9f3c5d1e-0b7a-4c66-8f0e-2f6f1c0d9a11").value();
  StorageDisk disk_;
  std::unique_ptr<CheckpointStore> store_;
  std::unique_ptr<CheckpointWriter> writer_;
  SharedMemory memory_;
  session::v1::SharedBytes shared_;
};

TEST_F(AppendSharedTest, StoresWhatLiesInTheMemory) {
  ASSERT_THAT(Append(kBytes), IsOk());
  const std::string bytes(memory_.bytes().begin(), memory_.bytes().end());
  ASSERT_THAT(writer_->Finish(BlockDigestHex(bytes)), IsOk());
  CVT_ASSERT_OK_AND_ASSIGN(const CheckpointInfo info, store_->Verify(id_));
  EXPECT_EQ(info.size_bytes, static_cast<int64_t>(kBytes));
  CVT_ASSERT_OK_AND_ASSIGN(const CheckpointChunk last, store_->Read(id_, 2 << 20));
  EXPECT_EQ(last.bytes, bytes.substr(2 << 20));
}

TEST_F(AppendSharedTest, RefusesMemoryThatIsNotThere) {
  const session::v1::SharedBytes good = shared_;
  const auto refused = StatusIs(absl::StatusCode::kFailedPrecondition, Reason("WRONG_STATE"));
  shared_.set_place("another machine");
  EXPECT_THAT(Append(kBytes), refused);
  shared_ = good;
  shared_.set_file(1 << 20);
  EXPECT_THAT(Append(kBytes), refused);
  // A file that can be shortened under us.
  shared_.set_file(0);
  EXPECT_THAT(Append(kBytes), refused);
  shared_ = good;
  EXPECT_THAT(Append(kBytes), IsOk());
}

TEST_F(AppendSharedTest, RefusesMemoryThatIsTooShort) {
  EXPECT_THAT(Append(kBytes + 1), StatusIs(absl::StatusCode::kDataLoss, Reason("CHECKPOINT_BAD")));
}

TEST_F(AppendSharedTest, StopsWhenTheWorkerHasGivenUp) {
  EXPECT_THAT(Append(kBytes, /*cancelled=*/true),
              StatusIs(absl::StatusCode::kCancelled, Reason("STOPPING")));
}

}  // namespace
}  // namespace cvtrain::coordinator
