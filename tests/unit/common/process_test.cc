#include "common/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "common/env.h"
#include "common/file_system.h"
#include "common/unix_socket.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace cvtrain {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::StatusIs;
using ::cvtrain::testing::TempDir;
using ReasonIs = ::cvtrain::testing::Reason;

constexpr absl::Duration kLong = absl::Seconds(60);

// A child that runs a line of shell, and what it wrote to its output.
class ProcessTest : public ::testing::Test {
 protected:
  ProcessOptions Shell(const std::string& line) {
    ProcessOptions options;
    options.argv = {"/bin/sh", "-c", line};
    return options;
  }

  std::string OutputOf(ProcessOptions options) {
    int ends[2] = {-1, -1};
    if (::pipe(ends) != 0) return "no pipe";
    const UniqueFd read_end(ends[0]);
    UniqueFd write_end(ends[1]);
    options.stdout_fd = write_end.get();
    auto process = Process::Spawn(options);
    EXPECT_THAT(process, IsOk());
    if (!process.ok()) return "";
    write_end.Reset();
    std::string output;
    char buffer[256];
    for (ssize_t got = 0; (got = ::read(read_end.get(), buffer, sizeof(buffer))) > 0;) {
      output.append(buffer, static_cast<size_t>(got));
    }
    EXPECT_THAT((*process)->Wait(kLong), IsOkAndHolds(ExitStatus{}));
    return output;
  }
};

TEST_F(ProcessTest, ReportsHowItEnded) {
  CVT_ASSERT_OK_AND_ASSIGN(const auto process, Process::Spawn(Shell("exit 3")));
  CVT_ASSERT_OK_AND_ASSIGN(const ExitStatus exit, process->Wait(kLong));
  EXPECT_EQ(exit, (ExitStatus{.code = 3, .signal = 0}));
  EXPECT_EQ(exit.ToString(), "exit code 3");
  EXPECT_FALSE(exit.ok());
  EXPECT_THAT(process->Signal(SIGKILL),
              StatusIs(absl::StatusCode::kFailedPrecondition, ReasonIs("WRONG_STATE")));
}

TEST_F(ProcessTest, IsEndedBySignal) {
  ProcessOptions options;
  options.argv = {"/bin/sleep", "1000"};
  CVT_ASSERT_OK_AND_ASSIGN(const auto process, Process::Spawn(options));
  EXPECT_THAT(process->Poll(), IsOkAndHolds(std::optional<ExitStatus>()));
  EXPECT_THAT(process->Wait(absl::ZeroDuration()),
              StatusIs(absl::StatusCode::kDeadlineExceeded, ReasonIs("DEADLINE")));
  CVT_ASSERT_OK(process->Signal(SIGKILL));
  CVT_ASSERT_OK_AND_ASSIGN(const ExitStatus exit, process->Wait(kLong));
  EXPECT_EQ(exit.signal, SIGKILL);
  EXPECT_EQ(exit.ToString(), "signal 9 (Killed)");
}

TEST_F(ProcessTest, TheDestructorLeavesNoProcessBehind) {
  pid_t pid = 0;
  {
    ProcessOptions options;
    options.argv = {"/bin/sleep", "1000"};
    CVT_ASSERT_OK_AND_ASSIGN(const auto process, Process::Spawn(options));
    pid = process->pid();
    EXPECT_TRUE(ProcessExists(pid));
  }
  EXPECT_FALSE(ProcessExists(pid));
}

