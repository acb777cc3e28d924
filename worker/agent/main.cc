// cvtrain-worker: flags and wiring only.
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/build_info.h"
#include "common/clock.h"
#include "common/cores.h"
#include "common/env.h"
#include "common/errors.h"
#include "common/file_system.h"
#include "common/flags.h"
#include "common/ids.h"
#include "common/log.h"
#include "common/prometheus/prometheus_telemetry.h"
#include "common/random.h"
#include "common/rpc/channel.h"
#include "common/status_macros.h"
#include "common/thread.h"
#include "plan/recipe/resolve.h"
#include "worker/agent/gpus/gpus.h"
#include "worker/agent/options.h"
#include "worker/agent/session/grpc/grpc_coordinator_client.h"
#include "worker/agent/slots.h"
#include "worker/agent/supervise/agent.h"

namespace cvtrain::worker {
namespace {

// What the process exits with; sysexits.h has the numbers.
constexpr int kExitUsage = 64;
constexpr int kExitDamaged = 65;        // stored bytes are wrong: call a person
constexpr int kExitUnavailable = 69;    // the directory is busy, or the coordinator refuses us
constexpr int kExitStorageFailed = 74;  // the directory cannot be used

uint64_t MemoryBytes() {
  const long pages = ::sysconf(_SC_PHYS_PAGES);
  const long page_bytes = ::sysconf(_SC_PAGESIZE);
  return pages > 0 ? static_cast<uint64_t>(pages) * static_cast<uint64_t>(page_bytes) : 0;
}

std::string InstructionSet() {
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    return "avx512";
  }
  return __builtin_cpu_supports("avx2") ? "avx2" : "baseline";
}

std::string Hostname() {
  char name[256] = {};
  return ::gethostname(name, sizeof(name) - 1) == 0 ? name : "worker";
}

// Each trainer, shard on its way and call needs descriptors, and the default of 1,024 is meant for
// programs that use select(). Ours do not, nor do trainers, which inherit it.
void RaiseDescriptorLimit() {
  constexpr rlim_t kWanted = 65'536;
  struct rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = std::min(limit.rlim_max, kWanted);
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) {
    CVT_LOG(kWarning, "cannot raise the limit of open files").Field("wanted", wanted);
  }
}

absl::StatusOr<std::string> TrainerPath(const Options& options, FileSystem& files) {
  std::string path = options.trainer;
  if (path.empty()) {
    path = absl::StrCat(ProgramFolder(), "/cvtrain-trainer");
  }
  CVT_ASSIGN_OR_RETURN(const bool found, Exists(files, path));
  if (found) return path;
  return InvalidArgument(Reason::kUsage, absl::StrCat("--trainer: there is no program ", path,
                                                      ": install cvtrain-trainer beside this one "
                                                      "or name it with --trainer"));
}

Machine FindMachine() {
  Machine machine = {.cores = CoreCount(),
                     .memory_bytes = MemoryBytes(),
                     .instruction_set = InstructionSet(),
                     .gpus = {},
                     .why_no_gpus = ""};
  machine.gpus = FindGpus(&machine.why_no_gpus);
  return machine;
}

AgentOptions MakeAgentOptions(const Options& options, const SlotPlan& slots,
                              const std::string& trainer) {
  const std::string hostname = Hostname();
  const BuildInfo& build = GetBuildInfo();

  AgentOptions agent;
  agent.state_directory = options.state_dir;
  agent.collective_address = options.collective_address;
  agent.spool.size_bytes_max = options.spool_bytes;
  agent.cache.size_bytes_max = options.cache_bytes;
  agent.transfers.shards_from = options.shards_from;
  agent.trainer.command = {trainer};
  agent.trainer.build_id = build.build_id;
  agent.trainer.threads_per_slot = options.threads_per_slot;
  agent.trainer.gpus = slots.gpus;
  agent.trainer.hang_timeout = options.hang_timeout;
  agent.session.drain_grace = options.grace;

  session::v1::Hello& hello = agent.session.hello;
  hello.set_worker(
      WorkerName(options.name.empty() ? LabelFromHostname(hostname) : options.name).ToString());
  hello.set_program_version(build.version);
  hello.set_build_id(build.build_id);
  hello.set_hostname(hostname);
  hello.set_plan_version(plan::kPlanVersion);
  hello.mutable_slots()->Assign(slots.slots.begin(), slots.slots.end());
  return agent;
}

