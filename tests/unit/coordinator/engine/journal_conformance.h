#ifndef CVTRAIN_TESTS_UNIT_COORDINATOR_ENGINE_JOURNAL_CONFORMANCE_H_
#define CVTRAIN_TESTS_UNIT_COORDINATOR_ENGINE_JOURNAL_CONFORMANCE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/engine/journal.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

// What every Journal must do. An implementation derives JournalHarness, and instantiates:
//
//   INSTANTIATE_TEST_SUITE_P(InMemory, JournalConformanceTest,
//                            ::testing::Values(&MakeInMemoryHarness));
namespace cvtrain::coordinator {

// One journal that can be closed and opened again, keeping what is durable.
class JournalHarness {
 public:
  // The journals that it makes keep so many records at or before the newest snapshot.
  static constexpr int64_t kTailRecords = 3;

  virtual ~JournalHarness() = default;
  virtual Journal& journal() = 0;
  virtual void Reopen() = 0;
};

class JournalConformanceTest
    : public ::testing::TestWithParam<std::unique_ptr<JournalHarness> (*)()> {
 protected:
  Journal& journal() { return harness_->journal(); }
  void Reopen() { harness_->Reopen(); }

  static JournalRecord Record(int64_t revision) {
    return {revision, absl::StrCat("event ", revision, std::string("\0\xff", 2))};
  }

  // Appends the next `count` records in one call.
  absl::Status Append(int64_t count) {
    std::vector<JournalRecord> records;
    for (int64_t i = 0; i < count; ++i) {
      records.push_back(Record(journal().last_revision() + 1 + i));
    }
    return journal().Append(records);
  }

  // The revisions that Replay() visits; checks their bytes.
  absl::StatusOr<std::vector<int64_t>> Replayed(int64_t after) {
    std::vector<int64_t> revisions;
    const absl::Status status = journal().Replay(after, [&](const JournalRecord& record) {
      EXPECT_EQ(record.bytes, Record(record.revision).bytes);
      revisions.push_back(record.revision);
      return absl::OkStatus();
    });
    if (!status.ok()) {
      return status;
    }
    return revisions;
  }

 private:
  std::unique_ptr<JournalHarness> harness_ = GetParam()();
};

TEST_P(JournalConformanceTest, BeginsEmpty) {
  EXPECT_EQ(journal().last_revision(), 0);
  EXPECT_EQ(journal().cluster_id().size(), 36u);
  EXPECT_EQ(journal().LoadSnapshot().value(), std::nullopt);
  EXPECT_THAT(Replayed(0).value(), ::testing::IsEmpty());
}

TEST_P(JournalConformanceTest, ReplaysWhatWasAppendedInOrder) {
  ASSERT_TRUE(Append(3).ok());
  ASSERT_TRUE(Append(1).ok());
  EXPECT_EQ(journal().last_revision(), 4);
  EXPECT_THAT(Replayed(0).value(), ::testing::ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(Replayed(2).value(), ::testing::ElementsAre(3, 4));
  EXPECT_THAT(Replayed(4).value(), ::testing::IsEmpty());
}

TEST_P(JournalConformanceTest, KeepsRecordsAndIdentityWhenReopened) {
  ASSERT_TRUE(Append(5).ok());
  const std::string cluster_id = journal().cluster_id();
  Reopen();
  EXPECT_EQ(journal().cluster_id(), cluster_id);
  EXPECT_EQ(journal().last_revision(), 5);
  ASSERT_TRUE(Append(1).ok());
  EXPECT_THAT(Replayed(0).value(), ::testing::ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST_P(JournalConformanceTest, AppendingNothingChangesNothing) {
  EXPECT_TRUE(journal().Append({}).ok());
  EXPECT_EQ(journal().last_revision(), 0);
}

TEST_P(JournalConformanceTest, RefusesAGapAndARepetition) {
  ASSERT_TRUE(Append(2).ok());
  for (int64_t revision : {1, 2, 4}) {
    EXPECT_EQ(journal().Append({Record(revision)}).code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(journal().Append({Record(3), Record(5)}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(journal().last_revision(), 2);
  EXPECT_TRUE(Append(1).ok());
}

TEST_P(JournalConformanceTest, ReplayEndsWithTheVisitorsError) {
  ASSERT_TRUE(Append(3).ok());
  int visited = 0;
  const absl::Status status = journal().Replay(0, [&](const JournalRecord& record) {
    ++visited;
    return record.revision == 2 ? absl::CancelledError("enough") : absl::OkStatus();
  });
  EXPECT_EQ(status, absl::CancelledError("enough"));
  EXPECT_EQ(visited, 2);
}

TEST_P(JournalConformanceTest, KeepsTheNewestSnapshotAndAShortTail) {
  ASSERT_TRUE(Append(10).ok());
  ASSERT_TRUE(journal().PutSnapshot({4, "state 4"}).ok());
  ASSERT_TRUE(journal().PutSnapshot({8, "state 8"}).ok());
  for (int round = 0; round < 2; ++round) {
    const auto snapshot = journal().LoadSnapshot();
    ASSERT_TRUE(snapshot.ok() && snapshot->has_value());
    EXPECT_EQ((*snapshot)->revision, 8);
    EXPECT_EQ((*snapshot)->bytes, "state 8");
    EXPECT_THAT(Replayed(8).value(), ::testing::ElementsAre(9, 10));
    EXPECT_THAT(Replayed(5).value(), ::testing::ElementsAre(6, 7, 8, 9, 10));
    EXPECT_EQ(Replayed(4).status().code(), absl::StatusCode::kNotFound);
    Reopen();
  }
  EXPECT_EQ(journal().last_revision(), 10);
}

TEST_P(JournalConformanceTest, SnapshotOfTheLastRevisionIsAllThatIsNeeded) {
  ASSERT_TRUE(Append(6).ok());
  ASSERT_TRUE(journal().PutSnapshot({6, ""}).ok());
  Reopen();
  EXPECT_EQ(journal().last_revision(), 6);
  EXPECT_EQ(journal().LoadSnapshot().value()->bytes, "");
  ASSERT_TRUE(Append(1).ok());
  EXPECT_THAT(Replayed(6).value(), ::testing::ElementsAre(7));
}

TEST_P(JournalConformanceTest, StoresALargeSnapshotWhole) {
  std::string bytes(9'500'000, 'x');
  for (size_t i = 0; i < bytes.size(); i += 4093) {
    bytes[i] = static_cast<char>(i >> 12);
  }
  ASSERT_TRUE(Append(1).ok());
  ASSERT_TRUE(journal().PutSnapshot({1, bytes}).ok());
  Reopen();
  EXPECT_TRUE(journal().LoadSnapshot().value()->bytes == bytes);
}

TEST_P(JournalConformanceTest, RefusesSnapshotsOfTheFutureAndOfThePast) {
  ASSERT_TRUE(Append(5).ok());
  EXPECT_EQ(journal().PutSnapshot({6, ""}).code(), absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE(journal().PutSnapshot({3, "state 3"}).ok());
  EXPECT_EQ(journal().PutSnapshot({2, ""}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(journal().LoadSnapshot().value()->bytes, "state 3");
}

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_TESTS_UNIT_COORDINATOR_ENGINE_JOURNAL_CONFORMANCE_H_
