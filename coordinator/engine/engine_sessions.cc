#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "coordinator/engine/assignment.h"
#include "coordinator/engine/engine.h"
#include "coordinator/state/decide_attempt.h"
#include "coordinator/state/decide_worker.h"
#include "coordinator/state/proto_time.h"
#include "coordinator/state/trial_record.h"
#include "plan/recipe/resolve.h"

// The part of the engine that talks with workers.
//
// What a worker should do is a function of the state: hold an assignment for each unfinished part
// that it has, and stop those that have a stop. So after every batch the attempts that changed, and
// those of workers that just said hello, are compared with what their sessions have been told.

namespace cvtrain::coordinator {
namespace {

const session::v1::HeldAttempt* FindHeld(const session::v1::Hello& hello,
                                         const std::string& attempt, int64_t generation) {
  for (const session::v1::HeldAttempt& held : hello.held()) {
    if (held.attempt() == attempt && held.lease_generation() == generation) return &held;
  }
  return nullptr;
}

}  // namespace

absl::Status Engine::CheckHello(const session::v1::Hello& hello) const {
  CVT_RETURN_IF_ERROR(WorkerName::Parse(hello.worker()).status());
  if (hello.instance().empty()) {
    return InvalidArgument(Reason::kFieldInvalid, "hello.instance: must be given");
  }
  if (hello.protocol_min() > options_.protocol_max ||
      hello.protocol_max() < options_.protocol_min) {
    return FailedPrecondition(
        Reason::kProtocolUnsupported,
        absl::StrCat(hello.worker(), ": speaks versions ", hello.protocol_min(), " to ",
                     hello.protocol_max(), " of the session, this coordinator ",
                     options_.protocol_min, " to ", options_.protocol_max,
                     "; upgrade the older one"));
  }
  if (hello.cluster_id().empty() && hello.revision() > 0) {
    return InvalidArgument(Reason::kFieldInvalid,
                           "hello.cluster_id: must be given with a revision");
  }
  if (!hello.cluster_id().empty() && hello.cluster_id() != journal_.cluster_id()) {
    return FailedPrecondition(
        Reason::kWrongState,
        absl::StrCat(hello.worker(), ": belongs to cluster ", hello.cluster_id(), ", this one is ",
                     journal_.cluster_id(), "; give it another state directory"));
  }
  if (hello.plan_version() != plan::kPlanVersion) {
    return FailedPrecondition(
        Reason::kPlanVersionMismatch,
        absl::StrCat(hello.worker(), ": has plan version ", hello.plan_version(),
                     ", this coordinator ", plan::kPlanVersion, "; run the same release"));
  }
  return absl::OkStatus();
}

std::vector<AttemptName> Engine::LostBy(const session::v1::Hello& hello,
                                        const WorkerName& worker) const {
  std::vector<AttemptName> lost;
  for (const AttemptName& name : AttemptsOn(state_, worker)) {
    const storage::v1::AttemptRecord& attempt = **state_.FindAttempt(name);
    if (FindHeld(hello, name.ToString(), attempt.lease_generation()) != nullptr) continue;
    // It may never have heard of the assignment, and then gets it (again). Once its ranks have
    // joined the others they cannot be started anew in the same attempt.
    const bool known = attempt.has_start_time() ||
                       FindPart(attempt, hello.worker())->fact_sequence() > 0 ||
                       sessions_.IsConfirmed(worker, name, attempt.lease_generation());
    const bool other = (*state_.FindWorker(worker))->record.instance() != hello.instance();
    if (known || other) lost.push_back(name);
  }
  return lost;
}

void Engine::OpenSession(SessionId session, const session::v1::Hello& hello, const Instant& now) {
  if (!fatal_.ok()) return;
  if (absl::Status status = CheckHello(hello); !status.ok()) {
    outputs_.closed.push_back({session, std::move(status)});
    return;
  }
  if (hello.revision() > durable_revision_) {
    return Die(DataLoss(Reason::kJournalBehind,
                        absl::StrCat("journal: ends at revision ", durable_revision_, ", but ",
                                     hello.worker(), " has seen ", hello.revision(),
                                     "; acknowledged events are missing")),
               now);
  }
  const WorkerName worker = *WorkerName::Parse(hello.worker());
  const absl::Time time = std::max(now.wall, state_.time());
  const Decision decision = DecideRegisterWorker(state_, hello, LostBy(hello, worker), time);
  absl::Status status = decision.status();
  if (status.ok() && decision->event) {
    storage::v1::Caller caller;
    caller.set_identity(hello.worker());
    caller.set_role(storage::v1::ROLE_WORKER);
    status = Record(*decision->event, caller, time);
  }
  if (!fatal_.ok()) return;
  if (!status.ok()) {
    outputs_.closed.push_back({session, std::move(status)});
    return;
  }
  if (const auto older = sessions_.Open(session, worker)) {
    outputs_.closed.push_back(
        {*older,
         Aborted(Reason::kPeerGone, absl::StrCat(hello.worker(), ": has opened a newer session"))});
  }
  leases_.Renew(worker, now.steady);
  RefreshWorker(worker, now);
  placement_due_ = true;
  Welcome(session, hello, worker);
}

void Engine::Welcome(SessionId session, const session::v1::Hello& hello, const WorkerName& worker) {
  session::v1::ConnectResponse message;
  session::v1::Welcome& welcome = *message.mutable_welcome();
  welcome.set_protocol(std::min(hello.protocol_max(), options_.protocol_max));
  welcome.set_cluster_id(journal_.cluster_id());
  *welcome.mutable_renew_interval() = ToDuration(leases_.renew_interval());
  *welcome.mutable_lease_duration() = ToDuration(leases_.lease_duration());
  *welcome.mutable_orphan_limit() = ToDuration(options_.orphan_limit);
  for (const session::v1::HeldAttempt& held : hello.held()) {
    if (!CheckLease(state_, {hello.worker(), held.attempt(), held.lease_generation()}).ok()) {
      continue;
    }
    *welcome.add_keep() = held;
    const AttemptName attempt = *AttemptName::Parse(held.attempt());
    sessions_.Confirm(worker, attempt, held.lease_generation());
    sessions_.ShouldAssign(session, attempt, held.lease_generation());
  }
  staged_.push_back({session, std::move(message)});
  for (const AttemptName& attempt : AttemptsOn(state_, worker)) touched_.insert(attempt);
}

void Engine::OnMessage(SessionId session, const session::v1::ConnectRequest& message,
                       const Instant& now) {
  const std::optional<WorkerName> worker = sessions_.WorkerOf(session);
  if (!fatal_.ok() || !worker) return;
  if (message.has_renew()) return OnRenew(session, *worker, message.renew(), now);
  sessions_.Close(session);
  RefreshWorker(*worker, now);
  outputs_.closed.push_back(
      {session, InvalidArgument(Reason::kFieldInvalid, "session: only renewals follow a hello")});
}

void Engine::OnRenew(SessionId session, const WorkerName& worker, const session::v1::Renew& renew,
                     const Instant& now) {
  const bool was_ready = leases_.StandingOf(worker, now.steady) == LeaseTable::Standing::kReady;
  leases_.Renew(worker, now.steady);
  if (!was_ready) placement_due_ = true;
  live_.workers[worker].renew_time = now.wall;
  live_.workers[worker].cache_bytes = renew.cache_bytes();
  for (const session::v1::AttemptProgress& progress : renew.progress()) {
    OnProgress(session, worker, progress);
  }
  session::v1::ConnectResponse message;
  message.mutable_lease_state()->set_sequence(renew.sequence());
  staged_.push_back({session, std::move(message)});
}

void Engine::OnProgress(SessionId session, const WorkerName& worker,
                        const session::v1::AttemptProgress& progress) {
  const std::string worker_name = worker.ToString();
  const LeaseClaim claim{worker_name, progress.attempt(), progress.lease_generation()};
  if (const absl::Status lease = CheckLease(state_, claim); !lease.ok()) {
    // It has missed that the attempt is over.
    session::v1::ConnectResponse message;
    session::v1::StopAttempt& stop = *message.mutable_stop();
    stop.set_attempt(progress.attempt());
    stop.set_lease_generation(progress.lease_generation());
    stop.set_mode(session::v1::StopAttempt::MODE_NOW);
    stop.set_cause(v1::CAUSE_WORKER_LOST);
    staged_.push_back({session, std::move(message)});
    return;
  }
  const AttemptName attempt = *AttemptName::Parse(progress.attempt());
  sessions_.Confirm(worker, attempt, progress.lease_generation());
  const storage::v1::AttemptRecord& record = **state_.FindAttempt(attempt);
  // Rank 0 speaks for all.
  if (progress.has_progress() && record.ranks(0).worker() == worker_name) {
    live_.progress[attempt.trial()] = progress.progress();
  }
}

void Engine::CloseSession(SessionId session, const Instant& now) {
  const std::optional<WorkerName> worker = sessions_.WorkerOf(session);
  if (!worker) return;
  sessions_.Close(session);
  RefreshWorker(*worker, now);
}

void Engine::EndSessions() {
  const absl::Status stopping =
      Unavailable(Reason::kStopping, "the coordinator stops; come back in a moment");
  for (const SessionId session : sessions_.All()) {
    sessions_.Close(session);
    outputs_.closed.push_back({session, stopping});
  }
  rendezvous_.DropAll(stopping);
}

void Engine::Tick(const Instant& now) {
  if (!fatal_.ok()) return;
  for (const WorkerName& worker : leases_.Expired(now.steady)) {
    const absl::Duration silent = now.steady - *leases_.RenewedAt(worker);
    CVT_LOG(kWarning, "lease expired").Field("worker", worker).Field("silent_for", silent);
    RecordOwn(
        DecideWorkerLost(state_, worker, "its lease expired", std::max(now.wall, state_.time())),
        now);
    if (!fatal_.ok()) return;
    leases_.Remove(worker);
    if (const auto session = sessions_.SessionOf(worker)) {
      sessions_.Close(*session);
      outputs_.closed.push_back(
          {*session,
           Aborted(Reason::kLeaseLost, absl::StrCat(worker.ToString(), ": its lease expired"))});
    }
  }
  for (const auto& [name, worker] : state_.workers()) RefreshWorker(name, now);
  if (live_.workers.size() > state_.workers().size()) {
    absl::erase_if(live_.workers,
                   [this](const auto& entry) { return !state_.workers().contains(entry.first); });
  }
  rendezvous_.Tick(now.steady);
  scheduling_.NotePredictions(state_, live_, now);
  // The wait of a trial between attempts may be over, or one that runs may now be stopped.
  placement_due_ = placement_due_ || !state_.queue().empty();
}

void Engine::RefreshWorker(const WorkerName& worker, const Instant& now) {
  LiveState::WorkerLive& live = live_.workers[worker];
  live.connected = sessions_.SessionOf(worker).has_value();
  const std::optional<absl::Duration> renewed = leases_.RenewedAt(worker);
  if (renewed) live.renew_time = now.wall - (now.steady - *renewed);
  switch (leases_.StandingOf(worker, now.steady)) {
    case LeaseTable::Standing::kReady:
      live.state = v1::Worker::STATE_READY;
      break;
    case LeaseTable::Standing::kSuspect:
      live.state = v1::Worker::STATE_SUSPECT;
      break;
    case LeaseTable::Standing::kExpired:
      live.state = v1::Worker::STATE_LOST;
      break;
  }
}

void Engine::TellWorkers() {
  for (const AttemptName& attempt : state_.TakeTouchedAttempts()) touched_.insert(attempt);
  for (const AttemptName& name : std::exchange(touched_, {})) {
    const absl::StatusOr<const storage::v1::AttemptRecord*> attempt = state_.FindAttempt(name);
    if (!attempt.ok()) continue;
    if (HasEnded(**attempt)) {
      rendezvous_.Drop(name);
      sessions_.Drop(name);
      live_.progress.erase(name.trial());
      continue;
    }
    for (const storage::v1::AttemptPart& part : (*attempt)->parts()) {
      if (!part.ended()) TellWorker(name, **attempt, part.worker());
    }
  }
}

void Engine::TellWorker(const AttemptName& name, const storage::v1::AttemptRecord& attempt,
                        const std::string& worker_name) {
  const WorkerName worker = *WorkerName::Parse(worker_name);
  const std::optional<SessionId> session = sessions_.SessionOf(worker);
  if (!session) return;
  if (sessions_.ShouldAssign(*session, name, attempt.lease_generation())) {
    absl::StatusOr<session::v1::Assign> assign = MakeAssign(state_, name, worker);
    if (!assign.ok()) {
      CVT_LOG(kError, "assignment failed").Field("attempt", name).Field("status", assign.status());
      return;
    }
    session::v1::ConnectResponse message;
    *message.mutable_assign() = *std::move(assign);
    outputs_.messages.push_back({*session, std::move(message)});
  }
  if (attempt.has_stop() && sessions_.ShouldStop(*session, name, attempt.stop())) {
    session::v1::ConnectResponse message;
    *message.mutable_stop() = MakeStop(name, attempt);
    outputs_.messages.push_back({*session, std::move(message)});
  }
}

}  // namespace cvtrain::coordinator
