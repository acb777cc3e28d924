#include "coordinator/storage/committer.h"

#include <memory>
#include <string>
#include <vector>

#include "common/thread.h"
#include "coordinator/storage/rocks.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/coordinator/storage/storage_disk.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::ElementsAre;

class CommitterTest : public ::testing::Test {
 protected:
  // A request that writes one row, or is refused.
  class Row : public Committer::Staged {
   public:
    Row(std::string key, absl::Status refusal, std::vector<std::string>* log)
        : key_(std::move(key)), refusal_(std::move(refusal)), log_(log) {}
    absl::Status Prepare(CommitBatch& batch) override {
      if (refusal_.ok()) {
        batch.Put(Family::kCatalogue, key_, "row");
      }
      return refusal_;
    }
    void Done(const absl::Status& status) override {
      log_->push_back(key_ + " " + std::string(absl::StatusCodeToString(status.code())));
    }

   private:
    const std::string key_;
    const absl::Status refusal_;
    std::vector<std::string>* const log_;
  };

  void SetUp() override { ASSERT_THAT(disk_.Open(), IsOk()); }
  Committer& committer() { return disk_.database().committer(); }
  absl::Status Stage(const std::string& key, size_t size = 1, absl::Status refusal = {}) {
    return committer().Stage(std::make_unique<Row>(key, std::move(refusal), &log_), size);
  }
  bool Has(const std::string& key) {
    return disk_.database().rocks().Get(Family::kCatalogue, key).value().has_value();
  }

  std::vector<std::string> log_;
  StorageDisk disk_;
};

TEST_F(CommitterTest, StoresNothingBeforeTheCommitAndAllAfterIt) {
  ASSERT_THAT(Stage("a"), IsOk());
  ASSERT_THAT(Stage("b"), IsOk());
  EXPECT_FALSE(Has("a"));
  EXPECT_THAT(log_, ElementsAre());
  EXPECT_THAT(committer().Commit(), IsOk());
  EXPECT_TRUE(Has("a") && Has("b"));
  EXPECT_THAT(log_, ElementsAre("a OK", "b OK"));
}

TEST_F(CommitterTest, SyncsOnceForAll) {
  for (const char* key : {"a", "b", "c"}) {
    ASSERT_THAT(Stage(key), IsOk());
  }
  const size_t before = disk_.faulty().Trace().size();
  ASSERT_THAT(committer().Commit(), IsOk());
  int syncs = 0;
  const std::vector<std::string> trace = disk_.faulty().Trace();
  for (size_t i = before; i < trace.size(); ++i) {
    syncs += trace[i].find("Sync") == 0 && trace[i].find(".log") != std::string::npos ? 1 : 0;
  }
  EXPECT_EQ(syncs, 1);
}

TEST_F(CommitterTest, ARefusalIsOfOneRequestOnly) {
  ASSERT_THAT(Stage("a"), IsOk());
  ASSERT_THAT(Stage("b", 1, absl::OutOfRangeError("no")), IsOk());
  ASSERT_THAT(Stage("c"), IsOk());
  EXPECT_THAT(committer().Commit(), IsOk());
  EXPECT_THAT(log_, ElementsAre("a OK", "b OUT_OF_RANGE", "c OK"));
  EXPECT_FALSE(Has("b"));
}

TEST_F(CommitterTest, AFailedSyncAcknowledgesNothingAndEndsAllWriting) {
  ASSERT_THAT(Stage("a"), IsOk());
  disk_.faulty().FailMatching(
      [](absl::string_view operation) {
        return operation.find("Sync") == 0 && operation.find(".log") != operation.npos;
      },
      FaultyFileSystem::Fault::kDeviceError);
  EXPECT_THAT(committer().Commit(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(log_, ElementsAre("a UNAVAILABLE"));
  disk_.faulty().ClearFaults();
  EXPECT_THAT(Stage("b"), StatusIs(absl::StatusCode::kUnavailable, Reason("STORAGE_FAILED")));
}

TEST_F(CommitterTest, RefusesWhatTheQueueCannotHold) {
  const size_t bound = disk_.options().committer.queue_size_bytes_max;
  ASSERT_THAT(Stage("a", bound), IsOk());
  EXPECT_THAT(Stage("b", 1),
              StatusIs(absl::StatusCode::kResourceExhausted, Reason("LIMIT_EXCEEDED")));
  ASSERT_THAT(committer().Commit(), IsOk());
  EXPECT_THAT(Stage("b", 1), IsOk());
}

TEST_F(CommitterTest, TellsWhatWasNeverCommitted) {
  ASSERT_THAT(Stage("a"), IsOk());
  disk_.Close();
  EXPECT_THAT(log_, ElementsAre("a UNAVAILABLE"));
}

TEST_F(CommitterTest, WaitsForWorkAndIsWoken) {
  EXPECT_FALSE(committer().AwaitWork(absl::ZeroDuration()));
  committer().Wake();
  EXPECT_FALSE(committer().AwaitWork(absl::InfiniteDuration()));
  ASSERT_THAT(Stage("a", disk_.options().committer.window_size_bytes), IsOk());
  EXPECT_TRUE(committer().AwaitWork(absl::InfiniteDuration()));
  // From another thread.
  ASSERT_THAT(committer().Commit(), IsOk());
  Thread writer("writer", [&](StopToken) { ASSERT_THAT(Stage("b"), IsOk()); });
  EXPECT_TRUE(committer().AwaitWork(absl::InfiniteDuration()));
}

}  // namespace
}  // namespace cvtrain::coordinator
