#include "coordinator/service/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/build_info.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/rpc/channel.h"
#include "common/status_macros.h"
#include "common/unix_socket.h"
#include "coordinator/engine/loop/engine_loop.h"
#include "coordinator/engine/page_token.h"
#include "coordinator/service/committer_loop.h"
#include "coordinator/service/data_services.h"
#include "coordinator/service/dispatch.h"
#include "coordinator/service/resource_services.h"
#include "coordinator/service/session_hub.h"
#include "coordinator/service/session_service.h"
#include "coordinator/service/state_sampler.h"
#include "coordinator/storage/catalogue/shard_store.h"
#include "coordinator/storage/checkpoints/checkpoint_store.h"
#include "coordinator/storage/journal/database_journal.h"
#include "coordinator/storage/logs/log_store.h"
#include "coordinator/storage/metrics/metric_store.h"

namespace cvtrain::coordinator {
namespace {

constexpr int kPageTokenKeyBytes = 32;
// Of gRPC's synchronous pool: bulk transfers and reads of stored data.
constexpr int kPollersMax = 8;
// That bulk calls may hold at once; more are refused with RESOURCE_EXHAUSTED.
constexpr int kThreadsMax = 256;

// A key that survives restarts, so that a client that follows a log can go on.
absl::StatusOr<std::string> PageTokenKey(const ServerOptions& options, FileSystem& files,
                                         Random& random) {
  const std::string path = JoinPath(options.state_dir, "page_token_key");
  CVT_ASSIGN_OR_RETURN(const bool exists, Exists(files, path));
  if (exists) return ReadFile(files, path, kPageTokenKeyBytes);
  std::string key;
  for (int i = 0; i < kPageTokenKeyBytes; ++i) key += static_cast<char>(random.NextU64() & 0xFF);
  CVT_RETURN_IF_ERROR(WriteFileAtomic(files, path, key, 0600));
  return key;
}

// Makes sure that nobody listens at a socket: gRPC would take its place silently.
absl::StatusOr<std::unique_ptr<FileLock>> ClaimSocket(const std::string& address,
                                                      FileSystem& files) {
  const std::string path(absl::StripPrefix(address, "unix:"));
  absl::StatusOr<std::unique_ptr<FileLock>> lock = files.LockFile(path + ".lock");
  if (!lock.ok() && !absl::IsFailedPrecondition(lock.status())) {
    return Annotate(lock.status(), "listening at socket", path);
  }
  if (!lock.ok()) {
    return FailedPrecondition(Reason::kSocketBusy,
                              absl::StrCat("socket ", path, " is in use: ", lock.status().message(),
                                           "; stop that process or listen elsewhere"));
  }
  CVT_RETURN_IF_ERROR(UnixListener::Bind(path).status());
  return lock;
}

class RunningServer : public Server {
 public:
  RunningServer(const ServerOptions& options, const Clock& clock)
      : options_(options), clock_(clock) {}

  ~RunningServer() override {
    if (grpc_ != nullptr) {
      // Else the control streams of workers would use up all of the grace.
      loop_->Post([](Engine& engine, const Instant&) { engine.EndSessions(); })
          .IgnoreError();  // too much waits: the grace ends them
      grpc_->Shutdown(DeadlineAfter(options_.stop_grace));
      grpc_->Wait();
    }
  }

  absl::Status Start(FileSystem& files, Random& random, TelemetryRegistry& telemetry,
                     const std::function<void(const absl::Status&)>& on_fatal) {
    if (IsLocalAddress(options_.listen)) {
      CVT_ASSIGN_OR_RETURN(socket_lock_, ClaimSocket(options_.listen, files));
    }
    CVT_RETURN_IF_ERROR(OpenStorage(files, random, telemetry));
    CVT_RETURN_IF_ERROR(StartEngine(telemetry, on_fatal));
    CVT_ASSIGN_OR_RETURN(const std::string key, PageTokenKey(options_, files, random));
    tokens_ = std::make_unique<PageTokens>(key);
    MakeServices(telemetry);
    return Listen(files);
  }

