#include "coordinator/storage/checkpoints/checkpoint_store.h"

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/block_digest.h"
#include "common/crc32c.h"
#include "common/random.h"
#include "coordinator/storage/rocks.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/coordinator/storage/storage_disk.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::HasSubstr;

constexpr size_t kChunk = limits::kChunkSizeBytes;

Uuid Id(uint8_t number) {
  std::array<uint8_t, 16> bytes = {};
  bytes[15] = number;
  return Uuid(bytes);
}

std::string Bytes(size_t size, uint64_t seed = 1) {
  KeyedStream random("test/v1", {seed});
  std::string bytes(size, '\0');
  for (char& c : bytes) {
    c = static_cast<char>(random.NextU32());
  }
  return bytes;
}

// Uploads `bytes` in chunks.
absl::Status Upload(CheckpointStore& store, const Uuid& id, const std::string& bytes) {
  auto writer = store.Begin(id, static_cast<int64_t>(bytes.size()));
  if (!writer.ok()) {
    return writer.status();
  }
  for (size_t at = 0; at < bytes.size(); at += kChunk) {
    const std::string chunk = bytes.substr(at, kChunk);
    if (absl::Status status = (*writer)->Append(chunk, Crc32c(chunk)); !status.ok()) {
      return status;
    }
  }
  return (*writer)->Finish(BlockDigestHex(bytes));
}

std::string Download(const CheckpointStore& store, const Uuid& id, int64_t from = 0) {
  std::string bytes;
  for (;;) {
    auto chunk = store.Read(id, from + static_cast<int64_t>(bytes.size()));
    EXPECT_THAT(chunk, IsOk());
    if (!chunk.ok() || chunk->bytes.empty()) {
      return bytes;
    }
    EXPECT_EQ(chunk->crc32c, Crc32c(chunk->bytes));
    bytes += chunk->bytes;
  }
}

class CheckpointStoreTest : public ::testing::Test {
 protected:
  void SetUp() override { Open(); }
  void TearDown() override { store_.reset(); }

  void Open() {
    store_.reset();
    ASSERT_THAT(disk_.Open(), IsOk());
    auto store = CheckpointStore::Open(disk_.database(), options_);
    ASSERT_THAT(store, IsOk());
    store_ = *std::move(store);
  }
  void Crash() {
    store_.reset();
    disk_.Crash();
    Open();
  }
  int TableCount() {
    int count = 0;
    const std::vector<std::string> names = disk_.files().ListDir("/state/db").value();
    for (const std::string& name : names) {
      count += name.find(".sst") != std::string::npos ? 1 : 0;
    }
    return count;
  }

  StorageDisk disk_;
  CheckpointStoreOptions options_{.quota_bytes = 12 << 20, .table_size_bytes = 2 << 20};
  std::unique_ptr<CheckpointStore> store_;
};

TEST_F(CheckpointStoreTest, KeepsWhatWasFinishedWhenPowerFails) {
  const std::string bytes = Bytes(5 * kChunk + 123);
  ASSERT_THAT(Upload(*store_, Id(1), bytes), IsOk());
  ASSERT_THAT(Upload(*store_, Id(2), "x"), IsOk());
  Crash();
  EXPECT_TRUE(Download(*store_, Id(1)) == bytes);
  EXPECT_TRUE(Download(*store_, Id(1), kChunk + 77) == bytes.substr(kChunk + 77));
  EXPECT_EQ(Download(*store_, Id(2)), "x");
  CVT_ASSERT_OK_AND_ASSIGN(const CheckpointInfo info, store_->Verify(Id(1)));
  EXPECT_EQ(info.size_bytes, static_cast<int64_t>(bytes.size()));
  EXPECT_EQ(info.digest, BlockDigestHex(bytes));
  EXPECT_EQ(store_->used_bytes(), static_cast<int64_t>(bytes.size()) + 1);
}

