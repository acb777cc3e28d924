#include "tests/crash/kill_actors.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/block_digest.h"
#include "common/crc32c.h"
#include "common/errors.h"
#include "common/ids.h"
#include "common/limits.h"
#include "common/rpc/status.h"
#include "common/uuid.h"
#include "cvtrain/session/v1/session.grpc.pb.h"
#include "cvtrain/v1/experiment.grpc.pb.h"
#include "grpcpp/grpcpp.h"
#include "plan/recipe/resolve.h"

namespace cvtrain {
namespace {

namespace session_v1 = session::v1;

constexpr char kWorker[] = "workers/fake";
constexpr int kSlots = 4;
constexpr int64_t kPointsPerBatch = 40;
constexpr int64_t kStepsOfATrial = 400;
// Experiments that may wait for the worker. A coordinator takes 10,000 that are active, and refuses
// the next one; a submitter that never waits has sent those after 500 kills.
constexpr size_t kExperimentsWaitingMax = 1'000;

void SetDeadline(grpc::ClientContext& context, absl::Duration timeout) {
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(timeout));
}

// The coordinator was killed, or is about to say so: what was asked has no known outcome.
bool IsGone(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsCancelled(status);
}

v1::ExperimentSpec MakeSpec(const std::string& label) {
  v1::ExperimentSpec spec;
  spec.set_api("cvtrain/v1");
  spec.set_kind("Experiment");
  spec.set_name(label);
  spec.set_project("kill");
  v1::Recipe& recipe = *spec.mutable_recipe();
  recipe.set_task(v1::Recipe::TASK_SYNTHETIC);
  recipe.mutable_synthetic()->set_steps(kStepsOfATrial);
  recipe.mutable_checkpoint()->mutable_every()->set_steps(100);
  recipe.mutable_checkpoint()->set_keep_best(0);
  recipe.mutable_checkpoint()->set_keep_last(100);
  return spec;
}

}  // namespace

// --- Submitting ---------------------------------------------------------------

void RunSubmitter(const std::shared_ptr<grpc::Channel>& channel, KillOracle& oracle, Random& random,
                  const StopToken& stop) {
  const auto stub = v1::ExperimentService::NewStub(channel);
  while (!stop.stop_requested()) {
    if (oracle.WaitingExperiments() >= kExperimentsWaitingMax) {
      WaitForStop(stop, absl::Milliseconds(10));
      continue;
    }
    SubmittedExperiment* experiment = nullptr;
    oracle.Note([&] {
      if (oracle.experiments.empty() || !oracle.experiments.back().name.empty()) {
        oracle.experiments.push_back({Uuid::Random(random).ToString(),
                                      absl::StrCat("kill-", oracle.experiments.size()), ""});
      }
      experiment = &oracle.experiments.back();
    });
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(10));
    v1::CreateExperimentRequest request;
    request.set_request_id(experiment->request_id);
    *request.mutable_spec() = MakeSpec(experiment->label);
    v1::CreateExperimentResponse response;
    const absl::Status status =
        FromGrpcStatus(stub->CreateExperiment(&context, request, &response));
    if (IsGone(status)) {
      return;
    }
    if (!status.ok()) {
      oracle.Broken(Violation::Kind::kOther,
                    absl::StrCat("submitting ", experiment->label, ": ", status.ToString()));
      return;
    }
    oracle.Acknowledge(
        absl::StrCat("experiment ", experiment->label, " ", response.experiment().name()),
        [&] { experiment->name = response.experiment().name(); });
    WaitForStop(stop, absl::Milliseconds(10));
  }
}

// --- The worker ---------------------------------------------------------------

// One attempt: what comes next is `next`; a request is made once and repeated as it is.
struct FakeWorker::Work {
  enum Item { kStart, kPoints, kLines, kCheckpoint, kEnd };

  std::string trial;
  std::string attempt;
  int64_t lease_generation = 0;
  int64_t start_step = 0;
  std::deque<Item> items = {kStart, kPoints,     kLines,  kCheckpoint, kPoints,
                            kLines, kCheckpoint, kPoints, kLines,      kEnd};
  int64_t facts = 0;
  int64_t metrics_sequence = 0;
  int64_t logs_sequence = 0;
  std::optional<SentCheckpoint> checkpoint;
};

