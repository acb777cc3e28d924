#include "client/files/interrupts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "absl/synchronization/notification.h"
#include "client/files/cli.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "tests/support/status_matchers.h"

namespace cvtrain::client {
namespace {

using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;

void PressCtrlC() { ASSERT_EQ(::kill(::getpid(), SIGINT), 0); }

// Both ends of a pipe.
class Pipe {
 public:
  Pipe() {
    int ends[2];
    CVT_CHECK(::pipe(ends) == 0) << "no pipe";
    read_ = UniqueFd(ends[0]);
    write_ = UniqueFd(ends[1]);
  }
  int read_end() const { return read_.get(); }
  void Write(const std::string& text) {
    CVT_CHECK(::write(write_.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()))
        << "the pipe is full";
  }
  void Close() { write_ = UniqueFd(); }

 private:
  UniqueFd read_;
  UniqueFd write_;
};

TEST(InterruptsTest, ReadsInputToItsEnd) {
  CVT_ASSERT_OK_AND_ASSIGN(const auto interrupts, Interrupts::Create([] {}));
  Pipe pipe;
  pipe.Write("name: a\n");
  pipe.Close();
  EXPECT_THAT(interrupts->ReadAll(pipe.read_end(), 100), IsOkAndHolds("name: a\n"));
}

TEST(InterruptsTest, ReadsNoMoreThanIsWanted) {
  CVT_ASSERT_OK_AND_ASSIGN(const auto interrupts, Interrupts::Create([] {}));
  Pipe pipe;
  pipe.Write("0123456789");
  EXPECT_THAT(interrupts->ReadAll(pipe.read_end(), 4), IsOkAndHolds("0123"));
}

TEST(InterruptsTest, EndsAReadThatNobodyFeeds) {
  CVT_ASSERT_OK_AND_ASSIGN(const auto interrupts, Interrupts::Create([] {}));
  Pipe pipe;  // stays open and empty
  PressCtrlC();
  EXPECT_THAT(interrupts->ReadAll(pipe.read_end(), 100),
              StatusIs(absl::StatusCode::kCancelled, Reason("STOPPING")));
  EXPECT_TRUE(interrupts->token().stop_requested());
}

TEST(InterruptsTest, CallsTheSecondOneOnlyAtTheSecondPress) {
  absl::Notification second;
  CVT_ASSERT_OK_AND_ASSIGN(const auto interrupts,
                           Interrupts::Create([&second] { second.Notify(); }));
  absl::Notification first;
  const std::stop_callback pressed(interrupts->token(), [&first] { first.Notify(); });
  PressCtrlC();
  first.WaitForNotification();
  EXPECT_FALSE(second.HasBeenNotified());
  PressCtrlC();
  second.WaitForNotification();
}

}  // namespace
}  // namespace cvtrain::client
