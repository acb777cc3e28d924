// How a program is started:
//
// 1. All that needs memory (argument and environment arrays) is made before fork():
//    in the child of a threaded process only async-signal-safe calls may run.
// 2. A pipe that execve() closes. The child writes errno into it if a step fails, so
//    the parent reads either nothing (the program runs) or the error.
// 3. The child moves descriptors to their numbers by way of high ones, since a source
//    may sit where another one belongs, then closes everything else.
#include "common/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/errors.h"
#include "common/posix_error.h"
#include "common/status_macros.h"

extern char** environ;

namespace cvtrain {
namespace {

struct ExecPlan {
  std::vector<std::string> environment_text;
  std::vector<char*> argv;
  std::vector<char*> environment;
  std::vector<std::pair<int, int>> moves;  // (ours, the child's)
  int highest_target = 2;
};

std::vector<char*> Pointers(const std::vector<std::string>& text) {
  std::vector<char*> pointers;
  for (const std::string& one : text) pointers.push_back(const_cast<char*>(one.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

void PlanEnvironment(const ProcessOptions& options, ExecPlan& plan) {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; options.inherit_environment && *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const size_t equals = text.find('=');
    if (equals != std::string::npos) variables[text.substr(0, equals)] = text.substr(equals + 1);
  }
  for (const auto& [name, value] : options.environment) variables[name] = value;
  for (const auto& [name, value] : variables) {
    plan.environment_text.push_back(absl::StrCat(name, "=", value));
  }
  plan.environment = Pointers(plan.environment_text);
}

absl::Status PlanDescriptors(const ProcessOptions& options, int null_fd, ExecPlan& plan) {
  plan.moves = {{null_fd, 0},
                {options.stdout_fd >= 0 ? options.stdout_fd : 1, 1},
                {options.stderr_fd >= 0 ? options.stderr_fd : 2, 2}};
  for (const auto& [ours, childs] : options.descriptors) {
    if (ours < 0 || childs < 3) {
      return InvalidArgument(
          Reason::kFieldInvalid,
          absl::StrCat("descriptors: the child's numbers start at 3, got ", ours, " for ", childs));
    }
    plan.moves.emplace_back(ours, childs);
    plan.highest_target = std::max(plan.highest_target, childs);
  }
  return absl::OkStatus();
}

// Moves the descriptors and closes all others; `report` is moved out of the way.
// Async-signal-safe.
bool ArrangeDescriptors(const ExecPlan& plan, int* high, int& report) {
  const int floor = plan.highest_target + 1;
  report = ::fcntl(report, F_DUPFD_CLOEXEC, floor);
  if (report < 0) return false;
  for (size_t i = 0; i < plan.moves.size(); ++i) {
    high[i] = ::fcntl(plan.moves[i].first, F_DUPFD_CLOEXEC, floor);
    if (high[i] < 0) return false;
  }
  for (size_t i = 0; i < plan.moves.size(); ++i) {
    if (::dup2(high[i], plan.moves[i].second) < 0) return false;  // without close-on-exec
  }
  for (int fd = 3; fd < floor; ++fd) {
    const bool wanted = std::any_of(plan.moves.begin(), plan.moves.end(),
                                    [fd](const auto& move) { return move.second == fd; });
    if (!wanted) ::close(fd);
  }
  // Numbers from `floor` up may belong to careless libraries: let exec close them all.
  ::syscall(SYS_close_range, static_cast<unsigned>(floor), ~0U, 4U /* CLOSE_RANGE_CLOEXEC */);
  return true;
}

// The child's life before its program. Async-signal-safe; never returns.
[[noreturn]] void RunChild(const ProcessOptions& options, const ExecPlan& plan, int* high,
                           int report, pid_t parent) {
  const auto fail = [&report] {
    const int error = errno;
    [[maybe_unused]] const ssize_t written = ::write(report, &error, sizeof(error));
    ::_exit(127);
  };
  if (options.die_with_parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    // The parent may have died before that.
    if (::getppid() != parent) ::_exit(127);
  }
  struct sigaction standard = {};
  standard.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) ::sigaction(signal, &standard, nullptr);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (options.new_session) ::setsid();
  if (options.nice != 0) ::setpriority(PRIO_PROCESS, 0, options.nice);
  if (!options.working_directory.empty() && ::chdir(options.working_directory.c_str()) != 0) {
    fail();
  }
  if (!ArrangeDescriptors(plan, high, report)) fail();
  ::execve(plan.argv[0], plan.argv.data(), plan.environment.data());
  fail();
  ::_exit(127);
}

ExitStatus FromWait(int status) {
  if (WIFSIGNALED(status)) return {.code = 0, .signal = WTERMSIG(status)};
  return {.code = WEXITSTATUS(status), .signal = 0};
}

}  // namespace

std::string ExitStatus::ToString() const {
  if (signal != 0) {
    const char* name = ::sigdescr_np(signal);
    return absl::StrCat("signal ", signal, " (", name != nullptr ? name : "unknown", ")");
  }
  return absl::StrCat("exit code ", code);
}

absl::StatusOr<std::unique_ptr<Process>> Process::Spawn(const ProcessOptions& options) {
  if (options.argv.empty()) {
    return InvalidArgument(Reason::kFieldInvalid, "argv: must name a program");
  }
  ExecPlan plan;
  plan.argv = Pointers(options.argv);
  PlanEnvironment(options, plan);
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!null.valid()) return ErrnoToStatus(errno, "opening", "/dev/null");
  CVT_RETURN_IF_ERROR(PlanDescriptors(options, null.get(), plan));
  std::vector<int> high(plan.moves.size(), -1);
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0) return ErrnoToStatus(errno, "creating a pipe");
  const UniqueFd report_read(ends[0]);
  UniqueFd report_write(ends[1]);

  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return ErrnoToStatus(errno, "starting", options.argv[0]);
  if (pid == 0) RunChild(options, plan, high.data(), report_write.get(), parent);

