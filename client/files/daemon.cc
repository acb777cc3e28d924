#include "client/files/daemon.h"

#include <errno.h>
#include <signal.h>

#include <algorithm>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/errors.h"
#include "common/process.h"
#include "common/status_macros.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

constexpr uint64_t kLogTailBytes = 4096;
constexpr size_t kLogTailLines = 12;

std::string PidPath(const Daemon& daemon) {
  return JoinPath(daemon.directory, daemon.name + ".pid");
}

// The command line of a process; empty if it is gone.
std::string CommandLine(FileSystem& files, pid_t pid) {
  const auto file = files.NewRandomAccessFile(absl::StrCat("/proc/", pid, "/cmdline"));
  if (!file.ok()) return "";
  std::string buffer(16 << 10, '\0');
  const absl::StatusOr<size_t> size = (*file)->Read(0, absl::MakeSpan(buffer));
  if (!size.ok()) return "";
  buffer.resize(*size);
  return buffer;
}

// Whether a command line is that of this daemon: the program, and every path of its
// own that it was started with. A zombie has an empty one.
bool IsDaemon(const std::string& command_line, const Daemon& daemon) {
  const std::vector<std::string> words = absl::StrSplit(command_line, '\0');
  if (BaseName(words[0]) != BaseName(daemon.argv[0])) return false;
  return std::all_of(daemon.argv.begin() + 1, daemon.argv.end(), [&](const std::string& argument) {
    return !absl::StartsWith(argument, daemon.directory + "/") ||
           std::find(words.begin(), words.end(), argument) != words.end();
  });
}

// The process whose number stands in the file at `path`, if it is this daemon.
absl::StatusOr<std::optional<pid_t>> PidIn(FileSystem& files, const Daemon& daemon,
                                           const std::string& path) {
  CVT_ASSIGN_OR_RETURN(const bool exists, Exists(files, path));
  if (!exists) return std::nullopt;
  CVT_ASSIGN_OR_RETURN(const std::string text, ReadFile(files, path, 64));
  pid_t pid = 0;
  if (!absl::SimpleAtoi(text, &pid) || pid <= 0) return std::nullopt;
  return IsDaemon(CommandLine(files, pid), daemon) ? std::optional<pid_t>(pid) : std::nullopt;
}

}  // namespace

std::string LogPath(const Daemon& daemon) {
  return JoinPath(daemon.directory, daemon.name + ".log");
}

std::string LogEnd(FileSystem& files, const Daemon& daemon) {
  const auto file = files.NewRandomAccessFile(LogPath(daemon));
  if (!file.ok()) return "";
  const absl::StatusOr<uint64_t> size = (*file)->Size();
  if (!size.ok()) return "";
  std::string buffer(kLogTailBytes, '\0');
  const absl::StatusOr<size_t> got =
      (*file)->Read(*size - std::min(*size, kLogTailBytes), absl::MakeSpan(buffer));
  if (!got.ok()) return "";
  buffer.resize(*got);
  std::vector<std::string> lines = absl::StrSplit(buffer, '\n', absl::SkipEmpty());
  if (lines.size() > kLogTailLines) lines.erase(lines.begin(), lines.end() - kLogTailLines);
  return absl::StrJoin(lines, "\n", [](std::string* out, const std::string& line) {
    absl::StrAppend(out, "  ", EscapeText(line));
  });
}

absl::StatusOr<std::optional<pid_t>> RunningPid(FileSystem& files, const Daemon& daemon) {
  CVT_ASSIGN_OR_RETURN(const std::optional<pid_t> pid, PidIn(files, daemon, PidPath(daemon)));
  if (pid.has_value()) return pid;
  return LockHolder(files, daemon);
}

absl::StatusOr<std::optional<pid_t>> LockHolder(FileSystem& files, const Daemon& daemon) {
  if (daemon.lock_path.empty()) return std::nullopt;
  return PidIn(files, daemon, daemon.lock_path);
}

absl::Status WritePidFile(FileSystem& files, const Daemon& daemon, pid_t pid) {
  return WriteFileAtomic(files, PidPath(daemon), absl::StrCat(pid, "\n"), 0600);
}

absl::StatusOr<pid_t> StartDaemon(FileSystem& files, const Daemon& daemon) {
  CVT_ASSIGN_OR_RETURN(
      const auto log,
      files.NewWritableFile(LogPath(daemon),
                            {.mode = WritableFileOptions::Mode::kAppend, .permissions = 0600}));
  const int log_descriptor = log->descriptor();
  CVT_ASSIGN_OR_RETURN(std::unique_ptr<Process> process,
                       Process::Spawn({.argv = daemon.argv,
                                       .stdout_fd = log_descriptor,
                                       .stderr_fd = log_descriptor,
                                       .working_directory = daemon.directory,
                                       .new_session = true}));
  const pid_t pid = process->pid();
  process->Detach();
  CVT_RETURN_IF_ERROR(WritePidFile(files, daemon, pid));
  return pid;
}

absl::Status SignalDaemon(pid_t pid, int signal) {
  if (::kill(pid, signal) == 0 || errno == ESRCH) return absl::OkStatus();
  return PermissionDenied(
      Reason::kFileForbidden,
      absl::StrCat("process ", pid, " belongs to somebody else and cannot be stopped"));
}

}  // namespace cvtrain::client
