#ifndef CVTRAIN_TESTS_UNIT_COORDINATOR_ENGINE_FAKE_CLUSTER_H_
#define CVTRAIN_TESTS_UNIT_COORDINATOR_ENGINE_FAKE_CLUSTER_H_

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "coordinator/engine/engine.h"
#include "coordinator/engine/in_memory_journal.h"
#include "coordinator/engine/views.h"
#include "coordinator/state/decide_attempt.h"
#include "coordinator/state/decide_experiment.h"
#include "plan/recipe/resolve.h"
#include "tests/support/fake_clock.h"
#include "tests/unit/coordinator/state/state_driver.h"

namespace cvtrain::coordinator {

// The first attempt that a cluster starts.
inline constexpr char kAttempt1[] = "experiments/1/trials/1/attempts/1";

// A worker as the engine sees it: what it holds, what it has reported, its session.
struct FakeWorker {
  struct Held {
    session::v1::Assign assign;
    std::optional<session::v1::StopAttempt> stop;
    int64_t sequence = 0;  // of its last fact
  };

  std::string name;  // "workers/w1"
  int slots = 1;
  std::string instance = "first";
  SessionId session = 0;  // 0: not connected
  int64_t revision = 0;
  int64_t renewals = 0;
  std::map<std::string, Held> held;  // by attempt
  std::vector<session::v1::ConnectResponse> received;
};

// One engine on a journal in memory, a clock that stands still, and workers that do what a test
// says. Not thread-safe.
class FakeCluster {
 public:
  explicit FakeCluster(Engine::Options options = {}) : options_(std::move(options)) { Start(); }

  InMemoryJournal journal;
  cvtrain::testing::FakeClock clock;
  std::unique_ptr<Engine> engine;
  std::map<std::string, FakeWorker> workers;  // by label
  std::map<SessionId, absl::Status> closed;
  std::vector<CheckpointName> deleted_checkpoints;

  Instant Now() const { return {clock.WallNow(), clock.SteadyNow()}; }

  // --- The coordinator ---

  void Start() {
    journal.Restart();
    absl::StatusOr<std::unique_ptr<Engine>> recovered = Engine::Recover(journal, options_, Now());
    CVT_CHECK_OK(recovered.status());
    engine = *std::move(recovered);
  }
  // Whatever was not flushed is lost, as are all sessions.
  void Crash() {
    engine.reset();
    for (auto& [label, worker] : workers) worker.session = 0;
    Start();
  }

  // Flushes, and delivers what comes of it.
  void Turn() {
    engine->Flush(Now());
    Engine::Outputs outputs = engine->TakeOutputs();
    for (auto& [session, message] : outputs.messages) {
      if (FakeWorker* worker = OfSession(session)) Receive(*worker, message);
    }
    for (auto& [session, status] : outputs.closed) {
      if (FakeWorker* worker = OfSession(session)) worker->session = 0;
      closed[session] = status;
    }
    for (const CheckpointName& name : outputs.deleted_checkpoints) {
      deleted_checkpoints.push_back(name);
    }
  }

  // Lets time pass in steps of a second; connected workers renew in each.
  void Advance(absl::Duration duration) {
    for (absl::Duration passed; passed < duration; passed += absl::Seconds(1)) {
      clock.Advance(absl::Seconds(1));
      for (auto& [label, worker] : workers) Renew(worker);
      engine->Tick(Now());
      Turn();
    }
  }

  // --- Users ---

  // Decides now; answers in the next Turn().
  std::shared_ptr<std::optional<absl::StatusOr<Answer>>> Post(
      const std::string& request_id, const std::string& fingerprint,
      std::function<Decision(const ClusterState&, absl::Time)> decide) {
    auto answer = std::make_shared<std::optional<absl::StatusOr<Answer>>>();
    Command command;
    command.caller = {"tester", Role::kAdmin};
    command.request_id = request_id;
    command.fingerprint = fingerprint;
    command.decide = std::move(decide);
    command.done = [this, answer](const View& view, const absl::StatusOr<Answer>& result) {
      EXPECT_FALSE(answer->has_value()) << "answered twice";
      if (result.ok()) {
        EXPECT_LE(result->revision, journal.last_revision()) << "answered before durable";
        EXPECT_EQ(view.state().revision(), journal.last_revision());
      }
      *answer = result;
    };
    engine->Commit(std::move(command), Now());
    return answer;
  }

