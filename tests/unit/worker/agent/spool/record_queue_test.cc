#include "worker/agent/spool/record_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/faulty_file_system.h"
#include "common/memory_file_system.h"
#include "tests/support/status_matchers.h"

namespace cvtrain::worker {
namespace {

using ::cvtrain::testing::IsOk;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kDirectory[] = "/spool/attempt";

class RecordQueueTest : public ::testing::Test {
 protected:
  RecordQueue Make() {
    return RecordQueue(files_, kDirectory, "metrics",
                       {.segment_size_bytes = 64, .sync_batches = true});
  }
  // As after a restart.
  RecordQueue Recover() {
    RecordQueue queue = Make();
    EXPECT_THAT(queue.Recover(*files_.ListDir(kDirectory)), IsOk());
    return queue;
  }
  static std::vector<std::string> Drain(RecordQueue& queue, const std::string& stream) {
    std::vector<std::string> all;
    while (true) {
      const auto batch = queue.Next(stream, 20);
      EXPECT_THAT(batch, IsOk());
      if (!batch.ok() || !*batch) return all;
      all.insert(all.end(), (*batch)->payloads.begin(), (*batch)->payloads.end());
      queue.Ack();
    }
  }

  InMemoryFileSystem memory_;
  FaultyFileSystem files_{memory_};
};

TEST_F(RecordQueueTest, SendsInOrderInDenseBatches) {
  RecordQueue queue = Make();
  for (int i = 0; i < 5; ++i) ASSERT_THAT(queue.Append(absl::StrCat("record ", i)), IsOk());
  auto batch = queue.Next("s", 16);
  ASSERT_THAT(batch, IsOk());
  EXPECT_EQ((*batch)->sequence, 1);
  EXPECT_THAT((*batch)->payloads, ElementsAre("record 0", "record 1"));
  queue.Ack();
  batch = queue.Next("s", 16);
  EXPECT_EQ((*batch)->sequence, 2);
  EXPECT_THAT((*batch)->payloads, ElementsAre("record 2", "record 3"));
}

TEST_F(RecordQueueTest, KnowsWhatHasArrived) {
  RecordQueue queue = Make();
  EXPECT_EQ(queue.first_pending(), queue.next_number());
  ASSERT_THAT(queue.Append("a"), IsOk());
  const uint64_t mark = queue.next_number();
  ASSERT_THAT(queue.Append("b"), IsOk());
  EXPECT_LT(queue.first_pending(), mark);
  ASSERT_THAT(queue.Next("s", 1), IsOk());  // "a" alone
  EXPECT_LT(queue.first_pending(), mark);
  queue.Ack();
  EXPECT_GE(queue.first_pending(), mark);
  // What was given up is not waited for either.
  const uint64_t later = queue.next_number();
  ASSERT_THAT(queue.Append("c"), IsOk());
  while (queue.DropOldest().records > 0) {
  }
  EXPECT_GE(queue.first_pending(), later);
}

TEST_F(RecordQueueTest, NumbersABatchInMemoryIfTheDiskIsFull) {
  RecordQueue queue = Make();
  ASSERT_THAT(queue.Append("a"), IsOk());
  files_.FailMatching(
      [](absl::string_view operation) { return absl::StartsWith(operation, "Append"); },
      FaultyFileSystem::Fault::kDiskFull);
  EXPECT_FALSE(queue.Next("s", 100).ok());
  const auto batch = queue.Next("s", 100, /*unstored=*/true);
  ASSERT_THAT(batch, IsOk());
  EXPECT_EQ((*batch)->sequence, 1);
  EXPECT_THAT((*batch)->payloads, ElementsAre("a"));
  queue.Ack();
  files_.ClearFaults();
  ASSERT_THAT(queue.Append("b"), IsOk());
  EXPECT_EQ((*queue.Next("s", 100))->sequence, 2);
}

TEST_F(RecordQueueTest, RepeatsABatchUntilItIsAcknowledged) {
  RecordQueue queue = Make();
  ASSERT_THAT(queue.Append("a"), IsOk());
  ASSERT_THAT(queue.Next("s", 100), IsOk());
  ASSERT_THAT(queue.Append("b"), IsOk());
  const auto again = queue.Next("s", 100);
  EXPECT_EQ((*again)->sequence, 1);
  EXPECT_THAT((*again)->payloads, ElementsAre("a"));
}

TEST_F(RecordQueueTest, RepeatsTheSameBatchUnderTheSameNumberAfterARestart) {
  {
    RecordQueue queue = Make();
    ASSERT_THAT(queue.Append("a"), IsOk());
    ASSERT_THAT(queue.Next("old", 100), IsOk());
    queue.Ack();
    ASSERT_THAT(queue.Append("b"), IsOk());
    ASSERT_THAT(queue.Next("old", 100), IsOk());
    ASSERT_THAT(queue.Append("c"), IsOk());
  }
  RecordQueue queue = Recover();
  auto batch = queue.Next("new", 100);
  ASSERT_THAT(batch, IsOk());
  EXPECT_EQ((*batch)->stream, "old");
  EXPECT_EQ((*batch)->sequence, 2);
  EXPECT_THAT((*batch)->payloads, ElementsAre("b"));
  queue.Ack();
  batch = queue.Next("new", 100);
  EXPECT_EQ((*batch)->stream, "new");
  EXPECT_EQ((*batch)->sequence, 1);
  EXPECT_THAT((*batch)->payloads, ElementsAre("c"));
}

TEST_F(RecordQueueTest, RemovesSegmentsThatHaveArrived) {
  RecordQueue queue = Make();
  for (int i = 0; i < 50; ++i) ASSERT_THAT(queue.Append("0123456789"), IsOk());
  EXPECT_THAT(*files_.ListDir(kDirectory), SizeIs(::testing::Gt(10)));
  Drain(queue, "s");
  EXPECT_THAT(*files_.ListDir(kDirectory), SizeIs(1));
  EXPECT_TRUE(queue.empty());
}

TEST_F(RecordQueueTest, DropsTheOldestButNeverTheBatchUnderWay) {
  RecordQueue queue = Make();
  for (int i = 0; i < 12; ++i) ASSERT_THAT(queue.Append(absl::StrCat("record ", i)), IsOk());
  const auto before = queue.Next("s", 16);
  ASSERT_THAT(before, IsOk());
  int64_t dropped = 0;
  while (true) {
    const RecordQueue::Dropped one = queue.DropOldest();
    if (one.size_bytes == 0) break;
    dropped += one.records;
  }
  EXPECT_GT(dropped, 0);
  const auto after = queue.Next("s", 16);
  EXPECT_EQ((*after)->payloads, (*before)->payloads);
  queue.Ack();
  // The receiver sees no gap in the numbers.
  ASSERT_THAT(queue.Append("more"), IsOk());
  EXPECT_EQ((*queue.Next("s", 16))->sequence, 2);
}

TEST_F(RecordQueueTest, ADropDuringABatchLosesNoNumberOfIt) {
  {
    RecordQueue queue = Make();
    for (int i = 0; i < 12; ++i) ASSERT_THAT(queue.Append(absl::StrCat("record ", i)), IsOk());
    ASSERT_THAT(queue.Next("old", 16), IsOk());
    for (int i = 12; i < 24; ++i) ASSERT_THAT(queue.Append(absl::StrCat("record ", i)), IsOk());
    while (queue.Thin().size_bytes > 0 || queue.DropOldest().size_bytes > 0) {
    }
  }
  RecordQueue queue = Recover();
  const auto batch = queue.Next("new", 16);
  EXPECT_EQ((*batch)->stream, "old");
  EXPECT_THAT((*batch)->payloads, ElementsAre("record 0", "record 1"));
}

TEST_F(RecordQueueTest, ThinsToEverySecondRecord) {
  RecordQueue queue(files_, kDirectory, "metrics",
                    {.segment_size_bytes = 100, .sync_batches = true});
  for (int i = 0; i < 8; ++i) ASSERT_THAT(queue.Append(absl::StrCat("record ", i)), IsOk());
  const uint64_t before = queue.size_bytes();
  const RecordQueue::Dropped dropped = queue.Thin();
  EXPECT_EQ(dropped.records, 3);
  EXPECT_LT(queue.size_bytes(), before);
  EXPECT_THAT(Drain(queue, "s"),
              ElementsAre("record 0", "record 2", "record 4", "record 6", "record 7"));
}

TEST_F(RecordQueueTest, FindsThinnedRecordsAfterARestart) {
  {
    RecordQueue queue(files_, kDirectory, "metrics",
                      {.segment_size_bytes = 100, .sync_batches = true});
    for (int i = 0; i < 8; ++i) ASSERT_THAT(queue.Append(absl::StrCat("record ", i)), IsOk());
    queue.Thin();
  }
  RecordQueue queue = Recover();
  EXPECT_THAT(Drain(queue, "s"),
              ElementsAre("record 0", "record 2", "record 4", "record 6", "record 7"));
}

TEST_F(RecordQueueTest, GoesOnAfterARecordThatCouldNotBeWritten) {
  RecordQueue queue = Make();
  ASSERT_THAT(queue.Append("a"), IsOk());
  files_.FailOperation(files_.operations() + 1, FaultyFileSystem::Fault::kShortWrite);
  EXPECT_FALSE(queue.Append("lost").ok());
  ASSERT_THAT(queue.Append("b"), IsOk());
  EXPECT_EQ(queue.lost().records, 1);
  EXPECT_THAT(Drain(queue, "s"), ElementsAre("a", "b"));
}

TEST_F(RecordQueueTest, FindsEveryFlippedBit) {
  {
    RecordQueue queue = Make();
    for (int i = 0; i < 3; ++i) ASSERT_THAT(queue.Append(absl::StrCat("record ", i)), IsOk());
  }
  const std::string name = files_.ListDir(kDirectory)->front();
  const std::string path = JoinPath(kDirectory, name);
  const std::string good = *ReadFile(files_, path);
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_THAT(WriteFileAtomic(files_, path, bad), IsOk());
    RecordQueue queue = Recover();
    EXPECT_EQ(queue.lost().records, 1) << "bit " << bit;
    for (const std::string& record : Drain(queue, "s")) {
      EXPECT_TRUE(record == "record 0" || record == "record 1" || record == "record 2") << record;
    }
    // What the check wrote.
    const std::vector<std::string> names = *files_.ListDir(kDirectory);
    for (const std::string& other : names) {
      if (other == name) continue;
      ASSERT_THAT(files_.Remove(JoinPath(kDirectory, other)), IsOk());
    }
  }
}

}  // namespace
}  // namespace cvtrain::worker
