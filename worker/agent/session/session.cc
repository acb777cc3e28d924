#include "worker/agent/session/session.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/log.h"

namespace cvtrain::worker {
namespace {

// Revisions come with every answer; a restart may know a slightly older one.
constexpr absl::Duration kSaveInterval = absl::Seconds(10);

absl::Duration ReadDuration(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

// No retry helps against these before somebody changes the worker's options.
bool IsRefusal(const absl::Status& status) {
  return status.code() == absl::StatusCode::kInvalidArgument ||
         status.code() == absl::StatusCode::kPermissionDenied ||
         status.code() == absl::StatusCode::kUnauthenticated ||
         ReasonOf(status) == Reason::kProtocolUnsupported ||
         ReasonOf(status) == Reason::kBuildMismatch ||
         ReasonOf(status) == Reason::kPlanVersionMismatch;
}

}  // namespace

Session::Session(SessionOptions options, std::vector<RecoveredAttempt> recovered, Random& random)
    : options_(std::move(options)),
      backoff_(options_.reconnect_delay_first, options_.reconnect_delay_max, random),
      cluster_id_(options_.cluster_id),
      revision_(options_.revision),
      revision_saved_(options_.revision) {
  for (const RecoveredAttempt& attempt : recovered) {
    attempts_.emplace(attempt.key, Attempt());
    if (!attempt.ended) unended_.push_back(attempt.key);
  }
}

std::vector<SessionOutput> Session::Step(SessionInput input, Now now) {
  Outputs out;
  for (const AttemptKey& key : std::exchange(unended_, {})) {
    Attempt& attempt = attempts_.at(key);
    attempt.end = RankEnded{.key = key,
                            .cause = v1::CAUSE_WORKER_LOST,
                            .message = "the worker restarted while the attempt ran"};
    FinishAttempt(key, attempt, now, out);
  }
  std::visit([&](auto&& value) { Handle(std::move(value), now, out); }, std::move(input));
  // Whatever happened, time has passed too.
  Handle(Tick(), now, out);
  return out;
}

void Session::Handle(StreamOpened, Now now, Outputs& out) {
  if (state_ != State::kOpening) return;
  state_ = State::kGreeting;
  hello_sent_ = now.steady;
  session::v1::ConnectRequest message;
  *message.mutable_hello() = MakeHello();
  out.push_back(SendMessage{std::move(message)});
}

void Session::Handle(StreamClosed input, Now now, Outputs& out) {
  if (state_ == State::kWaiting) return;  // the end of a stream that we closed
  if (IsRefusal(input.status) && !ever_welcomed_ && running_count() == 0) {
    out.push_back(EndProcess{
        .exit_code = 1,
        .message = absl::StrCat("the coordinator refuses this worker: ", input.status.message())});
  }
  BreakSession(now, out);
}

// The stream is gone or to be given up; ranks go on.
void Session::BreakSession(Now now, Outputs& out) {
  if (state_ == State::kActive) ++reconnects_;
  state_ = State::kWaiting;
  state_until_ = now.steady + backoff_.Next();
  lease_.Suspend();
  for (auto& [key, attempt] : attempts_) {
    if (!attempt.kept) continue;
    attempt.kept = false;
    out.push_back(SetPublishing{.key = key, .on = false});
  }
}

void Session::Handle(Received input, Now now, Outputs& out) {
  session::v1::ConnectResponse& message = input.message;
  if (message.has_welcome()) {
    OnWelcome(message.welcome(), now, out);
    return;
  }
  if (state_ != State::kActive) return;  // late, or before its Welcome
  if (message.has_lease_state()) {
    lease_.Confirm(message.lease_state().sequence());
    SeeRevision(message.lease_state().revision(), now, out);
  } else if (message.has_assign()) {
    OnAssign(std::move(*message.mutable_assign()), now, out);
  } else if (message.has_stop()) {
    OnStop(message.stop(), now, out);
  }
}

void Session::OnWelcome(const session::v1::Welcome& welcome, Now now, Outputs& out) {
  if (state_ != State::kGreeting) return;
  const bool protocol_known =
      welcome.protocol() >= kProtocolMin && welcome.protocol() <= kProtocolMax;
  const bool same_cluster = cluster_id_.empty() || welcome.cluster_id() == cluster_id_;
  if (!protocol_known || !same_cluster) {
    CVT_LOG(kError, protocol_known ? "coordinator is of another cluster"
                                   : "coordinator speaks another protocol")
        .Field("cluster", welcome.cluster_id())
        .Field("ours", cluster_id_)
        .Field("protocol", welcome.protocol());
    out.push_back(CloseStream());
    BreakSession(now, out);
    return;
  }
  state_ = State::kActive;
  ever_welcomed_ = true;
  orphaned_ = false;
  backoff_.Reset();
  lease_.Begin({.renew_interval = ReadDuration(welcome.renew_interval()),
                .duration = ReadDuration(welcome.lease_duration()),
                .orphan_limit = ReadDuration(welcome.orphan_limit())},
               hello_sent_);
  if (cluster_id_ != welcome.cluster_id()) {
    cluster_id_ = welcome.cluster_id();
    save_due_ = now.steady;
    revision_saved_ = -1;
  }
  SeeRevision(welcome.revision(), now, out);

  std::set<AttemptKey> keep;
  for (const session::v1::HeldAttempt& held : welcome.keep()) {
    if (auto key = AttemptKey::Parse(held.attempt(), held.lease_generation()); key.ok()) {
      keep.insert(*key);
    }
  }
  for (auto it = attempts_.begin(); it != attempts_.end();) {
    const auto current = it++;
    if (keep.contains(current->first)) {
      current->second.kept = true;
      out.push_back(SetPublishing{.key = current->first, .on = true});
    } else {
      Drop(current, "the coordinator gave it to others while we were away", out);
    }
  }
}

void Session::Handle(StopRequested, Now now, Outputs& out) {
  if (stopping_) return;
  stopping_ = true;
  drain_until_ = now.steady + options_.drain_grace + options_.drain_reports;
  StopRunning(session::v1::StopAttempt::MODE_CHECKPOINT, v1::CAUSE_PREEMPTED,
              now.steady + options_.drain_grace,
              "the worker was stopped before the rank had a checkpoint", out);
}

void Session::Handle(Tick, Now now, Outputs& out) {
  WatchLease(now, out);
  if (state_ == State::kWaiting && now.steady >= state_until_) {
    state_ = State::kOpening;
    state_until_ = now.steady + options_.welcome_timeout;
    out.push_back(OpenStream());
  } else if ((state_ == State::kOpening || state_ == State::kGreeting) &&
             now.steady >= state_until_) {
    out.push_back(CloseStream());
    BreakSession(now, out);
  } else if (state_ == State::kActive && lease_.RenewalDue(now.steady)) {
    session::v1::ConnectRequest message;
    *message.mutable_renew() = MakeRenew(now.steady);
    out.push_back(SendMessage{std::move(message)});
  }
  for (auto& [key, attempt] : attempts_) {
    if (!attempt.running || !attempt.kill_at || now.steady < *attempt.kill_at) continue;
    attempt.kill_at.reset();
    out.push_back(
        KillRanks{.key = key, .cause = attempt.kill_cause, .message = attempt.kill_message});
  }
  SeeRevision(revision_, now, out);
  if (stopping_) EndIfDrained(now, out);
}

void Session::WatchLease(Now now, Outputs& out) {
  const LeaseStanding standing = lease_.StandingAt(now.steady);
  if (state_ == State::kActive &&
      (standing == LeaseStanding::kExpired || standing == LeaseStanding::kOrphaned)) {
    // Generations must be confirmed anew before anything more is published.
    CVT_LOG(kWarning, "lease expired").Field("silent_for", lease_.AgeAt(now.steady));
    out.push_back(CloseStream());
    BreakSession(now, out);
  }
  if (standing == LeaseStanding::kOrphaned && !orphaned_) {
    orphaned_ = true;
    if (running_count() > 0) {
      CVT_LOG(kError, "no word from the coordinator past the orphan limit: stopping ranks")
          .Field("silent_for", lease_.AgeAt(now.steady))
          .Field("attempts", running_count());
    }
    StopRunning(session::v1::StopAttempt::MODE_CHECKPOINT, v1::CAUSE_WORKER_LOST,
                now.steady + options_.drain_grace,
                "no word from the coordinator past the orphan limit", out);
  }
}

void Session::SeeRevision(int64_t revision, Now now, Outputs& out) {
  revision_ = std::max(revision_, revision);
  if (revision_ == revision_saved_ || now.steady < save_due_ || cluster_id_.empty()) return;
  revision_saved_ = revision_;
  save_due_ = now.steady + kSaveInterval;
  out.push_back(SaveIdentity{.cluster_id = cluster_id_, .revision = revision_});
}

void Session::EndIfDrained(Now now, Outputs& out) {
  // Without a session nothing of what is left can arrive: it waits in the spool.
  const bool drained = running_count() == 0 && (attempts_.empty() || state_ != State::kActive);
  if (!drained && now.steady < drain_until_) return;
  drain_until_ = absl::InfiniteDuration();
  stopping_ = false;  // say it once
  out.push_back(EndProcess{.exit_code = 0, .message = "stopped"});
}

absl::Duration Session::NextTick(absl::Duration now) const {
  absl::Duration next = lease_.NextChange(now);
  if (state_ != State::kActive) next = std::min(next, state_until_);
  if (revision_ != revision_saved_ && !cluster_id_.empty()) next = std::min(next, save_due_);
  for (const auto& [key, attempt] : attempts_) {
    if (attempt.running && attempt.kill_at) next = std::min(next, *attempt.kill_at);
  }
  if (stopping_) next = std::min(next, drain_until_);
  return std::max(next, now);
}

session::v1::Hello Session::MakeHello() const {
  session::v1::Hello hello = options_.hello;
  hello.set_protocol_min(kProtocolMin);
  hello.set_protocol_max(kProtocolMax);
  hello.set_cluster_id(cluster_id_);
  hello.set_revision(revision_);
  for (const auto& [key, attempt] : attempts_) {
    session::v1::HeldAttempt& held = *hello.add_held();
    held.set_attempt(key.attempt.ToString());
    held.set_lease_generation(key.generation);
    held.set_running(attempt.running);
    for (auto& slot : *hello.mutable_slots()) {
      for (const auto& [number, rank] : attempt.ranks) {
        if (!rank.ended && rank.slot == slot.index()) slot.set_attempt(key.attempt.ToString());
      }
    }
  }
  return hello;
}

session::v1::Renew Session::MakeRenew(absl::Duration now) {
  session::v1::Renew renew;
  renew.set_sequence(lease_.Renew(now));
  renew.set_revision(revision_);
  renew.set_cache_bytes(cache_bytes_);
  for (const auto& [key, attempt] : attempts_) {
    if (!attempt.running) continue;
    session::v1::AttemptProgress& progress = *renew.add_progress();
    progress.set_attempt(key.attempt.ToString());
    progress.set_lease_generation(key.generation);
    *progress.mutable_progress() = attempt.progress;
  }
  return renew;
}

}  // namespace cvtrain::worker