  report_write.Reset();
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  const int pidfd_error = errno;
  std::unique_ptr<Process> process(new Process(pid, std::move(pidfd)));
  int error = 0;
  ssize_t got = 0;
  do {
    got = ::read(report_read.get(), &error, sizeof(error));
  } while (got < 0 && errno == EINTR);
  if (got == sizeof(error)) {
    process->Wait(absl::InfiniteDuration()).status().IgnoreError();  // reaps it; it has exited
    return ErrnoToStatus(error, "starting", options.argv[0]);
  }
  if (!process->pidfd_.valid()) return ErrnoToStatus(pidfd_error, "watching", options.argv[0]);
  return process;
}

Process::~Process() {
  if (detached_ || exit_.has_value()) return;
  Signal(SIGKILL).IgnoreError();                          // it may have ended just now
  Wait(absl::InfiniteDuration()).status().IgnoreError();  // no zombie stays behind
}

absl::Status Process::Signal(int signal) {
  // Until it is reaped, which only Poll() does, its number cannot go to another one.
  CVT_ASSIGN_OR_RETURN(const std::optional<ExitStatus> exit, Poll());
  if (exit.has_value()) {
    return FailedPrecondition(Reason::kWrongState,
                              absl::StrCat("process ", pid_, " has ended: ", exit->ToString()));
  }
  if (::kill(pid_, signal) != 0) {
    return ErrnoToStatus(errno, "sending a signal to process", absl::StrCat(pid_));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<ExitStatus>> Process::Poll() {
  if (exit_.has_value()) return exit_;
  int status = 0;
  const pid_t reaped = ::waitpid(pid_, &status, WNOHANG);
  if (reaped < 0) return ErrnoToStatus(errno, "waiting for process", absl::StrCat(pid_));
  if (reaped == pid_) exit_ = FromWait(status);
  return exit_;
}

absl::StatusOr<ExitStatus> Process::Wait(absl::Duration timeout) {
  const absl::Duration deadline = RealClock().SteadyNow() + timeout;
  while (true) {
    CVT_ASSIGN_OR_RETURN(const std::optional<ExitStatus> exit, Poll());
    if (exit.has_value()) return *exit;
    const absl::Duration left = deadline - RealClock().SteadyNow();
    if (left <= absl::ZeroDuration()) {
      return DeadlineExceeded(Reason::kDeadline, absl::StrCat("process ", pid_, " still runs"));
    }
    pollfd item = {.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
    // Without a pidfd (it could not be made) this is a sleep between looks.
    const int64_t wait_max = pidfd_.valid() ? 60'000 : 10;
    const int64_t wait = std::min(absl::ToInt64Milliseconds(left), wait_max) + 1;
    if (::poll(&item, pidfd_.valid() ? 1U : 0U, static_cast<int>(wait)) < 0 && errno != EINTR) {
      return ErrnoToStatus(errno, "waiting for process", absl::StrCat(pid_));
    }
  }
}

bool ProcessExists(pid_t pid) { return ::kill(pid, 0) == 0 || errno == EPERM; }

}  // namespace cvtrain