TEST_F(ProcessTest, AMissingOrForbiddenProgramIsAnError) {
  TempDir dir;
  ProcessOptions options;
  options.argv = {dir / "missing"};
  EXPECT_THAT(Process::Spawn(options),
              StatusIs(absl::StatusCode::kNotFound, ReasonIs("FILE_NOT_FOUND")));
  CVT_ASSERT_OK(WriteFileAtomic(PosixFileSystem(), dir / "data", "x"));
  options.argv = {dir / "data"};
  EXPECT_THAT(Process::Spawn(options),
              StatusIs(absl::StatusCode::kPermissionDenied, ReasonIs("FILE_FORBIDDEN")));
  options.argv = {};
  EXPECT_THAT(Process::Spawn(options), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(ProcessTest, ArgumentsAreNotInterpreted) {
  ProcessOptions options;
  options.argv = {"/bin/echo", "$(id)", "a b", ";", "*"};
  EXPECT_EQ(OutputOf(options), "$(id) a b ; *\n");
}

TEST_F(ProcessTest, TheEnvironmentIsAddedToOrReplaced) {
  ProcessOptions options = Shell("echo $CVTRAIN_A-$PATH");
  options.environment = {{"CVTRAIN_A", "1"}, {"PATH", "/x"}};
  EXPECT_EQ(OutputOf(options), "1-/x\n");
  options = Shell("echo $CVTRAIN_A-$HOME");
  options.environment = {{"CVTRAIN_A", "2"}};
  options.inherit_environment = false;
  EXPECT_EQ(OutputOf(options), "2-\n");
}

TEST_F(ProcessTest, GetsTheWorkingDirectoryAndPriority) {
  TempDir dir;
  ProcessOptions options = Shell("pwd; nice");
  options.working_directory = dir.path();
  options.nice = 7;
  EXPECT_EQ(OutputOf(options), dir.path() + "\n7\n");
}

TEST_F(ProcessTest, GetsTheDescriptorsNamedAndNoOthers) {
  CVT_ASSERT_OK_AND_ASSIGN(auto pair, UnixConnection::Pair());
  int careless[2] = {-1, -1};
  ASSERT_EQ(::pipe(careless), 0);  // without close-on-exec
  const UniqueFd careless_read(careless[0]);
  const UniqueFd careless_write(careless[1]);
  ProcessOptions options = Shell("printf '\\002\\000\\000\\000hi' >&5; echo $(ls /proc/self/fd)");
  options.descriptors = {{pair.second->fd(), 5}};
  // `ls` itself opens 3 on the directory.
  EXPECT_EQ(OutputOf(options), "0 1 2 3 5\n");
  CVT_ASSERT_OK_AND_ASSIGN(const Frame frame, pair.first->Receive(kLong));
  EXPECT_EQ(frame.bytes, "hi");

  // The careless ones are now below the highest number that the child gets.
  options = Shell("echo $(ls /proc/self/fd)");
  options.descriptors = {{pair.second->fd(), 60}};
  EXPECT_EQ(OutputOf(options), "0 1 2 3 60\n");
}

TEST_F(ProcessTest, DescriptorsMaySwapPlaces) {
  int first[2] = {-1, -1};
  int second[2] = {-1, -1};
  ASSERT_EQ(::pipe2(first, O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(second, O_CLOEXEC), 0);
  const UniqueFd owners[] = {UniqueFd(first[0]), UniqueFd(first[1]), UniqueFd(second[0]),
                             UniqueFd(second[1])};
  ProcessOptions options =
      Shell("echo one >&" + std::to_string(second[1]) + "; echo two >&" + std::to_string(first[1]));
  options.descriptors = {{first[1], second[1]}, {second[1], first[1]}};
  OutputOf(options);
  char buffer[8] = {};
  ASSERT_EQ(::read(first[0], buffer, sizeof(buffer)), 4);
  EXPECT_EQ(std::string(buffer, 4), "one\n");
  ASSERT_EQ(::read(second[0], buffer, sizeof(buffer)), 4);
  EXPECT_EQ(std::string(buffer, 4), "two\n");
}

TEST_F(ProcessTest, RefusesStandardNumbersForDescriptors) {
  ProcessOptions options = Shell("true");
  options.descriptors = {{0, 1}};
  EXPECT_THAT(Process::Spawn(options), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(ProcessTest, MayDieWithItsParent) {
  // The shell starts nothing; the signal is asked back through /proc.
  ProcessOptions options = Shell("exec sleep 1000");
  options.die_with_parent = true;
  options.new_session = true;
  CVT_ASSERT_OK_AND_ASSIGN(const auto process, Process::Spawn(options));
  EXPECT_EQ(::getsid(process->pid()), process->pid());
}

TEST(EnvTest, TellsUnsetFromEmpty) {
  EXPECT_EQ(GetEnv("CVTRAIN_SURELY_NOT_SET"), std::nullopt);
  ASSERT_EQ(::setenv("CVTRAIN_TEST_EMPTY", "", 1), 0);
  EXPECT_EQ(GetEnv("CVTRAIN_TEST_EMPTY"), std::optional<std::string>(""));
}

TEST(ProgramFolderTest, HoldsThisProgram) {
  const std::string folder = ProgramFolder();
  ASSERT_FALSE(folder.empty());
  EXPECT_EQ(folder.front(), '/');
  EXPECT_NE(folder.back(), '/');
  EXPECT_EQ(access(absl::StrCat(folder, "/", program_invocation_short_name).c_str(), X_OK), 0);
}

}  // namespace
}  // namespace cvtrain
