#include "tests/integration/worker_agent/fake_coordinator.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/block_digest.h"
#include "common/crc32c.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/rpc/status.h"
#include "common/sha256.h"
#include "cvtrain/session/v1/session.grpc.pb.h"

namespace cvtrain::testing {

using session::v1::ConnectRequest;
using session::v1::ConnectResponse;
using Stream = grpc::ServerReaderWriter<ConnectResponse, ConnectRequest>;

struct FakeCoordinator::State {
  struct StoredCheckpoint {
    session::v1::UploadCheckpointHeader header;
    std::string bytes;
  };

  absl::Mutex mu;
  Stream* stream ABSL_GUARDED_BY(mu) = nullptr;  // of the worker, welcomed
  std::vector<session::v1::Assign> assigns ABSL_GUARDED_BY(mu);
  std::map<std::string, session::v1::StopAttempt> stops ABSL_GUARDED_BY(mu);
  std::set<std::string> fenced ABSL_GUARDED_BY(mu);
  std::map<std::string, AttemptLog> logs ABSL_GUARDED_BY(mu);
  std::map<std::string, int64_t> streams ABSL_GUARDED_BY(mu);  // last sequence of each
  std::vector<session::v1::Hello> hellos ABSL_GUARDED_BY(mu);
  std::map<std::string, StoredCheckpoint> checkpoints ABSL_GUARDED_BY(mu);
  std::string newest ABSL_GUARDED_BY(mu);
  std::map<std::string, std::string> shards ABSL_GUARDED_BY(mu);  // by digest
  bool damage_shard ABSL_GUARDED_BY(mu) = false;
  bool checkpoints_are_damaged ABSL_GUARDED_BY(mu) = false;
  int64_t shard_fetches ABSL_GUARDED_BY(mu) = 0;
  int64_t checkpoint_downloads ABSL_GUARDED_BY(mu) = 0;
  std::map<std::string, int64_t> counters ABSL_GUARDED_BY(mu);  // of the rendezvous store

  // Whether reports of the attempt are taken.
  absl::Status Check(const std::string& attempt) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    const auto log = logs.find(attempt);
    if (fenced.contains(attempt) || (log != logs.end() && log->second.ended() != nullptr)) {
      return Aborted(Reason::kLeaseLost, "lease lost");
    }
    return absl::OkStatus();
  }

  // True for a batch that has not come before.
  bool IsNew(const std::string& name, int64_t sequence) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    int64_t& last = streams[name];
    if (sequence <= last) return false;
    EXPECT_EQ(sequence, last + 1) << "batches are dense";
    last = sequence;
    return true;
  }

  void SendAssign(const session::v1::Assign& assign) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    ConnectResponse message;
    *message.mutable_assign() = assign;
    if (stream != nullptr) stream->Write(message);
  }
};

class FakeCoordinator::Service final : public session::v1::SessionService::Service {
 public:
  explicit Service(State& state) : state_(state) {}

  grpc::Status Connect(grpc::ServerContext*, Stream* stream) override {
    ConnectRequest message;
    if (!stream->Read(&message) || !message.has_hello()) return grpc::Status::CANCELLED;
    Welcome(message.hello(), stream);
    while (stream->Read(&message)) {
      absl::MutexLock lock(&state_.mu);
      ConnectResponse answer;
      answer.mutable_lease_state()->set_sequence(message.renew().sequence());
      answer.mutable_lease_state()->set_revision(7);
      stream->Write(answer);
    }
    absl::MutexLock lock(&state_.mu);
    if (state_.stream == stream) state_.stream = nullptr;
    return grpc::Status::OK;
  }

  grpc::Status ReportFacts(grpc::ServerContext*, const session::v1::ReportFactsRequest* request,
                           session::v1::ReportFactsResponse* response) override {
    absl::MutexLock lock(&state_.mu);
    if (auto held = state_.Check(request->attempt()); !held.ok()) return ToGrpcStatus(held);
    AttemptLog& log = state_.logs[request->attempt()];
    for (const session::v1::Fact& fact : request->facts()) {
      if (fact.sequence() <= static_cast<int64_t>(log.facts.size())) continue;
      EXPECT_EQ(fact.sequence(), static_cast<int64_t>(log.facts.size()) + 1);
      log.facts.push_back(fact);
      if (!fact.has_ended()) continue;
      log.steps_at_end = log.steps.size();
      log.checkpoints_at_end = log.checkpoints.size();
      std::erase_if(state_.assigns, [&](const session::v1::Assign& assign) {
        return assign.attempt() == request->attempt();
      });
    }
    response->set_durable_sequence(request->facts(request->facts_size() - 1).sequence());
    return grpc::Status::OK;
  }

  grpc::Status ReportMetrics(grpc::ServerContext*, const session::v1::ReportMetricsRequest* request,
                             session::v1::ReportMetricsResponse* response) override {
    absl::MutexLock lock(&state_.mu);
    if (auto held = state_.Check(request->attempt()); !held.ok()) return ToGrpcStatus(held);
    response->set_durable_sequence(request->sequence());
    if (!state_.IsNew("metrics " + request->stream(), request->sequence())) return grpc::Status::OK;
    AttemptLog& log = state_.logs[request->attempt()];
    for (const v1::MetricSeries& series : request->series()) {
      log.steps.insert(log.steps.end(), series.steps().begin(), series.steps().end());
    }
    return grpc::Status::OK;
  }