// The control stream, and the calls beside it.
class FakeWorker::Session {
 public:
  Session(FakeWorker& worker, const std::shared_ptr<grpc::Channel>& channel)
      : worker_(worker), stub_(session_v1::SessionService::NewStub(channel)) {
    SetDeadline(context_, absl::Seconds(60));
    stream_ = stub_->Connect(&context_);
  }
  ~Session() {
    context_.TryCancel();
    reader_.reset();  // joins
    stream_->Finish();
  }

  // Says hello; returns false if the coordinator is gone.
  bool Begin() {
    session_v1::ConnectRequest request;
    session_v1::Hello& hello = *request.mutable_hello();
    hello.set_protocol_min(2);
    hello.set_protocol_max(2);
    hello.set_worker(kWorker);
    hello.set_instance(worker_.instance_);
    hello.set_hostname("localhost");
    hello.set_cluster_id(worker_.cluster_id_);
    hello.set_plan_version(plan::kPlanVersion);
    hello.set_revision(worker_.oracle_.revision);
    for (int slot = 0; slot < kSlots; ++slot) {
      v1::Slot& added = *hello.add_slots();
      added.set_index(slot);
      added.set_kind(v1::Slot::KIND_CPU);
      added.set_memory_bytes(int64_t{1} << 30);
      added.set_threads(1);
    }
    for (const auto& [attempt, work] : worker_.work_) {
      session_v1::HeldAttempt& held = *hello.add_held();
      held.set_attempt(attempt);
      held.set_lease_generation(work->lease_generation);
      held.set_running(true);
    }
    session_v1::ConnectResponse response;
    if (!stream_->Write(request) || !stream_->Read(&response)) {
      return false;
    }
    TakeWelcome(response.welcome());
    reader_ = std::make_unique<Thread>("reader", [this](StopToken) {
      session_v1::ConnectResponse message;
      while (stream_->Read(&message)) {
        absl::MutexLock lock(&mu_);
        received_.push_back(message);
      }
    });
    return true;
  }

  // Takes up new attempts and sends a renewal.
  void Turn() {
    std::deque<session_v1::ConnectResponse> received;
    {
      absl::MutexLock lock(&mu_);
      received.swap(received_);
    }
    for (const session_v1::ConnectResponse& message : received) {
      if (message.has_assign()) {
        TakeAssign(message.assign());
      } else if (message.has_stop()) {
        Drop(message.stop().attempt(), "stop");
      }
    }
    session_v1::ConnectRequest request;
    request.mutable_renew()->set_sequence(++renewals_);
    stream_->Write(request);
  }

  // Does the next item of one attempt; the outcome.
  absl::Status Do(Work& work);

  // The coordinator says, by `how`, that the lease is over.
  void Drop(const std::string& attempt, absl::string_view how) {
    const auto found = worker_.work_.find(attempt);
    if (found != worker_.work_.end()) {
      worker_.oracle_.Dropped(found->second->trial, how);
      worker_.work_.erase(found);
    }
  }

 private:
  void TakeWelcome(const session_v1::Welcome& welcome) {
    worker_.cluster_id_ = welcome.cluster_id();
    std::set<std::string> keep;
    for (const session_v1::HeldAttempt& held : welcome.keep()) {
      keep.insert(held.attempt());
    }
    std::vector<std::string> dropped;
    for (const auto& [attempt, work] : worker_.work_) {
      if (!keep.contains(attempt)) {
        dropped.push_back(attempt);
      }
    }
    for (const std::string& attempt : dropped) {
      Drop(attempt, "not kept by a welcome");
    }
  }

  void TakeAssign(const session_v1::Assign& assign) {
    if (worker_.work_.contains(assign.attempt())) {
      return;  // said again after a reconnect
    }
    auto work = std::make_unique<Work>();
    work->attempt = assign.attempt();
    work->trial = AttemptName::Parse(assign.attempt())->trial().ToString();
    work->lease_generation = assign.lease_generation();
    worker_.oracle_.Assigned(work->trial, work->attempt);
    worker_.work_[assign.attempt()] = std::move(work);
  }

