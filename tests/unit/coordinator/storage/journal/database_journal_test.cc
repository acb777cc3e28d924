#include "coordinator/storage/journal/database_journal.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "coordinator/engine/in_memory_journal.h"
#include "coordinator/storage/coding.h"
#include "coordinator/storage/rocks.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/coordinator/engine/journal_conformance.h"
#include "tests/unit/coordinator/storage/storage_disk.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::HasSubstr;

// --- The conformance suite, on both -------------------------------------------

class DatabaseHarness : public JournalHarness {
 public:
  explicit DatabaseHarness(bool power_fails) : power_fails_(power_fails) { Open(); }

  Journal& journal() override { return *journal_; }
  void Reopen() override {
    journal_.reset();
    if (power_fails_) {
      disk_.Crash();
    }
    Open();
  }

 private:
  void Open() {
    CVT_CHECK_OK(disk_.Open());
    auto journal = DatabaseJournal::Open(disk_.database(), {.tail_records = kTailRecords});
    CVT_CHECK_OK(journal.status());
    journal_ = *std::move(journal);
  }

  const bool power_fails_;
  StorageDisk disk_;
  std::unique_ptr<DatabaseJournal> journal_;
};

class InMemoryHarness : public JournalHarness {
 public:
  Journal& journal() override { return journal_; }
  void Reopen() override { journal_.Restart(); }

 private:
  InMemoryJournal journal_{"00000000-0000-4000-8000-000000000000", kTailRecords};
};

std::unique_ptr<JournalHarness> MakeStopped() { return std::make_unique<DatabaseHarness>(false); }
std::unique_ptr<JournalHarness> MakeCrashed() { return std::make_unique<DatabaseHarness>(true); }
std::unique_ptr<JournalHarness> MakeInMemory() { return std::make_unique<InMemoryHarness>(); }

INSTANTIATE_TEST_SUITE_P(Database, JournalConformanceTest, ::testing::Values(&MakeStopped));
INSTANTIATE_TEST_SUITE_P(DatabaseAfterPowerFailures, JournalConformanceTest,
                         ::testing::Values(&MakeCrashed));
INSTANTIATE_TEST_SUITE_P(InMemory, JournalConformanceTest, ::testing::Values(&MakeInMemory));

// --- What only the database can do --------------------------------------------

class DatabaseJournalTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_THAT(Open(), IsOk()); }

  absl::Status Open() {
    journal_.reset();
    if (absl::Status status = disk_.Open(); !status.ok()) {
      return status;
    }
    auto journal = DatabaseJournal::Open(disk_.database());
    if (journal.ok()) {
      journal_ = *std::move(journal);
    }
    return journal.status();
  }
  void Append(int count) {
    for (int i = 0; i < count; ++i) {
      const int64_t revision = journal_->last_revision() + 1;
      ASSERT_THAT(journal_->Append({{revision, absl::StrCat("event ", revision)}}), IsOk());
    }
  }
  absl::Status Replay() {
    return journal_->Replay(0, [](const JournalRecord&) { return absl::OkStatus(); });
  }
  // Changes rows behind the journal's back, as a bug or a bad repair would.
  void Put(const std::string& key, const std::string& value) {
    CommitBatch batch(disk_.database().rocks());
    batch.Put(Family::kJournal, key, value);
    ASSERT_THAT(disk_.database().rocks().Write(batch.rows()), IsOk());
  }
  void Delete(const std::string& key) {
    CommitBatch batch(disk_.database().rocks());
    batch.Delete(Family::kJournal, key);
    ASSERT_THAT(disk_.database().rocks().Write(batch.rows()), IsOk());
  }
  std::string Get(const std::string& key) {
    return disk_.database().rocks().Get(Family::kJournal, key).value().value_or("");
  }
  static std::string RecordKey(uint64_t revision) {
    std::string key = "r";
    AppendBigEndian64(revision, &key);
    return key;
  }

  StorageDisk disk_;
  std::unique_ptr<DatabaseJournal> journal_;
};

TEST_F(DatabaseJournalTest, FindsARecordThatWasChanged) {
  Append(5);
  std::string row = Get(RecordKey(3));
  row.back() = '?';
  Put(RecordKey(3), row);
  EXPECT_THAT(Replay(), StatusIs(absl::StatusCode::kDataLoss, Reason("JOURNAL_DAMAGED"),
                                 Message(HasSubstr("record 3"))));
}

TEST_F(DatabaseJournalTest, FindsARecordThatIsMissing) {
  Append(5);
  Delete(RecordKey(3));
  EXPECT_THAT(Replay(), StatusIs(absl::StatusCode::kDataLoss, Message(HasSubstr("record 3"))));
}

TEST_F(DatabaseJournalTest, FindsRecordsThatChangedPlaces) {
  Append(5);
  const std::string second = Get(RecordKey(2));
  Put(RecordKey(2), Get(RecordKey(3)));
  Put(RecordKey(3), second);
  EXPECT_THAT(Replay(), StatusIs(absl::StatusCode::kDataLoss, Message(HasSubstr("record 2"))));
}

TEST_F(DatabaseJournalTest, FindsASnapshotThatWasChanged) {
  Append(2);
  ASSERT_THAT(journal_->PutSnapshot({2, "state"}), IsOk());
  std::string key = "s";
  AppendBigEndian64(2, &key);
  AppendBigEndian32(0, &key);
  ASSERT_EQ(Get(key), "state");
  Put(key, "stale");
  EXPECT_THAT(journal_->LoadSnapshot(),
              StatusIs(absl::StatusCode::kDataLoss, Reason("JOURNAL_DAMAGED")));
}