  std::shared_ptr<std::optional<absl::StatusOr<Answer>>> PostSpec(const v1::ExperimentSpec& spec,
                                                                  const std::string& request_id) {
    v1::CreateExperimentRequest request;
    *request.mutable_spec() = spec;
    request.set_request_id(request_id);
    return Post(request_id, Fingerprint("CreateExperiment", {"tester", Role::kAdmin}, request),
                [request](const ClusterState& state, absl::Time now) {
                  return DecideCreateExperiment(state, request, "1.0", now);
                });
  }

  absl::StatusOr<Answer> Submit(const v1::ExperimentSpec& spec,
                                const std::string& request_id = "") {
    auto answer = PostSpec(spec, request_id);
    Turn();
    return **answer;
  }

  absl::StatusOr<Answer> CancelTrial(const std::string& name, bool at_once = false) {
    v1::CancelTrialRequest request;
    request.set_name(name);
    request.set_now(at_once);
    auto answer = Post("", "", [request](const ClusterState& state, absl::Time now) {
      return DecideCancelTrial(state, request, now);
    });
    Turn();
    return **answer;
  }

  // Runs `read` on the durable state.
  template <typename Read>
  auto Look(Read read) {
    using Result = decltype(read(std::declval<const View&>()));
    std::optional<Result> result;
    engine->Read([&](const absl::StatusOr<View>& view) { result = read(*view); }, Now());
    Turn();
    return *std::move(result);
  }

  // --- Workers ---

  FakeWorker& AddWorker(const std::string& label, int slots) {
    FakeWorker& worker = workers[label];
    worker.name = "workers/" + label;
    worker.slots = slots;
    Connect(worker);
    return worker;
  }

  session::v1::Hello MakeHello(const FakeWorker& worker) const {
    session::v1::Hello hello;
    hello.set_protocol_min(2);
    hello.set_protocol_max(2);
    hello.set_worker(worker.name);
    hello.set_instance(worker.instance);
    hello.set_plan_version(plan::kPlanVersion);
    hello.set_revision(worker.revision);
    if (worker.revision > 0) hello.set_cluster_id(journal.cluster_id());
    for (int i = 0; i < worker.slots; ++i) {
      hello.add_slots()->set_index(i);
      hello.mutable_slots(i)->set_kind(v1::Slot::KIND_CPU);
    }
    for (const auto& [attempt, held] : worker.held) {
      session::v1::HeldAttempt& entry = *hello.add_held();
      entry.set_attempt(attempt);
      entry.set_lease_generation(held.assign.lease_generation());
      entry.set_running(true);
    }
    return hello;
  }

  void Connect(FakeWorker& worker) {
    worker.session = ++next_session_;
    worker.received.clear();
    engine->OpenSession(worker.session, MakeHello(worker), Now());
    if (engine->fatal().ok()) Turn();
  }
  void Disconnect(FakeWorker& worker) {
    engine->CloseSession(worker.session, Now());
    worker.session = 0;
  }
  // Loses its ranks and what it knows of them, then connects again.
  void Restart(FakeWorker& worker) {
    Disconnect(worker);
    worker.held.clear();
    Connect(worker);
  }

  void Renew(FakeWorker& worker) {
    if (worker.session == 0) return;
    session::v1::ConnectRequest message;
    session::v1::Renew& renew = *message.mutable_renew();
    renew.set_sequence(++worker.renewals);
    for (const auto& [attempt, held] : worker.held) {
      session::v1::AttemptProgress& progress = *renew.add_progress();
      progress.set_attempt(attempt);
      progress.set_lease_generation(held.assign.lease_generation());
      progress.mutable_progress()->set_step(worker.renewals);
    }
    engine->OnMessage(worker.session, message, Now());
  }