  grpc::Status ReportLogs(grpc::ServerContext*, const session::v1::ReportLogsRequest* request,
                          session::v1::ReportLogsResponse* response) override {
    absl::MutexLock lock(&state_.mu);
    if (auto held = state_.Check(request->attempt()); !held.ok()) return ToGrpcStatus(held);
    response->set_durable_sequence(request->sequence());
    if (!state_.IsNew("logs " + request->stream(), request->sequence())) return grpc::Status::OK;
    for (const v1::LogLine& line : request->lines()) {
      state_.logs[request->attempt()].lines.push_back(line.text());
    }
    return grpc::Status::OK;
  }

  grpc::Status UploadCheckpoint(grpc::ServerContext*,
                                grpc::ServerReader<session::v1::UploadCheckpointRequest>* reader,
                                session::v1::UploadCheckpointResponse*) override {
    session::v1::UploadCheckpointRequest message;
    if (!reader->Read(&message)) return grpc::Status::CANCELLED;
    // As one that runs in another container.
    if (message.header().has_shared()) {
      return ToGrpcStatus(FailedPrecondition(Reason::kWrongState, "send chunks"));
    }
    State::StoredCheckpoint stored = {.header = message.header(), .bytes = ""};
    while (reader->Read(&message)) {
      EXPECT_EQ(Crc32c(message.chunk().data()), message.chunk().crc32c());
      stored.bytes += message.chunk().data();
    }
    if (BlockDigestHex(stored.bytes) != stored.header.digest()) {
      return ToGrpcStatus(DataLoss(Reason::kCheckpointBad, "not its digest"));
    }
    absl::MutexLock lock(&state_.mu);
    const std::string attempt = stored.header.attempt();
    if (auto held = state_.Check(attempt); !held.ok()) return ToGrpcStatus(held);
    const std::string name = "checkpoints/" + stored.header.checkpoint();
    if (state_.checkpoints.contains(name)) return grpc::Status::OK;
    AttemptLog& log = state_.logs[attempt];
    EXPECT_TRUE(!log.steps.empty() && log.steps.back() >= stored.header.step())
        << "a checkpoint of step " << stored.header.step() << " before its reports";
    log.checkpoints.push_back(stored.header.step());
    state_.checkpoints[name] = std::move(stored);
    state_.newest = name;
    return grpc::Status::OK;
  }

  grpc::Status DownloadCheckpoint(
      grpc::ServerContext*, const session::v1::DownloadCheckpointRequest* request,
      grpc::ServerWriter<session::v1::DownloadCheckpointResponse>* writer) override {
    std::string bytes;
    {
      absl::MutexLock lock(&state_.mu);
      ++state_.checkpoint_downloads;
      if (state_.checkpoints_are_damaged) {
        return ToGrpcStatus(DataLoss(Reason::kCheckpointBad, "its bytes are wrong"));
      }
      bytes = state_.checkpoints[request->checkpoint()].bytes;
    }
    for (size_t at = static_cast<size_t>(request->offset()); at < bytes.size();
         at += limits::kChunkSizeBytes) {
      session::v1::DownloadCheckpointResponse response;
      response.mutable_chunk()->set_data(bytes.substr(at, limits::kChunkSizeBytes));
      response.mutable_chunk()->set_crc32c(Crc32c(response.chunk().data()));
      writer->Write(response);
    }
    return grpc::Status::OK;
  }

  grpc::Status FetchShard(grpc::ServerContext*, const session::v1::FetchShardRequest* request,
                          grpc::ServerWriter<session::v1::FetchShardResponse>* writer) override {
    session::v1::FetchShardResponse response;
    {
      absl::MutexLock lock(&state_.mu);
      ++state_.shard_fetches;
      if (!state_.shards.contains(request->digest())) {
        return ToGrpcStatus(NotFound(Reason::kShardNotFound, "it is not here"));
      }
      std::string content = state_.shards[request->digest()];
      if (std::exchange(state_.damage_shard, false)) content[0] ^= 1;
      response.set_data(content.substr(static_cast<size_t>(request->offset()),
                                       static_cast<size_t>(request->length())));
    }
    response.set_crc32c(Crc32c(response.data()));
    writer->Write(response);
    return grpc::Status::OK;
  }

  grpc::Status AccessStore(grpc::ServerContext*, const session::v1::AccessStoreRequest* request,
                           session::v1::AccessStoreResponse* response) override {
    absl::MutexLock lock(&state_.mu);
    int64_t& counter = state_.counters[request->attempt() + request->operation().key()];
    counter += request->operation().amount();
    response->mutable_result()->set_amount(counter);
    return grpc::Status::OK;
  }