TEST_F(DatabaseJournalTest, RefusesAJournalThatEndsBeforeHead) {
  Append(5);
  disk_.clock().Advance(absl::Seconds(1));
  Append(1);
  Delete(RecordKey(6));
  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kDataLoss, Reason("JOURNAL_BEHIND"),
                               Message(HasSubstr("revision 5"))));
}

TEST_F(DatabaseJournalTest, RefusesRecordsThatDoNotContinueTheSnapshot) {
  Append(5);
  ASSERT_THAT(journal_->PutSnapshot({2, "state"}), IsOk());
  for (uint64_t revision : {1, 2, 3}) {
    Delete(RecordKey(revision));
  }
  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kDataLoss, Reason("JOURNAL_DAMAGED")));
}

// A workload that is cut off at every operation of the disk (a prime stride; tests/crash does all):
// what was acknowledged is there, what was not is there wholly or not at all, and the chain holds.
constexpr uint64_t kStride = 11;

class JournalCrashTest : public ::testing::TestWithParam<InMemoryFileSystem::Unsynced> {
 protected:
  struct Outcome {
    int64_t acknowledged = 0;
    int64_t sent = 0;
    int64_t snapshot = 0;
  };

  // Groups of three records, a snapshot after every fifth group, HEAD with each.
  static Outcome Run(StorageDisk& disk) {
    Outcome outcome;
    if (!disk.Open().ok()) {
      return outcome;
    }
    auto journal = DatabaseJournal::Open(disk.database(), {.tail_records = 4});
    if (!journal.ok()) {
      return outcome;
    }
    for (int group = 1; group <= 12; ++group) {
      disk.clock().Advance(absl::Seconds(1));
      std::vector<JournalRecord> records;
      for (int i = 0; i < 3; ++i) {
        records.push_back({++outcome.sent, std::string(700, static_cast<char>('a' + group))});
      }
      if (!(*journal)->Append(records).ok()) {
        return outcome;
      }
      outcome.acknowledged = outcome.sent;
      if (group % 5 == 0 &&
          (*journal)->PutSnapshot({outcome.sent, std::string(3 << 10, 's')}).ok()) {
        outcome.snapshot = outcome.sent;
      }
    }
    return outcome;
  }

  static void Check(StorageDisk& disk, const Outcome& outcome) {
    ASSERT_THAT(disk.Open(), IsOk());
    CVT_ASSERT_OK_AND_ASSIGN(auto journal, DatabaseJournal::Open(disk.database()));
    EXPECT_GE(journal->last_revision(), outcome.acknowledged);
    EXPECT_LE(journal->last_revision(), outcome.sent);
    EXPECT_EQ(journal->last_revision() % 3, 0) << "a part of a group";
    CVT_ASSERT_OK_AND_ASSIGN(const auto snapshot, journal->LoadSnapshot());
    const int64_t from = snapshot ? snapshot->revision : 0;
    EXPECT_GE(from, outcome.snapshot);
    EXPECT_THAT(journal->Replay(from, [](const JournalRecord&) { return absl::OkStatus(); }),
                IsOk());
    EXPECT_THAT(journal->Append({{journal->last_revision() + 1, "next"}}), IsOk());
  }
};

TEST_P(JournalCrashTest, SurvivesPowerFailureAtEveryOperation) {
  StorageDisk whole;
  ASSERT_EQ(Run(whole).acknowledged, 36);
  const uint64_t operations = whole.faulty().operations();
  for (uint64_t operation = 1; operation < operations; operation += kStride) {
    SCOPED_TRACE(absl::StrCat("operation ", operation, " of ", operations));
    StorageDisk disk;
    disk.faulty().PowerOffAt(operation);
    const Outcome outcome = Run(disk);
    disk.Crash(GetParam());
    Check(disk, outcome);
    if (HasFatalFailure()) {
      return;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Unsynced, JournalCrashTest,
                         ::testing::Values(InMemoryFileSystem::Unsynced::kDrop,
                                           InMemoryFileSystem::Unsynced::kKeep));

// An error at any operation: nothing more is acknowledged, and after a restart what was
// acknowledged is there.
TEST(JournalFaultTest, SurvivesAnErrorAtEveryOperation) {
  for (auto fault : {FaultyFileSystem::Fault::kDeviceError, FaultyFileSystem::Fault::kDiskFull,
                     FaultyFileSystem::Fault::kShortWrite, FaultyFileSystem::Fault::kErrorAfter}) {
    for (uint64_t operation = 1; operation < 400; operation += 2 * kStride) {
      SCOPED_TRACE(absl::StrCat("operation ", operation, " fault ", static_cast<int>(fault)));
      StorageDisk disk;
      disk.faulty().FailOperation(operation, fault);
      int64_t acknowledged = 0;
      if (disk.Open().ok()) {
        auto journal = DatabaseJournal::Open(disk.database());
        for (int64_t revision = 1; journal.ok() && revision <= 30; ++revision) {
          if (!(*journal)->Append({{revision, "event"}}).ok()) {
            EXPECT_FALSE((*journal)->Append({{revision, "again"}}).ok());
            break;
          }
          acknowledged = revision;
        }
      }
      disk.Crash();
      ASSERT_THAT(disk.Open(), IsOk());
      CVT_ASSERT_OK_AND_ASSIGN(auto journal, DatabaseJournal::Open(disk.database()));
      EXPECT_GE(journal->last_revision(), acknowledged);
      EXPECT_LE(journal->last_revision(), acknowledged + 1);
    }
  }
}

}  // namespace
}  // namespace cvtrain::coordinator
