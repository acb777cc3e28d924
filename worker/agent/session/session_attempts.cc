// What a Session does with its attempts: begin, report, stop, end.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "worker/agent/session/session.h"

namespace cvtrain::worker {
namespace {

void WriteTime(absl::Time time, google::protobuf::Timestamp& out) {
  const int64_t seconds = absl::ToUnixSeconds(time);
  out.set_seconds(seconds);
  out.set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
}

// Ends after which the trial may simply go on or is done; see trainer.proto.
bool IsGoodEnd(v1::Cause cause) {
  switch (cause) {
    case v1::CAUSE_FINISHED:
    case v1::CAUSE_RESIZED:
    case v1::CAUSE_PAUSED:
    case v1::CAUSE_PRUNED:
    case v1::CAUSE_PREEMPTED:
    case v1::CAUSE_CANCELLED:
      return true;
    default:
      return false;
  }
}

}  // namespace

int Session::running_count() const {
  return static_cast<int>(std::count_if(attempts_.begin(), attempts_.end(),
                                        [](const auto& entry) { return entry.second.running; }));
}

int Session::reporting_count() const {
  return static_cast<int>(attempts_.size()) - running_count();
}

void Session::OnAssign(session::v1::Assign assign, Now now, Outputs& out) {
  const absl::StatusOr<AttemptKey> key =
      AttemptKey::Parse(assign.attempt(), assign.lease_generation());
  if (!key.ok()) {
    CVT_LOG(kError, "assignment of no attempt").Field("status", key.status());
    return;
  }
  if (attempts_.contains(*key)) return;  // said again after a reconnect
  for (auto it = attempts_.begin(); it != attempts_.end();) {
    const auto current = it++;
    if (current->first.attempt != key->attempt) continue;
    if (current->first.generation > key->generation) return;  // overtaken
    Drop(current, "a newer lease generation of it was granted", out);
  }

  const std::string why_not = stopping_ ? "the worker is stopping" : WhyNot(assign);
  Attempt& attempt = attempts_[*key];
  attempt.kept = true;
  out.push_back(SetPublishing{.key = *key, .on = true});
  if (!why_not.empty()) {
    CVT_LOG(kWarning, "assignment refused").Field("attempt", *key).Field("why", why_not);
    attempt.end = RankEnded{.key = *key,
                            .cause = stopping_ ? v1::CAUSE_WORKER_LOST : v1::CAUSE_INTERNAL,
                            .message = why_not};
    FinishAttempt(*key, attempt, now, out);
    return;
  }
  attempt.running = true;
  for (const session::v1::RankAssignment& rank : assign.ranks()) {
    attempt.ranks[rank.rank()] = {.slot = rank.slot(), .ended = false};
  }
  out.push_back(StartRanks{.key = *key, .assign = std::move(assign)});
}

std::string Session::WhyNot(const session::v1::Assign& assign) const {
  if (assign.ranks().empty()) return "the assignment names no rank of this worker";
  std::set<int> slots;
  std::set<int> ranks;
  for (const session::v1::RankAssignment& rank : assign.ranks()) {
    const bool known =
        std::any_of(options_.hello.slots().begin(), options_.hello.slots().end(),
                    [&](const v1::Slot& slot) { return slot.index() == rank.slot(); });
    if (!known) return absl::StrCat("this worker has no slot ", rank.slot());
    if (!slots.insert(rank.slot()).second) return absl::StrCat("two ranks on slot ", rank.slot());
    if (rank.rank() < 0 || rank.rank() >= assign.world_size() ||
        !ranks.insert(rank.rank()).second) {
      return absl::StrCat("rank ", rank.rank(), " of ", assign.world_size());
    }
    for (const auto& [key, attempt] : attempts_) {
      for (const auto& [number, other] : attempt.ranks) {
        if (!other.ended && other.slot == rank.slot()) {
          return absl::StrCat("slot ", rank.slot(), " is taken by ", key.ToString());
        }
      }
    }
  }
  return "";
}

void Session::OnStop(const session::v1::StopAttempt& stop, Now now, Outputs& out) {
  const absl::StatusOr<AttemptKey> key = AttemptKey::Parse(stop.attempt(), stop.lease_generation());
  if (!key.ok()) return;
  const auto it = attempts_.find(*key);
  if (it == attempts_.end() || !it->second.running) return;  // it has ended by itself
  if (stop.mode() == session::v1::StopAttempt::MODE_NOW) {
    it->second.kill_at = now.steady + options_.stop_now_grace;
    it->second.kill_cause = stop.cause();
    it->second.kill_message = "stopped";
  }
  out.push_back(StopRanks{.key = *key, .mode = stop.mode(), .cause = stop.cause()});
}

void Session::StopRunning(session::v1::StopAttempt::Mode mode, v1::Cause cause,
                          absl::Duration kill_at, const std::string& kill_message, Outputs& out) {
  for (auto& [key, attempt] : attempts_) {
    if (!attempt.running) continue;
    out.push_back(StopRanks{.key = key, .mode = mode, .cause = cause});
    attempt.kill_at = std::min(attempt.kill_at.value_or(kill_at), kill_at);
    attempt.kill_cause = v1::CAUSE_WORKER_LOST;
    attempt.kill_message = kill_message;
  }
}

void Session::Handle(RankReported input, Now now, Outputs& out) {
  const auto it = attempts_.find(input.key);
  if (it == attempts_.end() || !it->second.running) return;
  trainer::v1::Report& report = input.report;
  // The lowest rank here speaks for the attempt; all ranks are at the same step.
  if (report.has_progress() && input.rank == it->second.ranks.begin()->first) {
    it->second.progress = std::move(*report.mutable_progress());
    WriteTime(now.wall, *it->second.progress.mutable_update_time());
  }
  if (!report.series().empty()) {
    out.push_back(SpoolSeries{.key = input.key,
                              .series = {std::make_move_iterator(report.mutable_series()->begin()),
                                         std::make_move_iterator(report.mutable_series()->end())}});
  }
  for (session::v1::Fact& fact : *report.mutable_facts()) {
    if (fact.has_ended()) continue;  // the agent's to say
    fact.set_sequence(0);
    if (!fact.has_time()) WriteTime(now.wall, *fact.mutable_time());
    out.push_back(SpoolFact{.key = input.key, .fact = std::move(fact)});
  }
}

void Session::Handle(RankLogged input, Now now, Outputs& out) {
  const auto it = attempts_.find(input.key);
  if (it == attempts_.end() || !it->second.running || input.lines.empty()) return;
  for (v1::LogLine& line : input.lines) {
    line.set_sequence(0);
    line.set_attempt(static_cast<int32_t>(input.key.attempt.number()));
    line.set_rank(input.rank);
    if (!line.has_time()) WriteTime(now.wall, *line.mutable_time());
  }
  out.push_back(SpoolLines{.key = input.key, .lines = std::move(input.lines)});
}

void Session::Handle(RankEnded input, Now now, Outputs& out) {
  const auto it = attempts_.find(input.key);
  if (it == attempts_.end() || !it->second.running) return;
  Attempt& attempt = it->second;
  const auto rank = attempt.ranks.find(input.rank);
  if (rank == attempt.ranks.end() || rank->second.ended) return;
  rank->second.ended = true;
  if (!input.damaged_checkpoint.empty()) attempt.damaged_checkpoint = input.damaged_checkpoint;

  const bool bad = !IsGoodEnd(input.cause);
  const bool first_bad = bad && (!attempt.end || IsGoodEnd(attempt.end->cause));
  // A rank that lost its peer does not know why; the peer may say so later. That it was killed for
  // that is no news.
  const bool names_it = bad && input.cause != v1::CAUSE_WORKER_LOST &&
                        input.cause != v1::CAUSE_INTERNAL && attempt.end &&
                        attempt.end->cause == v1::CAUSE_WORKER_LOST;
  const bool others_run = std::any_of(attempt.ranks.begin(), attempt.ranks.end(),
                                      [](const auto& entry) { return !entry.second.ended; });
  if (first_bad && others_run) {
    out.push_back(KillRanks{.key = input.key,
                            .cause = input.cause,
                            .message = absl::StrCat("rank ", input.rank, " has ended")});
  }
  const bool lower = attempt.end && IsGoodEnd(attempt.end->cause) && input.rank < attempt.end->rank;
  if (!attempt.end || first_bad || names_it || lower) attempt.end = std::move(input);
  if (!others_run) {
    attempt.running = false;
    attempt.kill_at.reset();
    FinishAttempt(it->first, attempt, now, out);
  }
}

// The last fact of an attempt; whoever sends it holds it back until all else is durable.
void Session::FinishAttempt(const AttemptKey& key, Attempt& attempt, Now now, Outputs& out) {
  session::v1::Fact fact;
  WriteTime(now.wall, *fact.mutable_time());
  session::v1::RanksEnded& ended = *fact.mutable_ended();
  ended.set_cause(attempt.end->cause);
  ended.set_message(attempt.end->message);
  ended.set_end_step(attempt.end->end_step);
  ended.set_sample_digest(attempt.end->sample_digest);
  ended.set_damaged_checkpoint(attempt.damaged_checkpoint);
  // The same on all ranks; of the last step that was reported.
  ended.set_flops(attempt.progress.flops());
  out.push_back(SpoolFact{.key = key, .fact = std::move(fact)});
}

void Session::Handle(ReportRefused input, Now, Outputs& out) {
  const auto it = attempts_.find(input.key);
  if (it != attempts_.end()) Drop(it, std::string(input.status.message()), out);
}

void Session::Handle(AttemptSettled input, Now, Outputs&) {
  const auto it = attempts_.find(input.key);
  if (it != attempts_.end() && !it->second.running) attempts_.erase(it);
}

// Ranks that still run are killed; what they say after that is about no attempt of ours.
void Session::Drop(Attempts::iterator it, const std::string& why, Outputs& out) {
  CVT_LOG(kWarning, "attempt dropped").Field("attempt", it->first).Field("why", why);
  if (it->second.running) {
    out.push_back(
        KillRanks{.key = it->first, .cause = v1::CAUSE_WORKER_LOST, .message = "lease lost"});
  }
  out.push_back(DropAttempt{.key = it->first, .why = why});
  attempts_.erase(it);
}

}  // namespace cvtrain::worker
