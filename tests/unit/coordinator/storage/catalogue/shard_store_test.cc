#include "coordinator/storage/catalogue/shard_store.h"

#include <memory>
#include <string>

#include "common/sha256.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/coordinator/storage/storage_disk.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::IsNull;

class ShardStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Open();
    ASSERT_THAT(store_->Begin(request_), IsOk());
  }
  void TearDown() override { store_.reset(); }

  void Open() {
    store_.reset();
    ASSERT_THAT(disk_.Open(), IsOk());
    CVT_ASSERT_OK_AND_ASSIGN(store_, ShardStore::Open(disk_.database()));
  }
  void Crash() {
    store_.reset();
    disk_.Crash();
    Open();
  }
  static ShardStore::UploadOptions Options(const std::string& bytes, int64_t offset = 0) {
    return {Sha256Hex(bytes), static_cast<int64_t>(bytes.size()), offset};
  }
  absl::Status Upload(const std::string& bytes) {
    auto writer = store_->Upload(request_, Options(bytes));
    if (!writer.ok() || *writer == nullptr) {
      return writer.status();
    }
    absl::Status status = (*writer)->Append(bytes);
    status.Update((*writer)->Finish());
    return status;
  }
  std::string Read(const std::string& digest) {
    auto file = store_->OpenRead(digest);
    if (!file.ok()) {
      return std::string(file.status().message());
    }
    std::string bytes((*file)->Size().value(), '\0');
    EXPECT_THAT((*file)->Read(0, absl::MakeSpan(bytes)), IsOkAndHolds(bytes.size()));
    return bytes;
  }

  const Uuid request_ = Uuid::Parse("9f3c5d1e-0b7a-4c66-8f0e-2f6f1c0d9a11").value();
  const Uuid other_request_ = Uuid::Parse("11111111-0b7a-4c66-8f0e-2f6f1c0d9a11").value();
  StorageDisk disk_;
  std::unique_ptr<ShardStore> store_;
};

TEST_F(ShardStoreTest, KeepsWhatArrivedWhenPowerFails) {
  ASSERT_THAT(Upload("shard one"), IsOk());
  Crash();
  EXPECT_EQ(Read(Sha256Hex("shard one")), "shard one");
  EXPECT_THAT(store_->Size(Sha256Hex("shard one")), IsOkAndHolds(9));
  EXPECT_THAT(store_->Begin(request_), IsOkAndHolds(ElementsAre(Sha256Hex("shard one"))));
}

