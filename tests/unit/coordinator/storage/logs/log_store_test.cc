#include "coordinator/storage/logs/log_store.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/limits.h"
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

const TrialName kTrial(ExperimentName(12), 3);

class LogStoreTest : public ::testing::Test {
 protected:
  void SetUp() override { Open(); }
  void TearDown() override { store_.reset(); }

  void Open() {
    store_.reset();
    ASSERT_THAT(disk_.Open(), IsOk());
    store_ = std::make_unique<LogStore>(disk_.database(), options_);
  }
  void Crash() {
    store_.reset();
    disk_.Crash();
    Open();
  }
  TrialLogLine Line(const std::string& text, int32_t attempt = 1, int32_t rank = 0,
                    int32_t level = 2) {
    return {0, disk_.clock().WallNow(), level, attempt, rank, text};
  }
  absl::Status Stage(int64_t sequence, std::vector<TrialLogLine> lines,
                     const std::string& stream = "stream") {
    return store_->Stage({kTrial, stream, sequence, std::move(lines)},
                         [this](const absl::Status& status) { done_.push_back(status.code()); });
  }
  void Put(int64_t sequence, std::vector<TrialLogLine> lines,
           const std::string& stream = "stream") {
    ASSERT_THAT(Stage(sequence, std::move(lines), stream), IsOk());
    ASSERT_THAT(disk_.database().committer().Commit(), IsOk());
  }
  LogAnswer List(LogQuery query = {}) {
    query.trial = kTrial;
    auto answer = store_->List(query);
    EXPECT_THAT(answer, IsOk());
    return answer.value_or(LogAnswer());
  }
  std::vector<std::string> Texts(const LogQuery& query = {}) {
    std::vector<std::string> texts;
    const LogAnswer answer = List(query);
    for (const TrialLogLine& line : answer.lines) {
      texts.push_back(line.text);
    }
    return texts;
  }

