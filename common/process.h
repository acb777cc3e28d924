#ifndef CVTRAIN_COMMON_PROCESS_H_
#define CVTRAIN_COMMON_PROCESS_H_

#include <sys/types.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/unique_fd.h"

namespace cvtrain {

struct ProcessOptions {
  // The program and its arguments; argv[0] is a path, nothing is searched, no shell.
  std::vector<std::string> argv;
  // Added to, or replacing, variables of our own environment; all of them if
  // `inherit_environment` is false.
  std::map<std::string, std::string> environment = {};
  bool inherit_environment = true;
  // (ours, the child's number from 3): the only descriptors that the child gets
  // besides 0, 1, 2. Ours stay open.
  std::vector<std::pair<int, int>> descriptors = {};
  // Where the child's output goes; -1 means to ours. Input is /dev/null.
  int stdout_fd = -1;
  int stderr_fd = -1;
  std::string working_directory = {};  // "": ours
  // The kernel kills the child (SIGKILL) when the *thread* that spawned it ends.
  bool die_with_parent = false;
  // In a session and process group of its own: a Ctrl-C at our terminal spares it.
  bool new_session = false;
  int nice = 0;
};

// How a process ended.
struct ExitStatus {
  int code = 0;    // of exit(), if signal is 0
  int signal = 0;  // that ended it, or 0

  bool ok() const { return code == 0 && signal == 0; }
  std::string ToString() const;  // "exit code 3", "signal 9 (Killed)"
  friend bool operator==(const ExitStatus&, const ExitStatus&) = default;
};

// A child process. The destructor kills (SIGKILL) and reaps what still runs, unless
// Detach() was called. Thread-compatible.
class Process {
 public:
  // Starts a program and returns once it has been executed.
  // NOT_FOUND (FILE_NOT_FOUND), PERMISSION_DENIED (FILE_FORBIDDEN): argv[0] cannot be
  // executed. RESOURCE_EXHAUSTED (LIMIT_EXCEEDED): no process, memory or descriptor left.
  static absl::StatusOr<std::unique_ptr<Process>> Spawn(const ProcessOptions& options);

  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();

  pid_t pid() const { return pid_; }

  // Readable in poll() when the process has ended.
  int pidfd() const { return pidfd_.get(); }

  // Sends a signal to this very process, never to another that got its number.
  // FAILED_PRECONDITION (WRONG_STATE) if it has ended.
  absl::Status Signal(int signal);

  // How it ended, or nothing while it runs.
  absl::StatusOr<std::optional<ExitStatus>> Poll();

  // Waits; DEADLINE_EXCEEDED (DEADLINE) if it still runs then.
  absl::StatusOr<ExitStatus> Wait(absl::Duration timeout);

  // Leaves it running when this object dies.
  void Detach() { detached_ = true; }

 private:
  Process(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}

  const pid_t pid_;
  const UniqueFd pidfd_;
  std::optional<ExitStatus> exit_;
  bool detached_ = false;
};

// True if a process with this number exists (as a zombie too). For messages; numbers
// are used again.
bool ProcessExists(pid_t pid);

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_PROCESS_H_
