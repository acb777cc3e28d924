#include "coordinator/storage/database.h"

#include <memory>
#include <string>
#include <vector>

#include "coordinator/storage/journal/database_journal.h"
#include "coordinator/storage/rocks.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/coordinator/storage/storage_disk.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::HasSubstr;

class DatabaseTest : public ::testing::Test {
 protected:
  // Opens database and journal, as a coordinator does.
  absl::Status Start() {
    if (absl::Status status = disk_.Open(); !status.ok()) {
      return status;
    }
    auto journal = DatabaseJournal::Open(disk_.database());
    if (journal.ok()) {
      journal_ = *std::move(journal);
    }
    return journal.status();
  }
  void Stop() {
    journal_.reset();
    disk_.Close();
  }
  void Crash() {
    journal_.reset();
    disk_.Crash();
  }
  absl::Status Append(const std::string& bytes) {
    return journal_->Append({{journal_->last_revision() + 1, bytes}});
  }
  std::string PathOf(const std::string& suffix) {
    const auto names = disk_.files().ListDir("/state/db");
    for (const std::string& name : names.value()) {
      if (name.size() >= suffix.size() && name.substr(name.size() - suffix.size()) == suffix) {
        return "/state/db/" + name;
      }
    }
    return "";
  }

  StorageDisk disk_;
  std::unique_ptr<DatabaseJournal> journal_;
};

TEST_F(DatabaseTest, KeepsItsClusterIdForever) {
  ASSERT_THAT(Start(), IsOk());
  const std::string cluster_id = disk_.database().cluster_id();
  EXPECT_EQ(cluster_id.size(), 36u);
  Stop();
  ASSERT_THAT(Start(), IsOk());
  EXPECT_EQ(disk_.database().cluster_id(), cluster_id);
}

TEST_F(DatabaseTest, KeepsWhatWasAcknowledgedWhenPowerFails) {
  ASSERT_THAT(Start(), IsOk());
  for (int i = 0; i < 20; ++i) {
    ASSERT_THAT(Append("event"), IsOk());
  }
  Crash();
  ASSERT_THAT(Start(), IsOk());
  EXPECT_EQ(journal_->last_revision(), 20);
}

TEST_F(DatabaseTest, RefusesASecondCoordinatorAndNamesTheFirst) {
  ASSERT_THAT(Start(), IsOk());
  const auto second = Database::Open(disk_.options(), disk_.faulty(), disk_.clock());
  EXPECT_THAT(second, StatusIs(absl::StatusCode::kFailedPrecondition, Reason("STATE_DIR_BUSY"),
                               Message(HasSubstr(std::to_string(getpid())))));
  EXPECT_THAT(Append("still working"), IsOk());
}

TEST_F(DatabaseTest, RefusesABitThatTurnedInTheLogAndSaysWhere) {
  ASSERT_THAT(Start(), IsOk());
  for (int i = 0; i < 50; ++i) {
    ASSERT_THAT(Append(std::string(100, 'x')), IsOk());
  }
  Crash();  // an orderly stop would empty the log
  const std::string log = PathOf(".log");
  ASSERT_THAT(disk_.FlipBit(log, 3000), IsOk());
  EXPECT_THAT(Start(), StatusIs(absl::StatusCode::kDataLoss, Reason("JOURNAL_DAMAGED"),
                                Message(HasSubstr(BaseName(log) + " at offset 2"))));
}

TEST_F(DatabaseTest, RefusesALogThatWasDeleted) {
  ASSERT_THAT(Start(), IsOk());
  ASSERT_THAT(Append("event"), IsOk());
  Crash();
  ASSERT_THAT(disk_.files().Remove(PathOf(".log")), IsOk());
  EXPECT_THAT(Start(), StatusIs(absl::StatusCode::kDataLoss, Reason("JOURNAL_BEHIND")));
}