TEST_F(ShardStoreTest, ShardsOfTwoVersionsAreStoredOnce) {
  ASSERT_THAT(Upload("same"), IsOk());
  ASSERT_THAT(store_->Begin(other_request_), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(store_->Upload(other_request_, Options("same")), IsOkAndHolds(IsNull()));
  EXPECT_THAT(store_->Arrived(other_request_), IsOkAndHolds(ElementsAre(Sha256Hex("same"))));
}

TEST_F(ShardStoreTest, GoesOnWhereAnUploadEnded) {
  const std::string bytes = "first half|second half";
  {
    CVT_ASSERT_OK_AND_ASSIGN(auto writer, store_->Upload(request_, Options(bytes)));
    ASSERT_THAT(writer->Append(bytes.substr(0, 11)), IsOk());
  }
  EXPECT_THAT(store_->PartialSize(Sha256Hex(bytes)), IsOkAndHolds(11));
  EXPECT_THAT(store_->Upload(request_, Options(bytes, 5)),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID")));
  CVT_ASSERT_OK_AND_ASSIGN(auto writer, store_->Upload(request_, Options(bytes, 11)));
  EXPECT_EQ(writer->offset(), 11);
  ASSERT_THAT(writer->Append(bytes.substr(11)), IsOk());
  EXPECT_THAT(writer->Finish(), IsOk());
  EXPECT_EQ(Read(Sha256Hex(bytes)), bytes);
}

TEST_F(ShardStoreTest, RefusesBytesWithAnotherDigestAndForgetsThem) {
  CVT_ASSERT_OK_AND_ASSIGN(auto writer, store_->Upload(request_, Options("expected")));
  ASSERT_THAT(writer->Append("received"), IsOk());
  EXPECT_THAT(writer->Finish(), StatusIs(absl::StatusCode::kDataLoss, Reason("SHARD_BAD")));
  writer.reset();
  EXPECT_THAT(store_->PartialSize(Sha256Hex("expected")), IsOkAndHolds(0));
  EXPECT_THAT(store_->Arrived(request_), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(Upload("expected"), IsOk());
}

TEST_F(ShardStoreTest, RefusesTooFewAndTooManyBytes) {
  CVT_ASSERT_OK_AND_ASSIGN(auto writer, store_->Upload(request_, Options("12345678")));
  ASSERT_THAT(writer->Append("1234"), IsOk());
  EXPECT_THAT(writer->Append("56789"), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(writer->Finish(), StatusIs(absl::StatusCode::kDataLoss, Reason("SHARD_BAD")));
}

TEST_F(ShardStoreTest, NoTextOfARequestBecomesAPath) {
  for (const std::string& digest :
       {std::string("../../etc/passwd"), std::string(), std::string(64, 'A'),
        std::string(63, 'a') + "/", std::string(65, 'a')}) {
    EXPECT_THAT(store_->Upload(request_, {digest, 1, 0}),
                StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID")));
    EXPECT_THAT(store_->OpenRead(digest), StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

TEST_F(ShardStoreTest, RefusesUploadsOfVersionsThatWereNotBegun) {
  EXPECT_THAT(store_->Upload(other_request_, Options("x")),
              StatusIs(absl::StatusCode::kNotFound, Reason("DATASET_NOT_FOUND")));
  EXPECT_THAT(store_->Arrived(other_request_), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store_->Upload(request_, {Sha256Hex("x"), 0, 0}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(ShardStoreTest, OneCallUploadsAShardAtATime) {
  CVT_ASSERT_OK_AND_ASSIGN(auto writer, store_->Upload(request_, Options("x")));
  EXPECT_THAT(store_->Upload(request_, Options("x")),
              StatusIs(absl::StatusCode::kAborted, Reason("WRONG_STATE")));
  writer.reset();
  EXPECT_THAT(store_->Upload(request_, Options("x")), IsOk());
}

TEST_F(ShardStoreTest, NoticesAFileThatIsGoneOrCut) {
  ASSERT_THAT(Upload("shard"), IsOk());
  const std::string path = "/state/shards/" + Sha256Hex("shard");
  ASSERT_THAT(WriteFileAtomic(disk_.files(), path, "shar"), IsOk());
  EXPECT_THAT(store_->OpenRead(Sha256Hex("shard")),
              StatusIs(absl::StatusCode::kDataLoss, Reason("SHARD_BAD")));
  ASSERT_THAT(disk_.files().Remove(path), IsOk());
  EXPECT_THAT(store_->OpenRead(Sha256Hex("shard")),
              StatusIs(absl::StatusCode::kDataLoss, Reason("SHARD_BAD")));
  EXPECT_THAT(store_->OpenRead(Sha256Hex("never")),
              StatusIs(absl::StatusCode::kNotFound, Reason("SHARD_NOT_FOUND")));
}

TEST_F(ShardStoreTest, CollectsOldShardsThatNobodyRefersTo) {
  ASSERT_THAT(Upload("referenced"), IsOk());
  ASSERT_THAT(Upload("garbage"), IsOk());
  { CVT_ASSERT_OK_AND_ASSIGN(auto writer, store_->Upload(request_, Options("unfinished"))); }
  const std::set<std::string> referenced = {Sha256Hex("referenced")};
  disk_.clock().Advance(absl::Hours(23));
  EXPECT_THAT(store_->Collect(referenced), IsOkAndHolds(0));
  // Still arrived for another version that is not finished.
  ASSERT_THAT(store_->Begin(other_request_), IsOk());
  disk_.clock().Advance(absl::Hours(2));
  EXPECT_THAT(store_->Collect(referenced), IsOkAndHolds(1));
  EXPECT_EQ(Read(Sha256Hex("referenced")), "referenced");
  EXPECT_THAT(store_->Size(Sha256Hex("garbage")), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store_->Arrived(request_), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store_->Arrived(other_request_), IsOk());
  EXPECT_THAT(disk_.files().ListDir("/state/uploads"), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(disk_.files().ListDir("/state/shards"),
              IsOkAndHolds(ElementsAre(Sha256Hex("referenced"))));
}

TEST_F(ShardStoreTest, NeverCollectsWhatArrivedForAnUnfinishedVersion) {
  ASSERT_THAT(Upload("shard"), IsOk());
  disk_.clock().Advance(absl::Hours(23));
  ASSERT_THAT(store_->Begin(other_request_), IsOk());
  ASSERT_THAT(store_->Upload(other_request_, Options("shard")), IsOkAndHolds(IsNull()));
  disk_.clock().Advance(absl::Hours(23));
  EXPECT_THAT(store_->Collect({}), IsOkAndHolds(0));
  EXPECT_EQ(Read(Sha256Hex("shard")), "shard");
}

TEST_F(ShardStoreTest, NamesAFullDisk) {
  disk_.files().SetQuota(disk_.files().used_bytes() + (1 << 20));
  disk_.clock().Advance(absl::Minutes(1));
  EXPECT_THAT(Upload("x"), StatusIs(absl::StatusCode::kResourceExhausted, Reason("DISK_FULL")));
}

// Power fails at every operation of an upload: a shard that was acknowledged is whole, one that is
// listed as arrived is whole, and the upload can be repeated.
TEST_F(ShardStoreTest, IsWholeOrAbsentWhereverPowerFails) {
  const std::string bytes(2000, 'b');
  for (auto unsynced : {InMemoryFileSystem::Unsynced::kDrop, InMemoryFileSystem::Unsynced::kKeep,
                        InMemoryFileSystem::Unsynced::kTear}) {
    bool acknowledged = false;
    for (uint64_t operation = 1; !acknowledged; ++operation) {
      SCOPED_TRACE(operation);
      StorageDisk disk;
      ASSERT_THAT(disk.Open(), IsOk());
      CVT_ASSERT_OK_AND_ASSIGN(auto store, ShardStore::Open(disk.database()));
      ASSERT_THAT(store->Begin(request_), IsOk());
      disk.faulty().PowerOffAt(disk.faulty().operations() + operation);
      if (auto writer = store->Upload(request_, Options(bytes)); writer.ok()) {
        acknowledged = (*writer)->Append(bytes).ok() && (*writer)->Finish().ok();
      }
      store.reset();
      disk.Crash(unsynced);
      const absl::Status opened = disk.Open();
      if (unsynced == InMemoryFileSystem::Unsynced::kTear && absl::IsDataLoss(opened)) {
        continue;  // a torn log is refused
      }
      ASSERT_THAT(opened, IsOk());
      CVT_ASSERT_OK_AND_ASSIGN(store, ShardStore::Open(disk.database()));
      CVT_ASSERT_OK_AND_ASSIGN(const auto arrived, store->Arrived(request_));
      EXPECT_TRUE(!acknowledged || arrived.size() == 1);
      if (!arrived.empty()) {
        CVT_ASSERT_OK_AND_ASSIGN(auto file, store->OpenRead(Sha256Hex(bytes)));
        std::string read(bytes.size(), '\0');
        ASSERT_THAT(file->Read(0, absl::MakeSpan(read)), IsOk());
        EXPECT_EQ(read, bytes);
      }
      store.reset();
    }
  }
}

}  // namespace
}  // namespace cvtrain::coordinator
