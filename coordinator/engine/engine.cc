#include "coordinator/engine/engine.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "coordinator/state/canonical_bytes.h"
#include "coordinator/state/conclude.h"
#include "coordinator/state/decide_attempt.h"
#include "coordinator/state/decide_experiment.h"
#include "coordinator/state/decide_worker.h"
#include "coordinator/state/proto_time.h"

namespace cvtrain::coordinator {
namespace {

// Between two plans, for each trial that the last one looked at: some ten times what it took.
constexpr absl::Duration kPlanIntervalPerTrial = absl::Microseconds(4);
// With fewer trials a plan is made whenever one may change something.
constexpr size_t kPlanAtOnceMax = 500;

storage::v1::Caller ToStored(const Caller& caller) {
  storage::v1::Caller stored;
  stored.set_identity(caller.identity);
  stored.set_role(static_cast<storage::v1::Role>(caller.role));
  return stored;
}

storage::v1::Caller Coordinator() {
  storage::v1::Caller caller;
  caller.set_identity("coordinator");
  caller.set_role(storage::v1::ROLE_COORDINATOR);
  return caller;
}

// What callbacks get with an error: there is nothing to see.
void AnswerError(const Command& command, const absl::Status& status, const Instant& now) {
  const ClusterState nothing;
  const LiveState nobody;
  command.done(View(nothing, nobody, now), status);
}

absl::Status StorageFailed(const absl::Status& cause) {
  return Unavailable(
      Reason::kStorageFailed,
      absl::StrCat("the outcome is unknown, repeat with the same request id: ", cause.message()));
}

}  // namespace

Engine::Engine(Journal& journal, const Options& options)
    : journal_(journal), options_(options), leases_(options.leases) {
  live_.scheduling = &scheduling_;
}

absl::StatusOr<std::unique_ptr<Engine>> Engine::Recover(Journal& journal, const Options& options,
                                                        const Instant& now) {
  std::unique_ptr<Engine> engine(new Engine(journal, options));
  CVT_ASSIGN_OR_RETURN(std::optional<JournalSnapshot> stored, journal.LoadSnapshot());
  if (stored) {
    storage::v1::Snapshot snapshot;
    if (!snapshot.ParseFromString(stored->bytes) || snapshot.revision() != stored->revision) {
      return DataLoss(Reason::kJournalDamaged,
                      absl::StrCat("snapshot after ", stored->revision, ": cannot be read"));
    }
    CVT_ASSIGN_OR_RETURN(engine->state_, ClusterState::FromSnapshot(std::move(snapshot)));
    engine->snapshot_revision_ = stored->revision;
  }
  CVT_RETURN_IF_ERROR(
      journal.Replay(engine->state_.revision(), [&](const JournalRecord& record) -> absl::Status {
        storage::v1::Event event;
        if (!event.ParseFromString(record.bytes) || event.revision() != record.revision) {
          return DataLoss(Reason::kJournalDamaged,
                          absl::StrCat("event ", record.revision, ": cannot be read"));
        }
        return engine->state_.Apply(event);
      }));
  engine->durable_revision_ = engine->state_.revision();
  // The bytes of checkpoints that were deleted are found by those who store them: they compare.
  engine->state_.TakeDeletedCheckpoints();
  engine->state_.TakeTouchedAttempts();

  std::vector<WorkerName> workers;
  for (const auto& [name, worker] : engine->state_.workers()) {
    if (!worker.record.lost()) workers.push_back(name);
  }
  engine->leases_.Start(workers, now.steady);
  for (const auto& [name, worker] : engine->state_.workers()) engine->RefreshWorker(name, now);
  return engine;
}

void Engine::Commit(Command command, const Instant& now) {
  if (!fatal_.ok()) return AnswerError(command, StorageFailed(fatal_), now);
  if (waiting_.size() >= options_.pending_max) {
    return AnswerError(
        command,
        LimitExceeded("kEngineQueueLengthMax",
                      absl::StrCat("commands: ", waiting_.size(), " wait already; repeat later")),
        now);
  }
  absl::StatusOr<Answer> answer = Decide(command, now);
  if (!fatal_.ok()) return AnswerError(command, StorageFailed(fatal_), now);
  waiting_.push_back([command = std::move(command), answer = std::move(answer),
                      now](const absl::StatusOr<View>& view) {
    if (!view.ok()) return AnswerError(command, view.status(), now);
    command.done(*view, answer);
  });
}

void Engine::Read(std::function<void(const absl::StatusOr<View>&)> read, const Instant&) {
  if (!fatal_.ok()) return read(StorageFailed(fatal_));
  if (waiting_.size() >= options_.pending_max) {
    return read(
        LimitExceeded("kEngineQueueLengthMax",
                      absl::StrCat("reads: ", waiting_.size(), " wait already; repeat later")));
  }
  waiting_.push_back(std::move(read));
}

void Engine::AccessStore(const session::v1::AccessStoreRequest& request, Rendezvous::Done done,
                         const Instant& now) {
  if (!fatal_.ok()) return done(StorageFailed(fatal_));
  const absl::Status lease =
      CheckLease(state_, {request.worker(), request.attempt(), request.lease_generation()});
  if (!lease.ok()) return done(lease);
  const AttemptName attempt = *AttemptName::Parse(request.attempt());
  sessions_.Confirm(*WorkerName::Parse(request.worker()), attempt, request.lease_generation());
  rendezvous_.Access(attempt, request.operation(), now.steady, std::move(done));
}

absl::StatusOr<Answer> Engine::Decide(Command& command, const Instant& now) {
  const absl::Time time = std::max(now.wall, state_.time());
  if (!command.request_id.empty()) {
    const storage::v1::RequestRecord* known = state_.requests().Find(command.request_id);
    if (known != nullptr && FromTimestamp(known->time()) + limits::kRequestIdKept > time) {
      if (known->fingerprint() != command.fingerprint) {
        return InvalidArgument(Reason::kRequestIdReused,
                               absl::StrCat("request_id: ", command.request_id,
                                            " was used for another request; make a new one"));
      }
      return Answer{known->revision(), known->resource()};
    }
    CVT_RETURN_IF_ERROR(state_.requests().CheckRoom(time));
  }
  CVT_ASSIGN_OR_RETURN(Decided decided, command.decide(state_, time));
  if (decided.event) {
    if (!command.request_id.empty()) {
      storage::v1::RequestKey& key = *decided.event->mutable_request();
      key.set_id(command.request_id);
      key.set_fingerprint(command.fingerprint);
      key.set_resource(decided.resource);
    }
    CVT_RETURN_IF_ERROR(Record(std::move(*decided.event), ToStored(command.caller), time));
  }
  return Answer{state_.revision(), std::move(decided.resource)};
}

absl::Status Engine::Record(storage::v1::Event event, const storage::v1::Caller& caller,
                            absl::Time time) {
  event.set_revision(state_.revision() + 1);
  *event.mutable_time() = ToTimestamp(time);
  *event.mutable_caller() = caller;
  std::string bytes = CanonicalBytes(event);
  if (bytes.size() > limits::kEventSizeBytesMax) {
    return LimitExceeded("kEventSizeBytesMax",
                         absl::StrCat("the change takes ", bytes.size(), " bytes, more than ",
                                      limits::kEventSizeBytesMax));
  }
  if (absl::Status status = state_.Apply(event); !status.ok()) {
    Die(status, Instant{time, absl::ZeroDuration()});
    return status;
  }
  batch_size_bytes_ += bytes.size();
  batch_.push_back({event.revision(), std::move(bytes)});
  placement_due_ = true;
  return absl::OkStatus();
}

void Engine::RecordOwn(const Decision& decision, const Instant& now) {
  if (!decision.ok()) {
    CVT_LOG(kError, "own decision refused").Field("status", decision.status());
    return;
  }
  if (!decision->event) return;
  const absl::Status status =
      Record(*decision->event, Coordinator(), std::max(now.wall, state_.time()));
  if (!status.ok()) CVT_LOG(kError, "own event refused").Field("status", status);
}

bool Engine::WantsFlush() const {
  return batch_.size() >= limits::kGroupCommitEventsMax ||
         batch_size_bytes_ >= limits::kGroupCommitSizeBytesMax;
}

void Engine::AdvanceSearches(const Instant& now) {
  std::vector<ExperimentName> hungry;
  for (const int64_t number : state_.active()) {
    const ClusterState::Experiment& experiment = state_.experiments().at(number);
    if (WantsTrials(experiment)) hungry.push_back(experiment.name);
  }
  for (const ExperimentName& experiment : hungry) {
    RecordOwn(DecideAdvanceSearch(state_, experiment, std::max(now.wall, state_.time())), now);
  }
}

void Engine::SetWorkersAside(const Instant& now) {
  std::vector<WorkerName> failing;
  for (const auto& [name, worker] : state_.workers()) {
    if (!worker.record.failures().empty()) failing.push_back(name);
  }
  for (const WorkerName& worker : failing) {
    RecordOwn(DecideSetAside(state_, worker, std::max(now.wall, state_.time())), now);
  }
}

bool Engine::PlaceWaiting(const Instant& now) {
  if (state_.queue().empty()) return true;
  // A plan for ten thousand trials takes as long as a sync: not one for each batch.
  if (now.steady < next_plan_) return false;
  for (const auto& [name, worker] : state_.workers()) RefreshWorker(name, now);
  const Scheduling::Decisions decisions = scheduling_.Decide(state_, live_, now);
  for (const TrialPlacement& placement : decisions.placements) {
    RecordOwn(DecideAllocate(state_, placement, std::max(now.wall, state_.time())), now);
  }
  for (const Scheduling::Preemption& one : decisions.preemptions) {
    RecordOwn(DecidePreempt(state_, one.attempt, one.by, std::max(now.wall, state_.time())), now);
  }
  if (decisions.considered >= kPlanAtOnceMax) {
    next_plan_ = now.steady + kPlanIntervalPerTrial * static_cast<double>(decisions.considered);
  }
  return true;
}

void Engine::Flush(const Instant& now) {
  if (fatal_.ok() && placement_due_) {
    AdvanceSearches(now);
    SetWorkersAside(now);
    // What was just placed makes nothing else possible.
    placement_due_ = !PlaceWaiting(now);
  }
  if (!fatal_.ok()) return;
  if (!batch_.empty()) {
    if (absl::Status status = journal_.Append(batch_); !status.ok()) return Die(status, now);
    batch_.clear();
    batch_size_bytes_ = 0;
    durable_revision_ = state_.revision();
  }
  Publish(now);
  if (absl::Status status = PutSnapshotIfDue(); !status.ok()) Die(status, now);
}

void Engine::Publish(const Instant& now) {
  // Only those who look see how workers are; with many workers most batches are renewals.
  if (!waiting_.empty()) {
    for (const auto& [name, worker] : state_.workers()) RefreshWorker(name, now);
  }
  for (auto& [session, message] : staged_) {
    if (message.has_welcome()) message.mutable_welcome()->set_revision(durable_revision_);
    if (message.has_lease_state()) message.mutable_lease_state()->set_revision(durable_revision_);
    if (sessions_.WorkerOf(session)) outputs_.messages.push_back({session, std::move(message)});
  }
  staged_.clear();
  TellWorkers();
  for (const CheckpointName& checkpoint : state_.TakeDeletedCheckpoints()) {
    outputs_.deleted_checkpoints.push_back(checkpoint);
  }
  const absl::StatusOr<View> view(View(state_, live_, now));
  for (const Waiting& waiting : std::exchange(waiting_, {})) waiting(view);
}

absl::Status Engine::PutSnapshotIfDue() {
  const int64_t events = durable_revision_ - snapshot_revision_;
  if (events < options_.snapshot_events) return absl::OkStatus();
  size_t trials = 0;
  for (const auto& [number, experiment] : state_.experiments()) trials += experiment.trials.size();
  return events < static_cast<int64_t>(trials) ? absl::OkStatus() : PutSnapshot();
}

absl::Status Engine::PutSnapshot() {
  if (!fatal_.ok()) return fatal_;
  CVT_CHECK(batch_.empty()) << "a snapshot of what is not durable";
  if (state_.revision() == snapshot_revision_) return absl::OkStatus();
  CVT_RETURN_IF_ERROR(
      journal_.PutSnapshot({state_.revision(), CanonicalBytes(state_.ToSnapshot())}));
  snapshot_revision_ = state_.revision();
  return absl::OkStatus();
}

void Engine::Die(absl::Status status, const Instant& now) {
  if (!fatal_.ok()) return;
  fatal_ = std::move(status);
  CVT_LOG(kError, "engine stopped").Field("status", fatal_).Field("time", now.wall);
  outputs_ = {};
  staged_.clear();
  batch_.clear();
  const absl::StatusOr<View> error(StorageFailed(fatal_));
  for (const Waiting& waiting : std::exchange(waiting_, {})) waiting(error);
}

}  // namespace cvtrain::coordinator
