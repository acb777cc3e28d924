#include "client/files/daemon.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/memory_file_system.h"
#include "common/status_macros.h"
#include "tests/support/status_matchers.h"

namespace cvtrain::client {
namespace {

using ::cvtrain::testing::IsOkAndHolds;
using ::testing::Optional;

// Processes are files below /proc here, as they are to the code under test.
class DaemonTest : public ::testing::Test {
 protected:
  DaemonTest() {
    CVT_CHECK_OK(files_.CreateDir("/c/state"));
    daemon_ = {.name = "worker",
               .argv = {"/bin/cvtrain-worker", "--state-dir", "/c/state"},
               .directory = "/c",
               .lock_path = "/c/state/lock"};
  }

  void Write(const std::string& path, const std::string& text) {
    CVT_CHECK_OK(files_.CreateDir(DirName(path)));
    CVT_CHECK_OK(WriteFileAtomic(files_, path, text));
  }
  void MakeProcess(int pid, const std::string& command_line) {
    Write(absl::StrCat("/proc/", pid, "/cmdline"), command_line);
  }
  absl::StatusOr<std::optional<pid_t>> Running() { return RunningPid(files_, daemon_); }

  InMemoryFileSystem files_;
  Daemon daemon_;
};

const std::string kOurs("/bin/cvtrain-worker\0--state-dir\0/c/state\0", 42);

TEST_F(DaemonTest, DoesNotRunWithoutAPidFile) {
  EXPECT_THAT(Running(), IsOkAndHolds(std::nullopt));
}

TEST_F(DaemonTest, RunsIfTheProcessOfThePidFileIsIt) {
  Write("/c/worker.pid", "42\n");
  MakeProcess(42, kOurs);
  EXPECT_THAT(Running(), IsOkAndHolds(Optional(42)));
}

TEST_F(DaemonTest, DoesNotRunIfTheNumberIsSomebodyElsesOrGone) {
  Write("/c/worker.pid", "42\n");
  EXPECT_THAT(Running(), IsOkAndHolds(std::nullopt));
  MakeProcess(42, "/bin/sh");
  EXPECT_THAT(Running(), IsOkAndHolds(std::nullopt));
  // The same program, of another cluster.
  MakeProcess(42, std::string("/bin/cvtrain-worker\0--state-dir\0/c/state2\0", 42));
  EXPECT_THAT(Running(), IsOkAndHolds(std::nullopt));
}

TEST_F(DaemonTest, DoesNotRunIfThePidFileIsNonsense) {
  for (const char* text : {"", "-1\n", "many\n"}) {
    Write("/c/worker.pid", text);
    EXPECT_THAT(Running(), IsOkAndHolds(std::nullopt)) << text;
  }
}

TEST_F(DaemonTest, IsFoundByItsLockIfThePidFileWasLost) {
  Write("/c/state/lock", "43\n");
  MakeProcess(43, kOurs);
  EXPECT_THAT(Running(), IsOkAndHolds(Optional(43)));
  CVT_ASSERT_OK(WritePidFile(files_, daemon_, 43));
  EXPECT_THAT(ReadFile(files_, "/c/worker.pid"), IsOkAndHolds("43\n"));
}

TEST_F(DaemonTest, IsTheHolderOfTheLockThatDoesTheWork) {
  Write("/c/worker.pid", "42\n");
  Write("/c/state/lock", "43\n");
  MakeProcess(42, kOurs);
  EXPECT_THAT(LockHolder(files_, daemon_), IsOkAndHolds(std::nullopt));
  MakeProcess(43, kOurs);
  EXPECT_THAT(LockHolder(files_, daemon_), IsOkAndHolds(Optional(43)));
}

TEST_F(DaemonTest, ShowsTheLastLinesOfItsLogEscaped) {
  std::string log;
  for (int i = 0; i < 20; ++i) absl::StrAppend(&log, "line ", i, "\x1b\n");
  Write("/c/worker.log", log);
  const std::string end = LogEnd(files_, daemon_);
  EXPECT_THAT(end, ::testing::StartsWith("  line 8\\x1b\n"));
  EXPECT_THAT(end, ::testing::EndsWith("  line 19\\x1b"));
}

}  // namespace
}  // namespace cvtrain::client
