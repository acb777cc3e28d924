// cvctl local up|down|status: a cluster of one, on this machine.
//
// Everything lies in one directory of mode 0700: the coordinator's socket and
// state, the worker's state, both logs, and a file with the process id of each.
// `up` starts what does not run, so it is also what repairs a cluster of which
// something died. Both processes have a session of their own: they outlive the
// terminal, and Ctrl-C does not reach them.
#include <signal.h>

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/call/verb.h"
#include "client/files/context.h"
#include "client/files/daemon.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

constexpr absl::Duration kStartTimeout = absl::Seconds(60);
constexpr absl::Duration kStopTimeout = absl::Seconds(30);
constexpr absl::Duration kPollPause = absl::Milliseconds(50);
// The worker of a local cluster; one, so its name needs no host.
constexpr char kWorkerName[] = "local";

struct LocalOptions {
  std::string directory;
  int slots = 0;
  std::string bin_dir;
};

void Declare(FlagSet& flags, const Cli& cli, LocalOptions& options) {
  options.directory = LocalClusterDir(cli);
  options.bin_dir = DirName(cli.program);
  flags.String("dir", 0, &options.directory, "DIR", "where the cluster keeps everything");
}

// The two programs, in the order in which they start.
struct Daemons {
  Daemon coordinator;
  Daemon worker;
};

Daemons DaemonsOf(const LocalOptions& options) {
  const std::string& directory = options.directory;
  const std::string address = LocalAddress(directory);
  Daemons daemons;
  daemons.coordinator = {.name = "coordinator",
                         .argv = {JoinPath(options.bin_dir, "cvtrain-coordinator"), "--listen",
                                  address, "--state-dir", JoinPath(directory, "coordinator")},
                         .directory = directory,
                         .lock_path = JoinPath(directory, "coordinator/lock")};
  daemons.worker = {.name = "worker",
                    .argv = {JoinPath(options.bin_dir, "cvtrain-worker"), "--coordinator", address,
                             "--state-dir", JoinPath(directory, "worker"), "--name", kWorkerName},
                    .directory = directory,
                    .lock_path = JoinPath(directory, "worker/lock")};
  if (options.slots > 0) {
    daemons.worker.argv.insert(daemons.worker.argv.end(), {"--slots", absl::StrCat(options.slots)});
  }
  return daemons;
}

// Waits until `ready` says so. A program that ends meanwhile is an error with
// the end of its log.
absl::Status WaitUntilReady(const Cli& cli, const Daemon& daemon,
                            const std::function<bool()>& ready) {
  const absl::Duration end = cli.clock.SteadyNow() + kStartTimeout;
  while (!ready()) {
    CVT_ASSIGN_OR_RETURN(const std::optional<pid_t> pid, RunningPid(cli.files, daemon));
    if (!pid.has_value()) {
      return FailedPrecondition(
          Reason::kWrongState,
          absl::StrCat("the ", daemon.name, " ended while it started; ", LogPath(daemon),
                       " ends with:\n", LogEnd(cli.files, daemon)));
    }
    if (cli.clock.SteadyNow() > end) {
      return DeadlineExceeded(
          Reason::kDeadline, absl::StrCat("the ", daemon.name, " does not answer after ",
                                          FormatElapsed(kStartTimeout), "; see ", LogPath(daemon)));
    }
    if (!cli.sleep(kPollPause))
      return Cancelled(Reason::kStopping, "interrupted; the cluster goes on starting");
  }
  return absl::OkStatus();
}

// The worker of this cluster as the coordinator has it; default without an answer.
v1::Worker LocalWorker(Connection& connection) {
  v1::GetWorkerRequest request;
  request.set_name(absl::StrCat("workers/", kWorkerName));
  const auto response = connection.GetWorker(request);
  return response.ok() ? response->worker() : v1::Worker();
}

bool WorkerIsReady(Connection& connection) {
  return LocalWorker(connection).state() == v1::Worker::STATE_READY;
}

// One at a time may start or stop things here: two would each start a coordinator, of
// which one dies after both have been called started.
absl::StatusOr<std::unique_ptr<FileLock>> LockDirectory(const Cli& cli,
                                                        const LocalOptions& options) {
  const std::string path = JoinPath(options.directory, "cvctl.lock");
  const absl::Duration end = cli.clock.SteadyNow() + kStartTimeout;
  while (true) {
    absl::StatusOr<std::unique_ptr<FileLock>> lock = cli.files.LockFile(path);
    if (ReasonOf(lock.status()) != Reason::kStateDirBusy || cli.clock.SteadyNow() > end)
      return lock;
    if (!cli.sleep(kPollPause)) return Interrupted();
  }
}