TEST_F(DatabaseTest, RefusesADatabaseThatWasDeleted) {
  ASSERT_THAT(Start(), IsOk());
  ASSERT_THAT(Append("event"), IsOk());
  Stop();
  ASSERT_THAT(disk_.files().RemoveAll("/state/db"), IsOk());
  EXPECT_THAT(Start(), StatusIs(absl::StatusCode::kDataLoss, Reason("JOURNAL_BEHIND")));
}

TEST_F(DatabaseTest, RefusesADatabaseWithoutHead) {
  ASSERT_THAT(Start(), IsOk());
  Stop();
  ASSERT_THAT(disk_.files().Remove("/state/HEAD"), IsOk());
  EXPECT_THAT(Start(), StatusIs(absl::StatusCode::kDataLoss, Reason("JOURNAL_DAMAGED"),
                                Message(HasSubstr("/state/HEAD: missing"))));
}

TEST_F(DatabaseTest, RefusesAnOlderCopyOfTheDatabase) {
  ASSERT_THAT(Start(), IsOk());
  ASSERT_THAT(Append("event"), IsOk());
  Stop();
  const std::string head = ReadFile(disk_.files(), "/state/HEAD").value();
  ASSERT_THAT(Start(), IsOk());
  disk_.clock().Advance(absl::Seconds(1));
  ASSERT_THAT(Append("event"), IsOk());
  Stop();
  const std::string newer_head = ReadFile(disk_.files(), "/state/HEAD").value();
  EXPECT_NE(head, newer_head);
  // The database of another cluster in its place.
  ASSERT_THAT(disk_.files().Rename("/state", "/old"), IsOk());
  ASSERT_THAT(Start(), IsOk());
  for (int i = 0; i < 5; ++i) {
    ASSERT_THAT(Append("other"), IsOk());
  }
  Stop();
  ASSERT_THAT(WriteFileAtomic(disk_.files(), "/state/HEAD", newer_head), IsOk());
  EXPECT_THAT(Start(), StatusIs(absl::StatusCode::kDataLoss, Reason("JOURNAL_DAMAGED"),
                                Message(HasSubstr("cluster"))));
}

TEST_F(DatabaseTest, RefusesARecordWithAnotherHashThanHeadSays) {
  ASSERT_THAT(Start(), IsOk());
  ASSERT_THAT(Append("event"), IsOk());
  Stop();
  CVT_ASSERT_OK_AND_ASSIGN(auto head, HeadFile::Open(disk_.files(), "/state/HEAD"));
  HeadMark mark = head->mark();
  mark.chain[3] ^= 1;
  ASSERT_THAT(head->Write(mark), IsOk());
  EXPECT_THAT(Start(), StatusIs(absl::StatusCode::kDataLoss, Reason("JOURNAL_DAMAGED")));
}

TEST_F(DatabaseTest, WritesHeadAtMostOncePerInterval) {
  ASSERT_THAT(Start(), IsOk());
  const auto revision_of_head = [&] {
    return HeadFile::Open(disk_.files(), "/state/HEAD").value()->mark().revision;
  };
  ASSERT_THAT(Append("1"), IsOk());
  EXPECT_EQ(revision_of_head(), 1);
  ASSERT_THAT(Append("2"), IsOk());
  EXPECT_EQ(revision_of_head(), 1);
  disk_.clock().Advance(absl::Milliseconds(100));
  ASSERT_THAT(Append("3"), IsOk());
  EXPECT_EQ(revision_of_head(), 3);
  ASSERT_THAT(Append("4"), IsOk());
  Stop();
  EXPECT_EQ(revision_of_head(), 4);
}

