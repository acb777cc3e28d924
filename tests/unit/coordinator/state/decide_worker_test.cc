#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/limits.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/coordinator/state/decide_fixture.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;

TEST_F(DecideTest, RecordsNothingForAWorkerThatIsKnownAsItIs) {
  driver_.Register("w1", 2);
  const int64_t revision = driver_.state.revision();
  driver_.Register("w1", 2);
  EXPECT_EQ(driver_.state.revision(), revision);
  driver_.Register("w1", 3);
  EXPECT_EQ(driver_.state.revision(), revision + 1);
}

TEST_F(DecideTest, LosesWhatRanOnASlotThatIsOfferedNoMore) {
  Submit();
  ASSERT_THAT(driver_.Allocate(1, 1, {{"w1", 1}}), IsOk());
  driver_.Register("w1", 1);
  EXPECT_EQ(driver_.StateOf(1, 1), kQueued);
  EXPECT_EQ(driver_.Trial(1, 1).record.attempts(0).cause(), v1::CAUSE_WORKER_LOST);
}

TEST_F(DecideTest, LosesAWorkerOnce) {
  driver_.Register("w1", 1);
  ASSERT_THAT(driver_.Lose("w1"), IsOk());
  const int64_t revision = driver_.state.revision();
  ASSERT_THAT(driver_.Lose("w1"), IsOk());
  EXPECT_EQ(driver_.state.revision(), revision);
  EXPECT_THAT(driver_.Lose("w9"),
              StatusIs(absl::StatusCode::kNotFound, Reason("WORKER_NOT_FOUND")));
}

TEST_F(DecideTest, RefusesBadSlots) {
  auto hello = driver_.Hello("w1", 2);
  hello.mutable_slots(1)->set_index(0);
  EXPECT_THAT(DecideRegisterWorker(driver_.state, hello, {}, driver_.now).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID")));
  hello = driver_.Hello("w1", limits::kSlotsPerWorkerMax + 1);
  EXPECT_THAT(DecideRegisterWorker(driver_.state, hello, {}, driver_.now).status(),
              StatusIs(absl::StatusCode::kResourceExhausted, Reason("LIMIT_EXCEEDED")));
}

TEST_F(DecideTest, ForgetsTheWorkerThatWasLostLongestAgoWhenThereIsNoMoreRoom) {
  for (size_t i = 0; i < limits::kWorkersMax; ++i) {
    driver_.Register(absl::StrCat("w", i), 1);
    driver_.now += absl::Seconds(1);
  }
  const auto one_more = [&] {
    return driver_.Commit(
        DecideRegisterWorker(driver_.state, driver_.Hello("new", 1), {}, driver_.now));
  };
  EXPECT_THAT(one_more(), StatusIs(absl::StatusCode::kResourceExhausted, Reason("LIMIT_EXCEEDED")));
  ASSERT_THAT(driver_.Lose("w700"), IsOk());
  ASSERT_THAT(driver_.Lose("w7"), IsOk());
  ASSERT_THAT(one_more(), IsOk());
  EXPECT_EQ(driver_.state.workers().size(), limits::kWorkersMax);
  EXPECT_FALSE(driver_.state.workers().contains(WorkerName("w7")));
  EXPECT_TRUE(driver_.state.workers().contains(WorkerName("w700")));
}

}  // namespace
}  // namespace cvtrain::coordinator