  std::string address() const override { return address_; }
  std::string cluster_id() const override { return database_->cluster_id(); }
  int64_t revision() const override {
    const absl::StatusOr<int64_t> revision = dispatch_->ReadAndWait<int64_t>(
        [](const View& view) -> absl::StatusOr<int64_t> { return view.state().revision(); });
    return revision.value_or(0);  // the engine has died, and the process is about to
  }

 private:
  absl::Status OpenStorage(FileSystem& files, Random& random, TelemetryRegistry& telemetry) {
    CVT_ASSIGN_OR_RETURN(database_,
                         Database::Open({.directory = options_.state_dir,
                                         .space_reserved_bytes = options_.disk_reserve_bytes},
                                        files, clock_, random, telemetry));
    CVT_ASSIGN_OR_RETURN(journal_, DatabaseJournal::Open(*database_));
    CVT_ASSIGN_OR_RETURN(
        checkpoints_,
        CheckpointStore::Open(*database_, {.quota_bytes = options_.checkpoint_quota_bytes}));
    CVT_ASSIGN_OR_RETURN(shards_, ShardStore::Open(*database_));
    metrics_ = std::make_unique<MetricStore>(*database_);
    logs_ = std::make_unique<LogStore>(*database_);
    return absl::OkStatus();
  }

  absl::Status StartEngine(TelemetryRegistry& telemetry,
                           const std::function<void(const absl::Status&)>& on_fatal) {
    Engine::Options engine_options;
    engine_options.orphan_limit = options_.orphan_limit;
    engine_options.program_version = GetBuildInfo().version;
    CVT_ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine,
                         Engine::Recover(*journal_, engine_options,
                                         {.wall = clock_.WallNow(), .steady = clock_.SteadyNow()}));
    CVT_RETURN_IF_ERROR(RemoveGarbage(engine->state()));
    hub_ = std::make_unique<SessionHub>(*checkpoints_, telemetry);
    committer_ = std::make_unique<CommitterLoop>(database_->committer(), on_fatal);
    loop_ = std::make_unique<EngineLoop>(std::move(engine), clock_, *hub_, telemetry,
                                         EngineLoop::Options(), on_fatal);
    sampler_ = std::make_unique<StateSampler>(*loop_, *checkpoints_, telemetry);
    return absl::OkStatus();
  }

  // What a crash left between the bytes and their event.
  absl::Status RemoveGarbage(const ClusterState& state) {
    std::set<Uuid> live;
    for (const auto& [name, record] : state.checkpoints()) live.insert(name.uuid());
    CVT_ASSIGN_OR_RETURN(const int checkpoints, checkpoints_->Collect(live));
    CVT_ASSIGN_OR_RETURN(const std::vector<Uuid> missing, checkpoints_->FindMissing(live));
    for (const Uuid& id : missing) {
      CVT_LOG(kError, "a listed checkpoint has no bytes; trials go on from the one before")
          .Field("checkpoint", CheckpointName(id));
    }
    std::set<std::string> referenced;
    for (const auto& [name, dataset] : state.datasets()) {
      for (const auto& [number, version] : dataset.versions) {
        for (const v1::Shard& shard : version.shards()) referenced.insert(shard.digest());
      }
    }
    CVT_ASSIGN_OR_RETURN(const int shards, shards_->Collect(referenced));
    if (checkpoints + shards > 0) {
      CVT_LOG(kInfo, "removed what was never committed")
          .Field("checkpoints", checkpoints)
          .Field("shards", shards);
    }
    return absl::OkStatus();
  }

  void MakeServices(TelemetryRegistry& telemetry) {
    const BuildInfo& build = GetBuildInfo();
    dispatch_ =
        std::make_unique<Dispatch>(*loop_, telemetry, [this] { return database_->CheckSpace(); });
    services_.push_back(std::make_unique<ExperimentService>(*dispatch_, *tokens_, build.version));
    services_.push_back(std::make_unique<TrialService>(*dispatch_, *tokens_));
    services_.push_back(std::make_unique<QueueService>(*dispatch_, *tokens_));
    services_.push_back(std::make_unique<WorkerService>(*dispatch_, *tokens_));
    services_.push_back(std::make_unique<ClusterService>(
        *dispatch_, ProcessFacts{.cluster_id = database_->cluster_id(),
                                 .start_time = clock_.WallNow(),
                                 .program_version = build.version,
                                 .build_id = build.build_id}));
    services_.push_back(std::make_unique<MetricService>(*dispatch_, *metrics_));
    services_.push_back(std::make_unique<LogService>(*dispatch_, *logs_, *tokens_));
    services_.push_back(std::make_unique<CheckpointService>(*dispatch_, *checkpoints_, *tokens_));
    services_.push_back(std::make_unique<DatasetService>(*dispatch_, *shards_, *tokens_));
    services_.push_back(std::make_unique<SessionService>(
        *dispatch_, *hub_, SessionStores{*metrics_, *logs_, *checkpoints_, *shards_}, telemetry));
  }