TEST_F(CheckpointStoreTest, AnUnfinishedUploadLeavesNothing) {
  {
    CVT_ASSERT_OK_AND_ASSIGN(auto writer, store_->Begin(Id(1), 3 * kChunk));
    const std::string chunk = Bytes(kChunk);
    ASSERT_THAT(writer->Append(chunk, Crc32c(chunk)), IsOk());
    EXPECT_EQ(writer->offset(), static_cast<int64_t>(kChunk));
    EXPECT_THAT(writer->Finish(BlockDigestHex(chunk)),
                StatusIs(absl::StatusCode::kDataLoss, Reason("CHECKPOINT_BAD")));
    EXPECT_EQ(store_->used_bytes(), 3 * static_cast<int64_t>(kChunk));
  }
  EXPECT_EQ(store_->used_bytes(), 0);
  EXPECT_THAT(store_->Find(Id(1)), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(disk_.files().ListDir("/state/staging"), IsOkAndHolds(::testing::IsEmpty()));
}

TEST_F(CheckpointStoreTest, DiscardTakesBackWhatWasFinished) {
  const std::string bytes = Bytes(2 * kChunk + 9);
  {
    CVT_ASSERT_OK_AND_ASSIGN(auto writer, store_->Begin(Id(1), static_cast<int64_t>(bytes.size())));
    EXPECT_THAT(writer->Discard(), IsOk()) << "there is nothing yet";
    for (size_t at = 0; at < bytes.size(); at += kChunk) {
      const std::string chunk = bytes.substr(at, kChunk);
      ASSERT_THAT(writer->Append(chunk, Crc32c(chunk)), IsOk());
    }
    ASSERT_THAT(writer->Finish(BlockDigestHex(bytes)), IsOk());
    EXPECT_THAT(store_->Begin(Id(1), 1), StatusIs(absl::StatusCode::kAborted))
        << "nobody else stores it meanwhile";
    EXPECT_THAT(writer->Discard(), IsOk());
    EXPECT_THAT(store_->Find(Id(1)), StatusIs(absl::StatusCode::kNotFound));
    EXPECT_THAT(writer->Append("x", Crc32c("x")), StatusIs(absl::StatusCode::kFailedPrecondition));
  }
  EXPECT_EQ(store_->used_bytes(), 0);
  ASSERT_THAT(Upload(*store_, Id(1), bytes), IsOk());
  EXPECT_EQ(store_->used_bytes(), static_cast<int64_t>(bytes.size()));
}

TEST_F(CheckpointStoreTest, RemovesWhatACrashLeftInStaging) {
  // More than wait for the thread that writes them: the first ones have been written.
  constexpr int kChunks = 11;
  CVT_ASSERT_OK_AND_ASSIGN(auto writer, store_->Begin(Id(1), (kChunks + 1) * kChunk));
  const std::string chunk = Bytes(kChunk);
  for (int i = 0; i < kChunks; ++i) ASSERT_THAT(writer->Append(chunk, Crc32c(chunk)), IsOk());
  disk_.faulty().PowerOffAt(disk_.faulty().operations() + 1);
  writer.reset();
  store_.reset();
  disk_.Crash(InMemoryFileSystem::Unsynced::kKeep);
  ASSERT_FALSE(disk_.files().ListDir("/state/staging")->empty());
  Open();
  EXPECT_THAT(disk_.files().ListDir("/state/staging"), IsOkAndHolds(::testing::IsEmpty()));
  EXPECT_THAT(Upload(*store_, Id(1), chunk), IsOk());
}

TEST_F(CheckpointStoreTest, RefusesBytesThatAreNotWhatTheSenderHad) {
  const std::string bytes = Bytes(kChunk);
  {
    CVT_ASSERT_OK_AND_ASSIGN(auto writer, store_->Begin(Id(1), kChunk));
    EXPECT_THAT(writer->Append(bytes, Crc32c(bytes) ^ 1),
                StatusIs(absl::StatusCode::kDataLoss, Reason("CHECKPOINT_BAD"),
                         Message(HasSubstr("offset 0"))));
    EXPECT_THAT(writer->Append(bytes, Crc32c(bytes)),
                StatusIs(absl::StatusCode::kFailedPrecondition));
  }
  CVT_ASSERT_OK_AND_ASSIGN(auto writer, store_->Begin(Id(1), kChunk));
  ASSERT_THAT(writer->Append(bytes, Crc32c(bytes)), IsOk());
  EXPECT_THAT(writer->Finish(BlockDigestHex("other")),
              StatusIs(absl::StatusCode::kDataLoss, Reason("CHECKPOINT_BAD")));
  EXPECT_THAT(store_->Find(Id(1)), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(CheckpointStoreTest, RefusesChunksOfTheWrongSize) {
  for (size_t size : {size_t{0}, size_t{100}, kChunk + 1}) {
    CVT_ASSERT_OK_AND_ASSIGN(auto writer, store_->Begin(Id(1), 2 * kChunk));
    const std::string chunk(size, 'x');
    EXPECT_THAT(writer->Append(chunk, Crc32c(chunk)),
                StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID")));
  }
}

TEST_F(CheckpointStoreTest, RefusesImpossibleSizes) {
  for (int64_t size : {int64_t{0}, int64_t{-1}, (int64_t{16} << 30) + 1}) {
    EXPECT_THAT(store_->Begin(Id(1), size),
                StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID")));
  }
}

TEST_F(CheckpointStoreTest, ExistsOnceAndIsUploadedByOneAtATime) {
  CVT_ASSERT_OK_AND_ASSIGN(auto writer, store_->Begin(Id(1), 1));
  EXPECT_THAT(store_->Begin(Id(1), 1), StatusIs(absl::StatusCode::kAborted));
  ASSERT_THAT(writer->Append("x", Crc32c("x")), IsOk());
  ASSERT_THAT(writer->Finish(BlockDigestHex("x")), IsOk());
  writer.reset();
  EXPECT_THAT(store_->Begin(Id(1), 1), StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_EQ(store_->used_bytes(), 1);
}

TEST_F(CheckpointStoreTest, KeepsTheQuota) {
  ASSERT_THAT(Upload(*store_, Id(1), Bytes(8 * kChunk)), IsOk());
  EXPECT_THAT(store_->Begin(Id(2), 5 * kChunk),
              StatusIs(absl::StatusCode::kResourceExhausted, Reason("LIMIT_EXCEEDED")));
  ASSERT_THAT(store_->Delete(Id(1)), IsOk());
  EXPECT_THAT(store_->Begin(Id(2), 5 * kChunk), IsOk());
}

TEST_F(CheckpointStoreTest, DeletingGivesTheDiskBack) {
  ASSERT_THAT(Upload(*store_, Id(1), Bytes(5 * kChunk)), IsOk());
  ASSERT_THAT(Upload(*store_, Id(2), Bytes(5 * kChunk)), IsOk());
  const int tables = TableCount();
  EXPECT_GE(tables, 4);
  ASSERT_THAT(store_->Delete(Id(1)), IsOk());
  ASSERT_THAT(store_->Delete(Id(1)), IsOk());
  EXPECT_THAT(store_->Find(Id(1)),
              StatusIs(absl::StatusCode::kNotFound, Reason("CHECKPOINT_NOT_FOUND")));
  EXPECT_THAT(store_->Verify(Id(2)), IsOk());
  EXPECT_EQ(TableCount(), tables / 2);
  Crash();
  EXPECT_THAT(store_->Find(Id(1)), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store_->Verify(Id(2)), IsOk());
}

TEST_F(CheckpointStoreTest, CollectsWhatNoEventNames) {
  for (uint8_t number = 1; number <= 3; ++number) {
    ASSERT_THAT(Upload(*store_, Id(number), "x"), IsOk());
  }
  EXPECT_THAT(store_->Collect({Id(2)}), IsOkAndHolds(2));
  EXPECT_THAT(store_->Find(Id(2)), IsOk());
  EXPECT_THAT(store_->Find(Id(1)), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(store_->used_bytes(), 1);
}

TEST_F(CheckpointStoreTest, SaysWhichBytesAreMissing) {
  ASSERT_THAT(Upload(*store_, Id(1), "x"), IsOk());
  EXPECT_THAT(store_->FindMissing({Id(1), Id(2)}), IsOkAndHolds(::testing::ElementsAre(Id(2))));
}

// A read that fails while RocksDB looks at a table must not make the table shorter.
TEST_F(CheckpointStoreTest, IsWholeOrRefusedWhereverOneOperationFails) {
  const std::string bytes = Bytes(3000);
  bool failed = true;
  for (uint64_t after = 1; failed; ++after) {
    SCOPED_TRACE(after);
    StorageDisk disk;
    ASSERT_THAT(disk.Open(), IsOk());
    CVT_ASSERT_OK_AND_ASSIGN(auto store, CheckpointStore::Open(disk.database()));
    disk.faulty().FailOperation(disk.faulty().operations() + after,
                                FaultyFileSystem::Fault::kDeviceError);
    const uint64_t before = disk.faulty().operations();
    const absl::Status uploaded = Upload(*store, Id(1), bytes);
    failed = disk.faulty().operations() - before >= after;
    store.reset();
    disk.Crash(InMemoryFileSystem::Unsynced::kKeep);
    ASSERT_THAT(disk.Open(), IsOk());
    CVT_ASSERT_OK_AND_ASSIGN(store, CheckpointStore::Open(disk.database()));
    const absl::Status verified = store->Verify(Id(1)).status();
    EXPECT_TRUE(verified.ok() || (!uploaded.ok() && absl::IsNotFound(verified))) << verified;
    EXPECT_THAT(store->Collect({}), IsOk());
    EXPECT_THAT(Upload(*store, Id(1), bytes), IsOk());
    store.reset();
  }
}

TEST_F(CheckpointStoreTest, FindsABitThatTurnedAndNamesTheOffset) {
  const std::string bytes = Bytes(3 * kChunk);
  ASSERT_THAT(Upload(*store_, Id(1), bytes), IsOk());
  store_.reset();
  disk_.Close();
  const std::vector<std::string> names = disk_.files().ListDir("/state/db").value();
  for (const std::string& name : names) {
    const std::string path = "/state/db/" + name;
    const uint64_t size = disk_.files().Stat(path)->size_bytes;
    if (name.find(".sst") != std::string::npos && size > kChunk) {
      ASSERT_THAT(disk_.FlipBit(path, kChunk + kChunk / 2, 3), IsOk());
    }
  }
  Open();
  EXPECT_THAT(store_->Read(Id(1), 0), IsOk());
  EXPECT_THAT(store_->Read(Id(1), kChunk + 5),
              StatusIs(absl::StatusCode::kDataLoss, Reason("CHECKPOINT_BAD"),
                       Message(HasSubstr(absl::StrCat("offset ", kChunk)))));
  EXPECT_THAT(store_->Verify(Id(1)),
              StatusIs(absl::StatusCode::kDataLoss, Reason("CHECKPOINT_BAD")));
}

TEST_F(CheckpointStoreTest, RefusesToReadBehindTheEnd) {
  ASSERT_THAT(Upload(*store_, Id(1), "abc"), IsOk());
  EXPECT_EQ(store_->Read(Id(1), 3)->bytes, "");
  EXPECT_THAT(store_->Read(Id(1), 4), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(store_->Read(Id(1), -1), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(store_->Read(Id(9), 0), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(CheckpointStoreTest, NamesAFullDisk) {
  disk_.faulty().FailMatching(
      [](absl::string_view operation) { return operation.find("staging") != operation.npos; },
      FaultyFileSystem::Fault::kDiskFull);
  EXPECT_THAT(Upload(*store_, Id(1), Bytes(kChunk)),
              StatusIs(absl::StatusCode::kResourceExhausted, Reason("DISK_FULL")));
  disk_.faulty().ClearFaults();
  EXPECT_THAT(disk_.database().health(), IsOk());  // the journal was not touched
  EXPECT_THAT(Upload(*store_, Id(1), Bytes(kChunk)), IsOk());
}

// Power fails at every operation of an upload (a stride): complete and verified, or absent.
TEST_F(CheckpointStoreTest, IsCompleteOrAbsentWhereverPowerFails) {
  const std::string bytes = Bytes(3000);
  for (auto unsynced : {InMemoryFileSystem::Unsynced::kDrop, InMemoryFileSystem::Unsynced::kKeep}) {
    bool finished = false;
    for (uint64_t after = 1; !finished; after += 7) {
      SCOPED_TRACE(after);
      SetUp();
      ASSERT_THAT(store_->Delete(Id(1)), IsOk());
      disk_.faulty().PowerOffAt(disk_.faulty().operations() + after);
      finished = Upload(*store_, Id(1), bytes).ok();
      store_.reset();
      disk_.Crash(unsynced);
      Open();
      const absl::Status status = store_->Verify(Id(1)).status();
      EXPECT_TRUE(status.ok() || (!finished && absl::IsNotFound(status))) << status;
    }
  }
}

TEST(CheckpointStoreOnDiskTest, WritesPastThePageCacheAndReadsBack) {
  testing::TempDir directory;
  DatabaseOptions options;
  options.directory = JoinPath(directory.path(), "state");
  const std::string bytes = Bytes(3 * kChunk + 999);
  CVT_ASSERT_OK_AND_ASSIGN(auto database, Database::Open(options, PosixFileSystem()));
  CVT_ASSERT_OK_AND_ASSIGN(auto store, CheckpointStore::Open(*database, {}));
  ASSERT_THAT(Upload(*store, Id(1), bytes), IsOk());
  EXPECT_THAT(store->Verify(Id(1)), IsOk());
  EXPECT_TRUE(Download(*store, Id(1)) == bytes);
  ASSERT_THAT(store->Delete(Id(1)), IsOk());
  EXPECT_THAT(store->Find(Id(1)), StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace cvtrain::coordinator