 private:
  void Welcome(const session::v1::Hello& hello, Stream* stream) {
    absl::MutexLock lock(&state_.mu);
    ConnectResponse message;
    session::v1::Welcome& welcome = *message.mutable_welcome();
    welcome.set_protocol(2);
    welcome.set_cluster_id("test-cluster");
    welcome.set_revision(7);
    welcome.mutable_renew_interval()->set_nanos(200'000'000);
    welcome.mutable_lease_duration()->set_seconds(10);
    welcome.mutable_orphan_limit()->set_seconds(600);
    std::set<std::string> held;
    for (const session::v1::HeldAttempt& one : hello.held()) {
      held.insert(one.attempt());
      if (state_.Check(one.attempt()).ok()) *welcome.add_keep() = one;
    }
    stream->Write(message);
    state_.stream = stream;
    state_.hellos.push_back(hello);
    for (const session::v1::Assign& assign : state_.assigns) {
      if (!held.contains(assign.attempt())) state_.SendAssign(assign);
    }
  }

  State& state_;
};

struct FakeCoordinator::Server {
  explicit Server(State& state) : service(state) {}
  Service service;
  std::unique_ptr<grpc::Server> server;
};

FakeCoordinator::FakeCoordinator(std::string socket_path)
    : socket_path_(std::move(socket_path)), state_(std::make_unique<State>()) {}

FakeCoordinator::~FakeCoordinator() { Stop(); }

void FakeCoordinator::Start() {
  server_ = std::make_unique<Server>(*state_);
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + socket_path_, grpc::InsecureServerCredentials());
  builder.RegisterService(&server_->service);
  server_->server = builder.BuildAndStart();
  ASSERT_NE(server_->server, nullptr);
}

void FakeCoordinator::Stop() {
  if (!server_) return;
  server_->server->Shutdown(std::chrono::system_clock::now());
  server_->server->Wait();
  server_.reset();
}

void FakeCoordinator::Assign(const session::v1::Assign& assign) {
  absl::MutexLock lock(&state_->mu);
  state_->assigns.push_back(assign);
  state_->SendAssign(assign);
}

void FakeCoordinator::StopAttempt(const std::string& attempt, session::v1::StopAttempt::Mode mode,
                                  v1::Cause cause) {
  absl::MutexLock lock(&state_->mu);
  ConnectResponse message;
  message.mutable_stop()->set_attempt(attempt);
  message.mutable_stop()->set_lease_generation(1);
  message.mutable_stop()->set_mode(mode);
  message.mutable_stop()->set_cause(cause);
  if (state_->stream != nullptr) state_->stream->Write(message);
}

void FakeCoordinator::Fence(const std::string& attempt) {
  absl::MutexLock lock(&state_->mu);
  state_->fenced.insert(attempt);
}

void FakeCoordinator::AddShard(const std::string& content) {
  absl::MutexLock lock(&state_->mu);
  state_->shards[Sha256Hex(content)] = content;
}

void FakeCoordinator::DamageNextShard() {
  absl::MutexLock lock(&state_->mu);
  state_->damage_shard = true;
}

void FakeCoordinator::DamageCheckpoints() {
  absl::MutexLock lock(&state_->mu);
  state_->checkpoints_are_damaged = true;
}

bool FakeCoordinator::WaitFor(const std::string& attempt,
                              const std::function<bool(const AttemptLog&)>& done,
                              absl::Duration timeout) {
  const auto condition = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(state_->mu) {
    return done(state_->logs[attempt]);
  };
  absl::MutexLock lock(&state_->mu);
  return state_->mu.AwaitWithTimeout(absl::Condition(&condition), timeout);
}

bool FakeCoordinator::WaitForHellos(int64_t count, absl::Duration timeout) {
  const auto condition = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(state_->mu) {
    return static_cast<int64_t>(state_->hellos.size()) >= count;
  };
  absl::MutexLock lock(&state_->mu);
  return state_->mu.AwaitWithTimeout(absl::Condition(&condition), timeout);
}

AttemptLog FakeCoordinator::Log(const std::string& attempt) {
  absl::MutexLock lock(&state_->mu);
  return state_->logs[attempt];
}

std::vector<session::v1::Hello> FakeCoordinator::hellos() {
  absl::MutexLock lock(&state_->mu);
  return state_->hellos;
}

session::v1::ResumePoint FakeCoordinator::NewestCheckpoint() {
  absl::MutexLock lock(&state_->mu);
  session::v1::ResumePoint resume;
  resume.set_checkpoint(state_->newest);
  const State::StoredCheckpoint& stored = state_->checkpoints[state_->newest];
  resume.set_digest(stored.header.digest());
  resume.set_size_bytes(stored.header.size_bytes());
  resume.set_step(stored.header.step());
  return resume;
}

int64_t FakeCoordinator::shard_fetches() {
  absl::MutexLock lock(&state_->mu);
  return state_->shard_fetches;
}

int64_t FakeCoordinator::checkpoint_downloads() {
  absl::MutexLock lock(&state_->mu);
  return state_->checkpoint_downloads;
}

}  // namespace cvtrain::testing