// Starts it, and waits until this very process does the work: `ready` may be said of
// one that still answers, or of a lease that has not run out yet.
absl::Status Start(const Cli& cli, const Daemon& daemon, const std::function<bool()>& ready) {
  CVT_ASSIGN_OR_RETURN(const pid_t pid, StartDaemon(cli.files, daemon));
  CVT_RETURN_IF_ERROR(WaitUntilReady(cli, daemon, [&] {
    const absl::StatusOr<std::optional<pid_t>> holder = LockHolder(cli.files, daemon);
    return holder.ok() && *holder == pid && ready();
  }));
  cli.out << daemon.name << " started, process " << pid << '\n';
  return absl::OkStatus();
}

// `ready` says that it answers, `newly_ready` that one answers that has come since.
absl::Status StartIfNeeded(const Cli& cli, const Daemon& daemon, const std::function<bool()>& ready,
                           const std::function<bool()>& newly_ready) {
  CVT_ASSIGN_OR_RETURN(const std::optional<pid_t> running, RunningPid(cli.files, daemon));
  if (running.has_value()) {
    const absl::Status status = WaitUntilReady(cli, daemon, ready);
    // One that was on its way out, after a crash or a stop, is started like one that was gone.
    if (ReasonOf(status) != Reason::kWrongState) {
      CVT_RETURN_IF_ERROR(status);
      cli.out << daemon.name << " runs already, process " << *running << '\n';
      return WritePidFile(cli.files, daemon, *running);
    }
  }
  return Start(cli, daemon, newly_ready);
}

absl::StatusOr<ExitCode> Up(const Cli& cli, const LocalOptions& options) {
  CVT_RETURN_IF_ERROR(cli.files.CreateDir(options.directory, 0700));
  CVT_ASSIGN_OR_RETURN(const auto lock, LockDirectory(cli, options));
  const Daemons daemons = DaemonsOf(options);
  CVT_ASSIGN_OR_RETURN(const auto connection,
                       Connection::Open(cli, {.address = LocalAddress(options.directory),
                                              .tls = {},
                                              .timeout = absl::Milliseconds(500)}));
  const auto answers = [&] { return connection->Answers(absl::Milliseconds(500)); };
  CVT_RETURN_IF_ERROR(StartIfNeeded(cli, daemons.coordinator, answers, answers));
  const absl::Time renewed = TimeOf(LocalWorker(*connection).renew_time());
  CVT_RETURN_IF_ERROR(StartIfNeeded(
      cli, daemons.worker, [&] { return WorkerIsReady(*connection); },
      [&] {
        const v1::Worker worker = LocalWorker(*connection);
        return worker.state() == v1::Worker::STATE_READY && TimeOf(worker.renew_time()) != renewed;
      }));
  cli.out << "cluster is up at " << connection->address() << "; logs and state in "
          << options.directory << '\n';
  return ExitCode::kDone;
}

absl::Status StopDaemon(const Cli& cli, const Daemon& daemon) {
  CVT_ASSIGN_OR_RETURN(const std::optional<pid_t> pid, RunningPid(cli.files, daemon));
  if (!pid.has_value()) {
    cli.out << daemon.name << " does not run\n";
    return absl::OkStatus();
  }
  CVT_RETURN_IF_ERROR(SignalDaemon(*pid, SIGTERM));
  const absl::Duration end = cli.clock.SteadyNow() + kStopTimeout;
  while (true) {
    CVT_ASSIGN_OR_RETURN(const std::optional<pid_t> still, RunningPid(cli.files, daemon));
    if (!still.has_value()) break;
    if (cli.clock.SteadyNow() > end) {
      return DeadlineExceeded(
          Reason::kDeadline,
          absl::StrCat("the ", daemon.name, ", process ", *pid, ", does not end within ",
                       FormatElapsed(kStopTimeout), "; see ", LogPath(daemon)));
    }
    if (!cli.sleep(kPollPause))
      return Cancelled(Reason::kStopping, "interrupted; the cluster goes on stopping");
  }
  cli.out << daemon.name << " stopped\n";
  return absl::OkStatus();
}