  template <typename Request>
  static void Claim(const Work& work, Request& request) {
    request.set_worker(kWorker);
    request.set_attempt(work.attempt);
    request.set_lease_generation(work.lease_generation);
  }

  absl::Status ReportFact(Work& work, bool end);
  absl::Status ReportPoints(Work& work);
  absl::Status ReportLines(Work& work);
  absl::Status UploadCheckpoint(Work& work);

  FakeWorker& worker_;
  std::unique_ptr<session_v1::SessionService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<session_v1::ConnectRequest, session_v1::ConnectResponse>>
      stream_;
  int64_t renewals_ = 0;
  absl::Mutex mu_;
  std::deque<session_v1::ConnectResponse> received_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<Thread> reader_;
};

absl::Status FakeWorker::Session::ReportFact(Work& work, bool end) {
  session_v1::ReportFactsRequest request;
  Claim(work, request);
  session_v1::Fact& fact = *request.add_facts();
  fact.set_sequence(work.facts + 1);
  if (end) {
    fact.mutable_ended()->set_cause(v1::CAUSE_FINISHED);
    fact.mutable_ended()->set_end_step(kStepsOfATrial);
    worker_.oracle_.Note([&] { worker_.oracle_.trials[work.trial].end_sent = true; });
  } else {
    fact.mutable_started()->set_start_step(0);
  }
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(10));
  session_v1::ReportFactsResponse response;
  const absl::Status status = FromGrpcStatus(stub_->ReportFacts(&context, request, &response));
  if (status.ok()) {
    ++work.facts;
    worker_.oracle_.Acknowledge(absl::StrCat(end ? "end " : "start ", work.trial), [&] {
      worker_.oracle_.trials[work.trial].end_acknowledged = end;
      worker_.oracle_.revision = std::max(worker_.oracle_.revision, response.revision());
    });
  }
  return status;
}

absl::Status FakeWorker::Session::ReportPoints(Work& work) {
  session_v1::ReportMetricsRequest request;
  Claim(work, request);
  request.set_stream(worker_.stream_);
  request.set_sequence(work.metrics_sequence + 1);
  v1::MetricSeries& series = *request.add_series();
  series.set_metric("loss");
  SentTrial& trial = worker_.oracle_.trials[work.trial];
  const int64_t end = trial.points_acknowledged + kPointsPerBatch;
  for (int64_t step = trial.points_acknowledged; step < end; ++step) {
    series.add_steps(step);
    series.add_values(static_cast<double>(step) / 2);
  }
  worker_.oracle_.Note([&] { trial.points_sent = end; });
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(10));
  session_v1::ReportMetricsResponse response;
  const absl::Status status = FromGrpcStatus(stub_->ReportMetrics(&context, request, &response));
  if (status.ok()) {
    ++work.metrics_sequence;
    worker_.oracle_.Acknowledge(absl::StrCat("points ", work.trial, " ", end),
                                [&] { trial.points_acknowledged = end; });
  }
  return status;
}

absl::Status FakeWorker::Session::ReportLines(Work& work) {
  session_v1::ReportLogsRequest request;
  Claim(work, request);
  request.set_stream(worker_.stream_);
  request.set_sequence(work.logs_sequence + 1);
  SentTrial& trial = worker_.oracle_.trials[work.trial];
  v1::LogLine& line = *request.add_lines();
  line.set_text(absl::StrCat("line ", trial.lines_acknowledged));
  line.set_level(v1::LOG_LEVEL_INFO);
  line.set_attempt(static_cast<int32_t>(AttemptName::Parse(work.attempt)->number()));
  worker_.oracle_.Note([&] { trial.lines_sent = trial.lines_acknowledged + 1; });
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(10));
  session_v1::ReportLogsResponse response;
  const absl::Status status = FromGrpcStatus(stub_->ReportLogs(&context, request, &response));
  if (status.ok()) {
    ++work.logs_sequence;
    worker_.oracle_.Acknowledge(absl::StrCat("line ", work.trial, " ", trial.lines_sent),
                                [&] { trial.lines_acknowledged = trial.lines_sent; });
  }
  return status;
}