// The port is found in the state directory.
absl::StatusOr<std::unique_ptr<PrometheusTelemetry::Server>> ServeMetrics(
    const Options& options, PrometheusTelemetry& telemetry, FileSystem& files) {
  if (options.metrics_address.empty()) return nullptr;
  const size_t colon = options.metrics_address.rfind(':');
  int port = 0;
  CVT_CHECK(absl::SimpleAtoi(options.metrics_address.substr(colon + 1), &port)) << "validated";
  CVT_ASSIGN_OR_RETURN(auto server,
                       telemetry.Serve(options.metrics_address.substr(0, colon), port));
  CVT_RETURN_IF_ERROR(WriteFileAtomic(files, JoinPath(options.state_dir, "metrics_port"),
                                      absl::StrCat(server->port(), "\n")));
  return server;
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

// The first signal asks for an orderly end, the second one takes it.
void WatchSignals(const sigset_t& set, Agent& agent, const StopToken& stop) {
  constexpr timespec kPatience = {.tv_sec = 0, .tv_nsec = 200'000'000};
  for (int signals = 0; !stop.stop_requested();) {
    const int signal = sigtimedwait(&set, nullptr, &kPatience);
    if (signal <= 0) continue;
    CVT_LOG(kInfo, "worker is asked to stop").Field("signal", signal);
    if (++signals > 1) std::_Exit(128 + signal);
    agent.RequestStop();
  }
}

absl::Status Run(const Options& options, const sigset_t& stop_signals) {
  FileSystem& files = PosixFileSystem();
  CVT_ASSIGN_OR_RETURN(const std::string trainer, TrainerPath(options, files));
  CVT_RETURN_IF_ERROR(files.CreateDir(options.state_dir));
  CVT_ASSIGN_OR_RETURN(const std::unique_ptr<FileLock> lock,
                       files.LockFile(JoinPath(options.state_dir, "lock")));
  PrometheusTelemetry telemetry;
  CVT_ASSIGN_OR_RETURN(const auto metrics, ServeMetrics(options, telemetry, files));
  CVT_ASSIGN_OR_RETURN(auto channel, OpenChannel(options.coordinator, options.tls, files));

  CVT_ASSIGN_OR_RETURN(const SlotPlan slots, PlanSlots(options, FindMachine()));
  const AgentOptions agent_options = MakeAgentOptions(options, slots, trainer);
  GrpcClientOptions client_options;
  client_options.worker = agent_options.session.hello.worker();
  client_options.is_local = IsLocalAddress(options.coordinator);
  const auto client = MakeGrpcCoordinatorClient(std::move(channel), client_options);
  CVT_ASSIGN_OR_RETURN(const auto agent, Agent::Create(agent_options, files, RealClock(),
                                                       SystemRandom(), *client, telemetry));
  CVT_LOG(kInfo, "worker starts")
      .Field("worker", agent_options.session.hello.worker())
      .Field("slots", agent_options.session.hello.slots_size())
      .Field("coordinator", options.coordinator)
      .Field("metrics_port", metrics ? metrics->port() : 0);
  const Thread signals("signals",
                       [&](StopToken stop) { WatchSignals(stop_signals, *agent, stop); });
  // On this thread, which lives as long as the process: trainers die with it.
  return agent->Run();
}

int Fail(const absl::Status& status) {
  std::cerr << "cvtrain-worker: " << status.message() << '\n';
  if (absl::IsInvalidArgument(status)) return kExitUsage;
  if (absl::IsDataLoss(status)) return kExitDamaged;
  if (absl::IsFailedPrecondition(status)) return kExitUnavailable;
  return kExitStorageFailed;
}

void SetLevel(const std::string& level) {
  SetLogLevel(level == "debug"     ? LogLevel::kDebug
              : level == "warning" ? LogLevel::kWarning
              : level == "error"   ? LogLevel::kError
                                   : LogLevel::kInfo);
}

}  // namespace
}  // namespace cvtrain::worker

int main(int argc, char** argv) {
  using namespace cvtrain;
  using namespace cvtrain::worker;
  umask(0077);  // nothing of ours is anybody else's to read
  Options options;
  bool version = false;
  FlagSet flags("cvtrain-worker --coordinator ADDRESS --state-dir DIR [flags]",
                "Runs trials on this machine for a coordinator.");
  AddFlags(options, flags);
  flags.Bool("version", 0, &version, "print the version and exit");
  const absl::StatusOr<FlagSet::Parsed> parsed = flags.Parse(argc, argv);
  if (!parsed.ok()) return Fail(parsed.status());
  if (parsed->help || version) {
    std::cout << VersionLine() << '\n';
    if (parsed->help) std::cout << '\n' << flags.Help();
    return 0;
  }
  if (!parsed->positional.empty()) {
    return Fail(InvalidArgument(Reason::kUsage,
                                absl::StrCat("unexpected argument ", parsed->positional[0])));
  }
  if (const absl::Status valid = Validate(options); !valid.ok()) return Fail(valid);
  SetLevel(options.log_level);
  RaiseDescriptorLimit();
  const sigset_t stop_signals = BlockStopSignals();
  const absl::Status status = Run(options, stop_signals);
  return status.ok() ? 0 : Fail(status);
}