TEST_F(DatabaseTest, StopsAllWritingAfterTheFirstFailure) {
  ASSERT_THAT(Start(), IsOk());
  ASSERT_THAT(Append("1"), IsOk());
  disk_.faulty().FailMatching(
      [](absl::string_view operation) {
        return operation.find("Sync") == 0 && operation.find(".log") != operation.npos;
      },
      FaultyFileSystem::Fault::kErrorAfter);
  EXPECT_THAT(Append("2"), StatusIs(absl::StatusCode::kUnavailable, Reason("STORAGE_FAILED")));
  EXPECT_FALSE(disk_.database().health().ok());
  disk_.faulty().ClearFaults();
  EXPECT_THAT(Append("2"), StatusIs(absl::StatusCode::kUnavailable));
  // The outcome was unknown; here the record had reached the disk.
  Stop();
  ASSERT_THAT(Start(), IsOk());
  EXPECT_EQ(journal_->last_revision(), 2);
}

TEST_F(DatabaseTest, NamesAFullDisk) {
  ASSERT_THAT(Start(), IsOk());
  disk_.faulty().FailMatching(
      [](absl::string_view operation) { return operation.find(".log") != operation.npos; },
      FaultyFileSystem::Fault::kDiskFull);
  EXPECT_THAT(Append("1"), StatusIs(absl::StatusCode::kResourceExhausted, Reason("DISK_FULL")));
}

TEST_F(DatabaseTest, ChecksSpaceBeforeTheDiskIsFull) {
  ASSERT_THAT(Start(), IsOk());
  EXPECT_THAT(disk_.database().CheckSpace(), IsOk());
  disk_.files().SetQuota(disk_.files().used_bytes() + (8 << 20));
  EXPECT_THAT(disk_.database().CheckSpace(), IsOk());  // asked less than a second ago
  disk_.clock().Advance(absl::Seconds(2));
  EXPECT_THAT(disk_.database().CheckSpace(),
              StatusIs(absl::StatusCode::kResourceExhausted, Reason("DISK_FULL")));
  EXPECT_THAT(Append("the reserve lets the journal go on"), IsOk());
}

TEST_F(DatabaseTest, ChecksTheOptionsOfTheOpenDatabase) {
  ASSERT_THAT(Start(), IsOk());
  const rocksdb::DBOptions live = disk_.database().rocks().db().GetDBOptions();
  EXPECT_THAT(CheckLiveOptions(live), IsOk());
  std::vector<rocksdb::DBOptions> wrong(5, live);
  wrong[0].wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  wrong[1].paranoid_checks = false;
  wrong[2].recycle_log_file_num = 4;
  wrong[3].manual_wal_flush = true;
  wrong[4].unordered_write = true;
  for (const rocksdb::DBOptions& options : wrong) {
    EXPECT_THAT(CheckLiveOptions(options), StatusIs(absl::StatusCode::kInternal));
  }
}

TEST_F(DatabaseTest, GoesOnWhereAFirstStartWasInterrupted) {
  ASSERT_THAT(Start(), IsOk());
  Stop();
  const uint64_t operations = disk_.faulty().operations();
  for (uint64_t operation = 1; operation <= operations; operation += 7) {
    StorageDisk disk;
    disk.faulty().PowerOffAt(operation);
    if (disk.Open().ok()) {
      disk.Close();
    }
    disk.Crash();
    ASSERT_THAT(disk.Open(), IsOk()) << "operation " << operation;
  }
}

TEST(DatabaseOnDiskTest, OpensWritesAndOpensAgain) {
  testing::TempDir directory;
  DatabaseOptions options;
  options.directory = JoinPath(directory.path(), "state");
  for (int64_t round = 0; round < 2; ++round) {
    CVT_ASSERT_OK_AND_ASSIGN(auto database, Database::Open(options, PosixFileSystem()));
    CVT_ASSERT_OK_AND_ASSIGN(auto journal, DatabaseJournal::Open(*database));
    EXPECT_EQ(journal->last_revision(), round);
    EXPECT_THAT(journal->Append({{round + 1, "event"}}), IsOk());
    EXPECT_THAT(Database::Open(options, PosixFileSystem()),
                StatusIs(absl::StatusCode::kFailedPrecondition, Reason("STATE_DIR_BUSY")));
  }
}

}  // namespace
}  // namespace cvtrain::coordinator