absl::Status FakeWorker::Session::UploadCheckpoint(Work& work) {
  if (!work.checkpoint) {
    SentCheckpoint made;
    made.uuid = Uuid::Random(worker_.random_).ToString();
    // One in eight may have several chunks. More would only slow all starts down: each reads a
    // chunk of every checkpoint.
    const uint64_t size_max =
        worker_.random_.NextU64() % 8 == 0 ? 2 * limits::kChunkSizeBytes : uint64_t{32} << 10;
    made.bytes.resize(1000 + worker_.random_.NextU64() % size_max);
    for (size_t i = 0; i < made.bytes.size(); i += 97) {
      made.bytes[i] = static_cast<char>(worker_.random_.NextU64());
    }
    made.digest = BlockDigestHex(made.bytes);
    work.checkpoint = std::move(made);
  }
  const SentCheckpoint& checkpoint = *work.checkpoint;
  worker_.oracle_.Note(
      [&] { worker_.oracle_.trials[work.trial].checkpoints_sent.insert(checkpoint.uuid); });
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(20));
  session_v1::UploadCheckpointResponse response;
  const auto writer = stub_->UploadCheckpoint(&context, &response);
  session_v1::UploadCheckpointRequest message;
  Claim(work, *message.mutable_header());
  message.mutable_header()->set_checkpoint(checkpoint.uuid);
  message.mutable_header()->set_step(worker_.oracle_.trials[work.trial].points_acknowledged);
  message.mutable_header()->set_size_bytes(static_cast<int64_t>(checkpoint.bytes.size()));
  message.mutable_header()->set_digest(checkpoint.digest);
  bool open = writer->Write(message);
  for (size_t at = 0; open && at < checkpoint.bytes.size(); at += limits::kChunkSizeBytes) {
    const std::string chunk = checkpoint.bytes.substr(at, limits::kChunkSizeBytes);
    message.mutable_chunk()->set_data(chunk);
    message.mutable_chunk()->set_crc32c(Crc32c(chunk));
    open = writer->Write(message);
  }
  writer->WritesDone();
  const absl::Status status = FromGrpcStatus(writer->Finish());
  if (status.ok()) {
    worker_.oracle_.Acknowledge(absl::StrCat("checkpoint ", checkpoint.uuid), [&] {
      worker_.oracle_.trials[work.trial].checkpoints_acknowledged[checkpoint.uuid] =
          checkpoint.digest;
      worker_.oracle_.revision = std::max(worker_.oracle_.revision, response.revision());
    });
    work.checkpoint.reset();
  }
  return status;
}

absl::Status FakeWorker::Session::Do(Work& work) {
  switch (work.items.front()) {
    case Work::kStart:
      return ReportFact(work, /*end=*/false);
    case Work::kPoints:
      return ReportPoints(work);
    case Work::kLines:
      return ReportLines(work);
    case Work::kCheckpoint:
      return UploadCheckpoint(work);
    case Work::kEnd:
      return ReportFact(work, /*end=*/true);
  }
  return absl::OkStatus();
}

FakeWorker::FakeWorker(KillOracle& oracle, Random& random)
    : oracle_(oracle),
      random_(random),
      instance_(Uuid::Random(random).ToString()),
      stream_(Uuid::Random(random).ToString()) {}

FakeWorker::~FakeWorker() = default;

void FakeWorker::Run(const std::shared_ptr<grpc::Channel>& channel, const StopToken& stop) {
  Session session(*this, channel);
  if (!session.Begin()) {
    return;
  }
  while (!stop.stop_requested()) {
    session.Turn();
    if (work_.empty()) {
      WaitForStop(stop, absl::Milliseconds(5));
    }
    std::vector<std::string> attempts;
    for (const auto& [attempt, work] : work_) {
      attempts.push_back(attempt);
    }
    for (const std::string& attempt : attempts) {
      Work& work = *work_[attempt];
      const absl::Status status = session.Do(work);
      if (IsGone(status)) {
        return;
      }
      if (absl::IsAborted(status)) {
        session.Drop(attempt, status.ToString());
      } else if (!status.ok()) {
        oracle_.Broken(Violation::Kind::kOther,
                       absl::StrCat("reporting of ", attempt, ": ", status.ToString()));
        return;
      } else {
        work.items.pop_front();
        if (work.items.empty()) {
          work_.erase(attempt);
        }
      }
    }
  }
}

}  // namespace cvtrain
