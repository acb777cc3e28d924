#ifndef CVTRAIN_TESTS_UNIT_COORDINATOR_STATE_STATE_DRIVER_H_
#define CVTRAIN_TESTS_UNIT_COORDINATOR_STATE_STATE_DRIVER_H_

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "coordinator/state/cluster_state.h"
#include "coordinator/state/decide_attempt.h"
#include "coordinator/state/decide_checkpoint.h"
#include "coordinator/state/decide_dataset.h"
#include "coordinator/state/decide_experiment.h"
#include "coordinator/state/decide_worker.h"
#include "coordinator/state/proto_time.h"
#include "coordinator/state/trial_record.h"
#include "tests/support/proto_matchers.h"

namespace cvtrain::coordinator {

// A valid specification of a synthetic experiment; `more` is text format of ExperimentSpec.
inline v1::ExperimentSpec SyntheticSpec(const std::string& name, const std::string& more = "") {
  return cvtrain::testing::ParseTextProto<v1::ExperimentSpec>(
      absl::StrCat("api: 'cvtrain/v1' kind: 'Experiment' name: '", name,
                   "' recipe { task: TASK_SYNTHETIC synthetic { steps: 100 } "
                   "checkpoint { every { steps: 10 } keep_best: 1 keep_last: 1 } } ",
                   more));
}

// One that begins with the weights of `checkpoint`.
inline v1::ExperimentSpec SpecFrom(const std::string& name, const std::string& checkpoint) {
  v1::ExperimentSpec spec = SyntheticSpec(name);
  spec.mutable_recipe()->mutable_init_from()->set_checkpoint(checkpoint);
  return spec;
}

// A sweep over `count` points.
inline std::string LinearSearch(int count, int max_parallel, int patience = 0) {
  return absl::StrCat(
      "search { linear { parameter: 'recipe.synthetic.final_metric' start: 1 stop: ", count,
      " step: 1 patience: ", patience,
      " } objective { metric: 'val/top1' mode: MODE_MAX } max_parallel_trials: ", max_parallel,
      " }");
}

// A state that tests drive by decisions, as the engine does, without a journal.
class StateDriver {
 public:
  absl::Time now = absl::FromUnixSeconds(1'714'521'600);
  ClusterState state;
  std::vector<storage::v1::Event> events;

  // Applies what was decided. Returns its error, or the answer's resource.
  absl::StatusOr<std::string> Commit(const Decision& decision) {
    if (!decision.ok()) return decision.status();
    if (decision->event) {
      storage::v1::Event event = *decision->event;
      event.set_revision(state.revision() + 1);
      *event.mutable_time() = ToTimestamp(now);
      event.mutable_caller()->set_identity("tester");
      CVT_CHECK_OK(state.Apply(event));
      events.push_back(std::move(event));
    }
    return decision->resource;
  }

  absl::StatusOr<std::string> Create(const v1::ExperimentSpec& spec) {
    v1::CreateExperimentRequest request;
    *request.mutable_spec() = spec;
    return Commit(DecideCreateExperiment(state, request, "1.0", now));
  }

  session::v1::Hello Hello(const std::string& worker, int slots,
                           const std::string& instance = "first") const {
    session::v1::Hello hello;
    hello.set_worker("workers/" + worker);
    hello.set_instance(instance);
    for (int i = 0; i < slots; ++i) {
      hello.add_slots()->set_index(i);
      hello.mutable_slots(i)->set_kind(v1::Slot::KIND_CPU);
    }
    return hello;
  }

  void Register(const std::string& worker, int slots) {
    CVT_CHECK_OK(Commit(DecideRegisterWorker(state, Hello(worker, slots), {}, now)).status());
  }

  absl::StatusOr<std::string> Lose(const std::string& worker) {
    return Commit(DecideWorkerLost(state, WorkerName(worker), "its lease expired", now));
  }

  // Gives `slots` ("w1:0", worker and index) to a trial. Returns the name of its attempt.
  absl::StatusOr<std::string> Allocate(int64_t experiment, int64_t trial,
                                       const std::vector<std::pair<std::string, int>>& slots) {
    TrialPlacement placement{TrialName(ExperimentName(experiment), trial), {}};
    for (const auto& [worker, slot] : slots) {
      placement.ranks.push_back({WorkerName(worker), slot});
    }
    return Commit(DecideAllocate(state, placement, now));
  }

  absl::StatusOr<std::string> Preempt(int64_t experiment, int64_t trial) {
    const storage::v1::TrialRecord& record = Trial(experiment, trial).record;
    const AttemptName attempt = NameOf(record, *record.attempts().rbegin());
    return Commit(DecidePreempt(state, attempt, attempt.trial(), now));
  }
  absl::StatusOr<std::string> Cordon(const std::string& worker, bool drain = false) {
    v1::CordonWorkerRequest request;
    request.set_name("workers/" + worker);
    request.set_drain(drain);
    request.set_reason("new disks");
    return Commit(DecideCordonWorker(state, request, now));
  }
  absl::StatusOr<std::string> Remove(const std::string& worker) {
    v1::RemoveWorkerRequest request;
    request.set_name("workers/" + worker);
    return Commit(DecideRemoveWorker(state, request, now));
  }
  absl::StatusOr<std::string> Hold(int64_t experiment) {
    v1::HoldExperimentRequest request;
    request.set_name(ExperimentName(experiment).ToString());
    return Commit(DecideHoldExperiment(state, request, now));
  }

  // A report of `worker` about the open (or last) attempt of a trial, with the next sequence.
  session::v1::ReportFactsRequest Report(const ClusterState::Trial& trial,
                                         const std::string& worker) const {
    const storage::v1::AttemptRecord& attempt = *trial.record.attempts().rbegin();
    session::v1::ReportFactsRequest request;
    request.set_worker("workers/" + worker);
    request.set_attempt(NameOf(trial.record, attempt).ToString());
    request.set_lease_generation(attempt.lease_generation());
    return request;
  }

  // Adds a fact in text format ("ended { cause: CAUSE_FINISHED }") with the next sequence.
  void Add(session::v1::ReportFactsRequest& request, const std::string& fact) const {
    const auto attempt = state.FindAttempt(*AttemptName::Parse(request.attempt()));
    const storage::v1::AttemptPart* part = FindPart(**attempt, request.worker());
    const int64_t next = (part == nullptr ? 0 : part->fact_sequence()) + request.facts_size() + 1;
    *request.add_facts() = cvtrain::testing::ParseTextProto<session::v1::Fact>(
        absl::StrCat(fact, " sequence: ", next, " time { seconds: 1714521601 }"));
  }

  absl::StatusOr<std::string> Facts(int64_t experiment, int64_t trial, const std::string& worker,
                                    const std::vector<std::string>& facts) {
    session::v1::ReportFactsRequest request = Report(Trial(experiment, trial), worker);
    for (const std::string& fact : facts) Add(request, fact);
    return Commit(DecideFacts(state, request, now));
  }

  // Reports that the trial began at `step`.
  void Start(int64_t experiment, int64_t trial, const std::string& worker, int64_t step = 0) {
    CVT_CHECK_OK(
        Facts(experiment, trial, worker, {absl::StrCat("started { start_step: ", step, " }")})
            .status());
  }

  void Evaluate(int64_t experiment, int64_t trial, const std::string& worker, int64_t step,
                double top1) {
    CVT_CHECK_OK(Facts(experiment, trial, worker,
                       {absl::StrCat("evaluation { step: ", step,
                                     " metrics { key: 'val/top1' value: ", top1, " } }")})
                     .status());
  }

  // Ends the part of `worker` with a cause such as "FINISHED".
  void End(int64_t experiment, int64_t trial, const std::string& worker, const std::string& cause,
           const std::string& message = "") {
    CVT_CHECK_OK(Facts(experiment, trial, worker,
                       {absl::StrCat("ended { cause: CAUSE_", cause, " message: '", message,
                                     "' end_step: 7 }")})
                     .status());
  }

  // Runs a trial on slot 0 of `worker` to its end.
  void Run(int64_t experiment, int64_t trial, const std::string& worker, double top1,
           const std::string& cause = "FINISHED") {
    CVT_CHECK_OK(Allocate(experiment, trial, {{worker, 0}}).status());
    Start(experiment, trial, worker);
    Evaluate(experiment, trial, worker, 100, top1);
    End(experiment, trial, worker, cause);
  }

  // The n-th checkpoint of the open attempt; its UUID is made of `n`.
  session::v1::UploadCheckpointHeader Header(int64_t experiment, int64_t trial,
                                             const std::string& worker, int n, int64_t step) const {
    const session::v1::ReportFactsRequest report = Report(Trial(experiment, trial), worker);
    session::v1::UploadCheckpointHeader header;
    header.set_worker(report.worker());
    header.set_attempt(report.attempt());
    header.set_lease_generation(report.lease_generation());
    header.set_checkpoint(Checkpoint(n));
    header.set_step(step);
    header.set_size_bytes(1000);
    header.set_digest(std::string(64, 'a'));
    return header;
  }
  static std::string Checkpoint(int n) {
    const std::string digits = absl::StrCat(n);
    return absl::StrCat("00000000-0000-4000-8000-", std::string(12 - digits.size(), '0'), digits);
  }
  absl::StatusOr<std::string> Save(int64_t experiment, int64_t trial, const std::string& worker,
                                   int n, int64_t step) {
    return Commit(DecideCommitCheckpoint(state, Header(experiment, trial, worker, n, step), now));
  }

  // Weights of others; their UUID is made of `n`.
  static v1::ImportCheckpointHeader ImportHeader(int n) {
    v1::ImportCheckpointHeader header;
    header.set_request_id(Checkpoint(n));
    header.set_label("resnet18.safetensors");
    header.set_size_bytes(2000);
    header.set_digest(std::string(64, 'b'));
    return header;
  }
  absl::StatusOr<std::string> Import(int n) {
    return Commit(DecideImportCheckpoint(state, ImportHeader(n), now));
  }
  absl::StatusOr<std::string> Delete(int n) {
    v1::DeleteCheckpointRequest request;
    request.set_name("checkpoints/" + Checkpoint(n));
    return Commit(DecideDeleteCheckpoint(state, request, now));
  }

  absl::StatusOr<std::string> CancelTrial(int64_t experiment, int64_t trial, bool at_once = false) {
    v1::CancelTrialRequest request;
    request.set_name(TrialName(ExperimentName(experiment), trial).ToString());
    request.set_now(at_once);
    return Commit(DecideCancelTrial(state, request, now));
  }
  absl::StatusOr<std::string> CancelExperiment(int64_t experiment, bool at_once = false) {
    v1::CancelExperimentRequest request;
    request.set_name(ExperimentName(experiment).ToString());
    request.set_now(at_once);
    return Commit(DecideCancelExperiment(state, request, now));
  }

  const ClusterState::Experiment& Experiment(int64_t number) const {
    return state.experiments().at(number);
  }
  const ClusterState::Trial& Trial(int64_t experiment, int64_t trial) const {
    return Experiment(experiment).trials.at(trial);
  }
  v1::Trial::State StateOf(int64_t experiment, int64_t trial) const {
    return Trial(experiment, trial).record.state();
  }
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_TESTS_UNIT_COORDINATOR_STATE_STATE_DRIVER_H_