  // Reports facts in text format, with the next sequences; an `ended` one frees the worker's hold.
  absl::StatusOr<Answer> Report(FakeWorker& worker, const std::string& attempt,
                                const std::vector<std::string>& facts) {
    FakeWorker::Held& held = worker.held.at(attempt);
    session::v1::ReportFactsRequest request;
    request.set_worker(worker.name);
    request.set_attempt(attempt);
    request.set_lease_generation(held.assign.lease_generation());
    for (const std::string& fact : facts) {
      *request.add_facts() = cvtrain::testing::ParseTextProto<session::v1::Fact>(
          absl::StrCat(fact, " sequence: ", ++held.sequence, " time { seconds: 1714521601 }"));
    }
    return Send(worker, request);
  }
  absl::StatusOr<Answer> Send(FakeWorker& worker, const session::v1::ReportFactsRequest& request) {
    auto answer = Post("", "", [request](const ClusterState& state, absl::Time now) {
      return DecideFacts(state, request, now);
    });
    Turn();
    const absl::StatusOr<Answer> result = **answer;
    const bool ended = request.facts().rbegin()->has_ended();
    if (result.status().code() == absl::StatusCode::kAborted || (result.ok() && ended)) {
      worker.held.erase(request.attempt());
    }
    return result;
  }
  absl::StatusOr<Answer> Begin(FakeWorker& worker, const std::string& attempt) {
    const int64_t step = worker.held.at(attempt).assign.resume().step();
    return Report(worker, attempt, {absl::StrCat("started { start_step: ", step, " }")});
  }
  absl::StatusOr<Answer> End(FakeWorker& worker, const std::string& attempt,
                             const std::string& cause) {
    return Report(worker, attempt, {absl::StrCat("ended { cause: CAUSE_", cause, " }")});
  }
  absl::StatusOr<Answer> Save(FakeWorker& worker, const std::string& attempt, int n, int64_t step) {
    session::v1::UploadCheckpointHeader header;
    header.set_worker(worker.name);
    header.set_attempt(attempt);
    header.set_lease_generation(worker.held.at(attempt).assign.lease_generation());
    header.set_checkpoint(StateDriver::Checkpoint(n));
    header.set_step(step);
    header.set_size_bytes(10);
    header.set_digest(std::string(64, 'a'));
    auto answer = Post("", "", [header](const ClusterState& state, absl::Time now) {
      return DecideCommitCheckpoint(state, header, now);
    });
    Turn();
    return **answer;
  }

  const ClusterState::Trial& Trial(int64_t experiment, int64_t trial) const {
    return engine->state().experiments().at(experiment).trials.at(trial);
  }
  v1::Trial::State StateOf(int64_t experiment, int64_t trial) const {
    return Trial(experiment, trial).record.state();
  }

 private:
  FakeWorker* OfSession(SessionId session) {
    for (auto& [label, worker] : workers) {
      if (worker.session == session) return &worker;
    }
    return nullptr;
  }

  void Receive(FakeWorker& worker, const session::v1::ConnectResponse& message) {
    worker.received.push_back(message);
    if (message.has_welcome()) {
      worker.revision = std::max(worker.revision, message.welcome().revision());
      std::map<std::string, FakeWorker::Held> kept;
      for (const session::v1::HeldAttempt& keep : message.welcome().keep()) {
        kept[keep.attempt()] = worker.held.at(keep.attempt());
      }
      worker.held = std::move(kept);
    }
    if (message.has_lease_state()) {
      worker.revision = std::max(worker.revision, message.lease_state().revision());
    }
    if (message.has_assign()) {
      const session::v1::Assign& assign = message.assign();
      FakeWorker::Held& held = worker.held[assign.attempt()];
      if (held.assign.lease_generation() != assign.lease_generation()) held = {assign, {}, 0};
    }
    if (message.has_stop()) {
      const auto held = worker.held.find(message.stop().attempt());
      if (held != worker.held.end() &&
          held->second.assign.lease_generation() == message.stop().lease_generation()) {
        held->second.stop = message.stop();
      }
    }
  }

  const Engine::Options options_;
  SessionId next_session_ = 0;
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_TESTS_UNIT_COORDINATOR_ENGINE_FAKE_CLUSTER_H_