  absl::Status Listen(FileSystem& files) {
    CVT_ASSIGN_OR_RETURN(const auto credentials,
                         MakeServerCredentials(options_.listen, options_.tls, files));
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort(options_.listen, credentials, &port);
    builder.SetMaxReceiveMessageSize(static_cast<int>(limits::kMessageSizeBytesMax));
    builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, kPollersMax);
    grpc::ResourceQuota quota("coordinator");
    builder.SetResourceQuota(quota.SetMaxThreads(kThreadsMax));
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, limits::kStreamsPerConnectionMax);
    builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE,
                               static_cast<int>(limits::kMetadataSizeBytesMax));
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5'000);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    for (const auto& service : services_) builder.RegisterService(service.get());
    grpc_ = builder.BuildAndStart();
    if (grpc_ == nullptr || (!IsLocalAddress(options_.listen) && port == 0)) {
      return FailedPrecondition(Reason::kSocketBusy,
                                absl::StrCat("cannot listen at ", options_.listen,
                                             ": the address is in use or is not this machine's"));
    }
    address_ = options_.listen;
    if (!IsLocalAddress(address_)) {
      address_ = absl::StrCat(address_.substr(0, address_.rfind(':')), ":", port);
    }
    return absl::OkStatus();
  }

  // In the order of construction; destroyed in the reverse one.
  const ServerOptions options_;
  const Clock& clock_;
  std::unique_ptr<FileLock> socket_lock_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<DatabaseJournal> journal_;
  std::unique_ptr<CheckpointStore> checkpoints_;
  std::unique_ptr<ShardStore> shards_;
  std::unique_ptr<MetricStore> metrics_;
  std::unique_ptr<LogStore> logs_;
  std::unique_ptr<CommitterLoop> committer_;
  std::unique_ptr<SessionHub> hub_;
  std::unique_ptr<EngineLoop> loop_;
  std::unique_ptr<StateSampler> sampler_;
  std::unique_ptr<PageTokens> tokens_;
  std::unique_ptr<Dispatch> dispatch_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<grpc::Server> grpc_;
  std::string address_;
};

}  // namespace

absl::Status Validate(const ServerOptions& options) {
  std::vector<std::string> problems;
  const absl::Status address = ValidateAddress(options.listen, options.tls);
  if (!address.ok()) problems.push_back(absl::StrCat("--listen: ", address.message()));
  if (!absl::StartsWith(options.state_dir, "/")) {
    problems.push_back(
        absl::StrCat("--state-dir: must be an absolute path, got \"", options.state_dir, "\""));
  }
  if (options.checkpoint_quota_bytes <= 0)
    problems.push_back("--checkpoint-quota: must be positive");
  if (options.disk_reserve_bytes <= 0) problems.push_back("--disk-reserve: must be positive");
  if (options.orphan_limit <= absl::ZeroDuration())
    problems.push_back("--orphan-limit: must be positive");
  if (problems.empty()) return absl::OkStatus();
  return InvalidArgument(Reason::kUsage, absl::StrJoin(problems, "\n"));
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(
    const ServerOptions& options, FileSystem& files, const Clock& clock, Random& random,
    TelemetryRegistry& telemetry, std::function<void(const absl::Status&)> on_fatal) {
  CVT_RETURN_IF_ERROR(Validate(options));
  auto server = std::make_unique<RunningServer>(options, clock);
  CVT_RETURN_IF_ERROR(server->Start(files, random, telemetry, on_fatal));
  return server;
}

}  // namespace cvtrain::coordinator
