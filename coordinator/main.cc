// cvtrain-coordinator: flags and wiring only.
#include <signal.h>
#include <sys/stat.h>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/build_info.h"
#include "common/clock.h"
#include "common/errors.h"
#include "common/file_system.h"
#include "common/flags.h"
#include "common/log.h"
#include "common/prometheus/prometheus_telemetry.h"
#include "common/random.h"
#include "coordinator/service/server.h"

namespace cvtrain::coordinator {
namespace {

// What the process exits with; sysexits.h has the numbers.
constexpr int kExitUsage = 64;
constexpr int kExitDamaged = 65;        // stored bytes are wrong: call a person
constexpr int kExitUnavailable = 69;    // somebody has the directory, the socket or the port, or a
                                        // file that is needed cannot be read
constexpr int kExitStorageFailed = 74;  // a write failed: its outcome is unknown

struct Options {
  ServerOptions server;
  uint64_t checkpoint_quota = uint64_t{256} << 30;
  uint64_t disk_reserve = uint64_t{64} << 20;
  std::string metrics_host = "127.0.0.1";
  int metrics_port = 0;
};

void Declare(FlagSet& flags, Options& options) {
  flags.String("listen", 0, &options.server.listen, "ADDRESS",
               "unix:/path, or host:port with TLS files");
  flags.String("state-dir", 0, &options.server.state_dir, "DIR",
               "everything durable; one coordinator at a time");
  flags.String("tls-ca", 0, &options.server.tls.ca, "FILE", "who signs clients' certificates");
  flags.String("tls-cert", 0, &options.server.tls.cert, "FILE", "our certificate");
  flags.String("tls-key", 0, &options.server.tls.key, "FILE", "our key");
  flags.Bytes("checkpoint-quota", 0, &options.checkpoint_quota,
              "room for all checkpoints together");
  flags.Bytes("disk-reserve", 0, &options.disk_reserve,
              "free space that users' requests leave to what runs already");
  flags.Duration("orphan-limit", 0, &options.server.orphan_limit,
                 "how long workers go on computing without a coordinator");
  flags.String("metrics-host", 0, &options.metrics_host, "HOST", "where /metrics is served");
  flags.Int("metrics-port", 0, &options.metrics_port, 0, 65535,
            "its port; 0: a free one, written to STATE-DIR/metrics_port");
}

int ExitCodeFor(const absl::Status& status) {
  const std::optional<Reason> reason = ReasonOf(status);
  if (reason == Reason::kUsage) return kExitUsage;
  if (absl::IsDataLoss(status)) return kExitDamaged;
  if (reason == Reason::kStorageFailed || reason == Reason::kDiskFull) return kExitStorageFailed;
  return kExitUnavailable;
}

int Fail(const absl::Status& status) {
  CVT_LOG(kError, "coordinator cannot start").Field("status", status.ToString());
  std::cerr << "cvtrain-coordinator: " << status.message() << '\n';
  return ExitCodeFor(status);
}

// A process that no longer knows what is true stops; clients repeat.
void DieOfStorage(const absl::Status& status) {
  CVT_LOG(kError, absl::IsDataLoss(status) ? "coordinator stops: the journal is not whole"
                                           : "coordinator stops: a write has an unknown outcome")
      .Field("status", status.ToString());
  std::_Exit(absl::IsDataLoss(status) ? kExitDamaged : kExitStorageFailed);
}

// Blocks the signals of an orderly end before any thread exists.
sigset_t BlockStopSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return set;
}

absl::Status Run(const Options& options, const sigset_t& stop_signals) {
  PrometheusTelemetry telemetry;
  auto server = Server::Start(options.server, PosixFileSystem(), RealClock(), SystemRandom(),
                              telemetry, DieOfStorage);
  if (!server.ok()) return server.status();
  auto metrics = telemetry.Serve(options.metrics_host, options.metrics_port);
  if (!metrics.ok()) return metrics.status();
  const absl::Status written =
      WriteFileAtomic(PosixFileSystem(), JoinPath(options.server.state_dir, "metrics_port"),
                      absl::StrCat((*metrics)->port(), "\n"));
  if (!written.ok()) return written;
  CVT_LOG(kInfo, "coordinator serves")
      .Field("address", (*server)->address())
      .Field("cluster", (*server)->cluster_id())
      .Field("revision", (*server)->revision())
      .Field("metrics_port", (*metrics)->port());

  int signal = 0;
  sigwait(&stop_signals, &signal);
  CVT_LOG(kInfo, "coordinator stops").Field("signal", signal);
  return absl::OkStatus();
}

}  // namespace
}  // namespace cvtrain::coordinator

int main(int argc, char** argv) {
  using namespace cvtrain;
  using namespace cvtrain::coordinator;
  umask(0077);  // nothing of ours is anybody else's to read
  Options options;
  FlagSet flags("cvtrain-coordinator --listen ADDRESS --state-dir DIR [flags]",
                "Schedules experiments on workers and keeps everything that it promised.");
  Declare(flags, options);
  const absl::StatusOr<FlagSet::Parsed> parsed = flags.Parse(argc, argv);
  if (!parsed.ok()) return Fail(parsed.status());
  if (parsed->help) {
    std::cout << VersionLine() << "\n\n" << flags.Help();
    return 0;
  }
  options.server.checkpoint_quota_bytes = static_cast<int64_t>(options.checkpoint_quota);
  options.server.disk_reserve_bytes = static_cast<int64_t>(options.disk_reserve);
  if (!parsed->positional.empty()) {
    return Fail(InvalidArgument(Reason::kUsage,
                                absl::StrCat("unexpected argument ", parsed->positional[0])));
  }
  const sigset_t stop_signals = BlockStopSignals();
  const absl::Status status = Run(options, stop_signals);
  return status.ok() ? 0 : Fail(status);
}