  LogStoreOptions options_{.trial_size_bytes_max = 2'000, .trial_lines_max = 100};
  StorageDisk disk_;
  std::unique_ptr<LogStore> store_;
  std::vector<absl::StatusCode> done_;
};

TEST_F(LogStoreTest, KeepsLinesInOrderOfArrival) {
  Put(1, {Line("a"), Line("b")});
  disk_.clock().Advance(absl::Seconds(1));
  Put(1, {Line("c", 2, 1, 4)}, "other");
  Crash();
  const LogAnswer answer = List();
  ASSERT_EQ(answer.lines.size(), 3u);
  EXPECT_TRUE(answer.at_end);
  EXPECT_EQ(answer.after, 3);
  EXPECT_EQ(answer.lines[0].sequence, 1);
  EXPECT_EQ(answer.lines[2].sequence, 3);
  EXPECT_EQ(answer.lines[2].text, "c");
  EXPECT_EQ(answer.lines[2].attempt, 2);
  EXPECT_EQ(answer.lines[2].rank, 1);
  EXPECT_EQ(answer.lines[2].level, 4);
  EXPECT_EQ(answer.lines[2].time - answer.lines[0].time, absl::Seconds(1));
}

TEST_F(LogStoreTest, StoresARepeatedBatchOnce) {
  Put(1, {Line("a")});
  Put(1, {Line("a")});
  Crash();
  Put(1, {Line("a")});
  Put(2, {Line("b")});
  EXPECT_THAT(Texts(), ElementsAre("a", "b"));
  EXPECT_THAT(store_->DurableSequence(kTrial, "stream"), IsOkAndHolds(2));
  EXPECT_EQ(done_.size(), 4u);
}

TEST_F(LogStoreTest, TheOldestGoFirst) {
  for (int i = 1; i <= 50; ++i) {
    Put(i, {Line(std::string(100, static_cast<char>('a' + i % 26)))});
  }
  const LogAnswer answer = List();
  EXPECT_LT(answer.lines.size(), 20u);
  EXPECT_GT(answer.lines.size(), 10u);
  EXPECT_EQ(answer.lines.back().sequence, 50);
  Crash();
  EXPECT_EQ(List().lines.front().sequence, answer.lines.front().sequence);
}

TEST_F(LogStoreTest, BoundsTheNumberOfLines) {
  for (int i = 1; i <= 30; ++i) {
    Put(i, std::vector<TrialLogLine>(10, Line("")));
  }
  const LogAnswer answer = List();
  EXPECT_EQ(answer.lines.size(), 100u);
  EXPECT_EQ(answer.lines.front().sequence, 201);
}

TEST_F(LogStoreTest, NeverUsesASequenceAgain) {
  Put(1, {Line("a")});
  Put(2, {Line("b")});
  Crash();
  Put(3, {Line("c")});
  EXPECT_EQ(List().lines.back().sequence, 3);
}

TEST_F(LogStoreTest, FollowsFromWhereItEnded) {
  Put(1, {Line("a"), Line("b"), Line("c"), Line("d"), Line("e")});
  LogQuery query;
  query.lines_max = 2;
  LogAnswer answer = List(query);
  EXPECT_FALSE(answer.at_end);
  EXPECT_EQ(answer.after, 2);
  query.after = answer.after;
  EXPECT_THAT(Texts(query), ElementsAre("c", "d"));
  query.after = 5;
  EXPECT_THAT(Texts(query), IsEmpty());
  EXPECT_TRUE(List(query).at_end);
  Put(2, {Line("f")});
  EXPECT_THAT(Texts(query), ElementsAre("f"));
}

TEST_F(LogStoreTest, FiltersByAttemptRankAndLevel) {
  Put(1, {Line("a", 1, 0, 2), Line("b", 1, 1, 4), Line("c", 2, 0, 4), Line("d", 2, 1, 1)});
  LogQuery query;
  query.attempt = 2;
  EXPECT_THAT(Texts(query), ElementsAre("c", "d"));
  query.rank = 0;
  EXPECT_THAT(Texts(query), ElementsAre("c"));
  query = {};
  query.level_min = 3;
  EXPECT_THAT(Texts(query), ElementsAre("b", "c"));
  // What does not match is passed over for good.
  EXPECT_EQ(List(query).after, 4);
}

TEST_F(LogStoreTest, TailBeginsWithTheLastMatchingLines) {
  Put(1, {Line("a", 1), Line("b", 2), Line("c", 1)});
  Put(2, {Line("d", 2), Line("e", 1)});
  LogQuery query;
  query.tail = 2;
  EXPECT_THAT(Texts(query), ElementsAre("d", "e"));
  query.attempt = 1;
  EXPECT_THAT(Texts(query), ElementsAre("c", "e"));
  query.tail = 50;
  EXPECT_THAT(Texts(query), ElementsAre("a", "c", "e"));
}

TEST_F(LogStoreTest, CutsLongLinesVisibly) {
  Put(1, {Line(std::string(2 * limits::kLogLineSizeBytesMax, 'x'))});
  const std::string text = List().lines[0].text;
  EXPECT_LE(text.size(), limits::kLogLineSizeBytesMax);
  EXPECT_EQ(text.substr(text.size() - 3), "...");
}

TEST_F(LogStoreTest, DeletesATrialAndNothingElse) {
  Put(1, {Line("a")});
  ASSERT_THAT(store_->Stage({TrialName(ExperimentName(12), 4), "s", 1, {Line("other")}},
                            [](const absl::Status&) {}),
              IsOk());
  ASSERT_THAT(store_->StageDelete(kTrial, [](const absl::Status&) {}), IsOk());
  ASSERT_THAT(disk_.database().committer().Commit(), IsOk());
  EXPECT_THAT(Texts(), IsEmpty());
  LogQuery query;
  query.trial = TrialName(ExperimentName(12), 4);
  EXPECT_EQ(store_->List(query)->lines.size(), 1u);
}

TEST_F(LogStoreTest, RefusesMalformedAndLargeBatches) {
  EXPECT_THAT(Stage(0, {}), StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID")));
  EXPECT_THAT(Stage(1, {}, ""), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Stage(1, std::vector<TrialLogLine>(10'001, Line(""))),
              StatusIs(absl::StatusCode::kResourceExhausted, Reason("LIMIT_EXCEEDED")));
  EXPECT_THAT(Stage(1, std::vector<TrialLogLine>(300, Line(std::string(4000, 'x')))),
              StatusIs(absl::StatusCode::kResourceExhausted, Reason("LIMIT_EXCEEDED")));
}

}  // namespace
}  // namespace cvtrain::coordinator
