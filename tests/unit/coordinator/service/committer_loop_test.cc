#include "coordinator/service/committer_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "absl/synchronization/notification.h"
#include "coordinator/storage/rocks.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/coordinator/storage/storage_disk.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::StatusIs;

TEST(CommitterLoopTest, EndsTheProcessWhenAWriteFailedThatWasNotItsOwn) {
  StorageDisk disk;
  ASSERT_THAT(disk.Open(), IsOk());
  absl::Notification told;
  absl::Status cause;
  int calls = 0;
  {
    CommitterLoop loop(disk.database().committer(), [&](const absl::Status& status) {
      cause = status;
      ++calls;
      told.Notify();
    });
    disk.database().rocks().Fail(absl::UnavailableError("a flush in the background failed"));
    disk.database().committer().Wake();
    ASSERT_TRUE(told.WaitForNotificationWithTimeout(absl::Seconds(60)));
  }
  EXPECT_THAT(cause, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(calls, 1);
}

TEST(CommitterLoopTest, EndsQuietlyWhenNothingFailed) {
  StorageDisk disk;
  ASSERT_THAT(disk.Open(), IsOk());
  int calls = 0;
  {
    CommitterLoop loop(disk.database().committer(), [&](const absl::Status&) { ++calls; });
  }
  EXPECT_EQ(calls, 0);
}

}  // namespace
}  // namespace cvtrain::coordinator