absl::StatusOr<ExitCode> Down(const Cli& cli, const LocalOptions& options) {
  std::unique_ptr<FileLock> lock;
  CVT_ASSIGN_OR_RETURN(const bool exists, Exists(cli.files, options.directory));
  if (exists) {
    CVT_ASSIGN_OR_RETURN(lock, LockDirectory(cli, options));
  }
  const Daemons daemons = DaemonsOf(options);
  // The worker first: its trials write checkpoints, which the coordinator keeps.
  CVT_RETURN_IF_ERROR(StopDaemon(cli, daemons.worker));
  CVT_RETURN_IF_ERROR(StopDaemon(cli, daemons.coordinator));
  return ExitCode::kDone;
}

std::string MetricsAddress(const Cli& cli, const std::string& directory) {
  const absl::StatusOr<std::string> port =
      ReadFile(cli.files, JoinPath(directory, "metrics_port"), 64);
  return port.ok() ? absl::StrCat("127.0.0.1:", absl::StripSuffix(*port, "\n"), "/metrics") : "";
}

absl::StatusOr<ExitCode> Status(const Cli& cli, const LocalOptions& options) {
  const Daemons daemons = DaemonsOf(options);
  CVT_ASSIGN_OR_RETURN(const auto connection,
                       Connection::Open(cli, {.address = LocalAddress(options.directory),
                                              .tls = {},
                                              .timeout = absl::Seconds(2)}));
  Table table({"PROCESS", "STATE", "PID", "METRICS", "LOG"});
  bool all_up = true;
  for (const Daemon* daemon : {&daemons.coordinator, &daemons.worker}) {
    CVT_ASSIGN_OR_RETURN(const std::optional<pid_t> pid, RunningPid(cli.files, *daemon));
    const bool is_coordinator = daemon == &daemons.coordinator;
    const bool answers = pid.has_value() && (is_coordinator ? connection->Answers(absl::Seconds(2))
                                                            : WorkerIsReady(*connection));
    all_up = all_up && answers;
    table.AddRow(
        {daemon->name,
         !pid.has_value() ? "DOWN"
         : answers        ? "UP"
                          : "NOT ANSWERING",
         pid.has_value() ? absl::StrCat(*pid) : "",
         pid.has_value() ? MetricsAddress(cli, JoinPath(options.directory, daemon->name)) : "",
         LogPath(*daemon)});
  }
  table.Print(cli.out);
  if (all_up) {
    CVT_ASSIGN_OR_RETURN(const auto response, connection->GetCluster(v1::GetClusterRequest()));
    const v1::Cluster& cluster = response.cluster();
    cli.out << "\ncluster " << cluster.id() << " at " << connection->address() << ": "
            << cluster.slots_free() << " of " << cluster.slots() << " slots free, "
            << cluster.trials_running() << " trials running, " << cluster.trials_queued()
            << " queued, revision " << cluster.revision() << '\n';
  } else {
    cli.out << "\n`cvctl local up` starts what is down\n";
  }
  return all_up ? ExitCode::kDone : ExitCode::kUnreachable;
}

}  // namespace

absl::StatusOr<ExitCode> RunLocal(const Cli& cli, const Arguments& arguments) {
  LocalOptions options;
  FlagSet flags("cvctl local up|down|status [flags]",
                "A cluster on this machine: one coordinator, one worker.");
  Declare(flags, cli, options);
  flags.Int("slots", 0, &options.slots, 0, 1024,
            "slots of the worker when it is started; 0: one a core");
  std::vector<std::string> positional;
  CVT_ASSIGN_OR_RETURN(const bool help, ParseFlags(cli, flags, arguments, positional));
  if (help) return ExitCode::kDone;
  CVT_RETURN_IF_ERROR(CheckCount(positional, 1, 1, "one of up, down, status"));
  if (!absl::StartsWith(options.directory, "/")) {
    return InvalidArgument(Reason::kUsage,
                           absl::StrCat("--dir ", options.directory, ": must be an absolute path"));
  }
  if (positional[0] == "up") return Up(cli, options);
  if (positional[0] == "down") return Down(cli, options);
  if (positional[0] == "status") return Status(cli, options);
  return InvalidArgument(Reason::kUsage,
                         absl::StrCat("cvctl local up|down|status: got \"", positional[0], "\""));
}

}  // namespace cvtrain::client
