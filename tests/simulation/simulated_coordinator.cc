#include "tests/simulation/simulated_coordinator.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "coordinator/state/decide_attempt.h"
#include "coordinator/state/trial_record.h"

namespace cvtrain::simulation {
namespace {

using coordinator::Answer;
using coordinator::Caller;
using coordinator::ClusterState;
using coordinator::Command;
using coordinator::Engine;
using coordinator::Instant;
using coordinator::View;

// The wall clock at virtual time 0, and a steady time that is not zero: code that confuses them is
// seen.
constexpr absl::Time kStart = absl::FromUnixSeconds(1'714'521'600);
constexpr absl::Duration kSteadyStart = absl::Seconds(1'000);
// Revisions between two looks at the whole state.
constexpr int64_t kEventsPerCheck = 1'500;

// Makes a report be about whatever attempt of its trial is open, as if there were no generations.
// Returns its first part; null if none is open.
template <typename Report>
const storage::v1::AttemptPart* Confuse(const ClusterState& state, Report& report) {
  const auto trial = state.FindTrial(AttemptName::Parse(report.attempt())->trial());
  const storage::v1::AttemptRecord* open =
      trial.ok() ? coordinator::OpenAttempt((*trial)->record) : nullptr;
  if (open == nullptr) return nullptr;
  report.set_attempt(coordinator::NameOf((*trial)->record, *open).ToString());
  report.set_lease_generation(open->lease_generation());
  report.set_worker(open->parts(0).worker());
  return &open->parts(0);
}

Caller WorkerCaller(const std::string& worker) { return {worker, coordinator::Role::kWorker}; }

}  // namespace

SimulatedCoordinator::SimulatedCoordinator(Context& context, Checker& checker)
    : context_(context), checker_(checker), disk_(context) {
  drift_ = context.scenario.drift_max * (2 * context.random.Uniform01() - 1);
}

Instant SimulatedCoordinator::Now() const {
  const absl::Duration passed =
      ToDuration(context_.now() + static_cast<Nanos>(drift_ * static_cast<double>(context_.now())));
  return {kStart + passed + wall_step_, kSteadyStart + passed};
}

absl::Duration SimulatedCoordinator::lease_duration() const {
  return ToDuration(context_.scenario.renew_interval) * 10;
}

// --- Its life -------------------------------------------------------------------

void SimulatedCoordinator::Start() {
  if (up() || !context_.violations.empty()) return;
  ++starts_;
  const Instant now = Now();
  started_ = now.steady;
  frozen_ = now.steady;
  absl::StatusOr<std::unique_ptr<SimulatedJournal>> journal =
      SimulatedJournal::Open(context_, disk_);
  absl::Status status = journal.status();
  std::unique_ptr<Engine> engine;
  if (status.ok()) {
    Engine::Options options;
    options.leases.renew_interval_min = ToDuration(context_.scenario.renew_interval);
    options.snapshot_events = context_.scenario.snapshot_events;
    options.program_version = "simulated";
    absl::StatusOr<std::unique_ptr<Engine>> recovered = Engine::Recover(**journal, options, now);
    status = recovered.status();
    if (status.ok()) engine = *std::move(recovered);
  }
  context_.trace.Add(static_cast<uint64_t>(status.code()));
  if (!status.ok()) {
    if (!disk_.damaged()) {
      context_.Broken("D1", absl::StrCat("a good journal is refused: ", status.message()));
      return;
    }
    context_.Reached(ReasonOf(status) == Reason::kJournalBehind ? Probe::kBehindRefused
                                                                : Probe::kDamageRefused);
    disk_.Restore();  // a person did
    context_.queue.After(context_.Between(kSecond, kMinute), [this] { Start(); });
    return;
  }
  if (disk_.damaged()) {
    context_.Broken(context_.scenario.bug == Bug::kHeadNotChecked ? "D6" : "D5",
                    "a coordinator serves from a damaged journal");
    return;
  }
  journal_ = *std::move(journal);
  engine_ = std::move(engine);
  context_.Reached(Probe::kRecovered);
  if (context_.scenario.print) context_.Print(absl::StrCat("recovered ", engine_->revision()));
  const auto snapshot = journal_->LoadSnapshot();
  if (engine_->revision() > 0) {
    context_.Reached(*snapshot ? Probe::kRecoveredSnapshot : Probe::kRecoveredEvents);
  }
  // Older records have their checksums.
  checker_.Recovered(journal_->RecordsAfter(std::max<int64_t>(0, checker_.revision() - 3'000)),
                     engine_->state());
  if (!context_.violations.empty()) return;
  // Bytes that no event names.
  for (auto it = bytes_.begin(); it != bytes_.end();) {
    const auto name = CheckpointName::Parse(it->first);
    it = engine_->state().checkpoints().contains(*name) ? std::next(it) : bytes_.erase(it);
  }
  for (const auto& [name, record] : engine_->state().checkpoints()) {
    if (!bytes_.contains(name.ToString())) {
      context_.Broken("D7", absl::StrCat(name.ToString(), " is listed, its bytes are not there"));
    }
  }
  heard_.clear();
  session_workers_.clear();
  for (const auto& [name, worker] : engine_->state().workers()) {
    if (!worker.record.lost()) heard_[name.ToString()] = now.steady;
  }
  busy_until_ = 0;
  TickLater(starts_);
}

void SimulatedCoordinator::TickLater(int64_t start) {
  const Nanos tick =
      std::clamp<Nanos>(context_.scenario.renew_interval / 4, kSecond / 2, 5 * kSecond);
  context_.queue.After(tick, [this, start] {
    if (!up() || starts_ != start) return;
    tick_due_ = true;
    ScheduleTurn();
    TickLater(start);
  });
}

// What was written and not synced is gone, or was lucky.
void SimulatedCoordinator::LoseVolatile() {
  for (auto& [key, before] : volatile_points_) {
    if (context_.scenario.print) context_.Print(absl::StrCat("points lost: ", key.first));
    points_[key] = std::move(before);
  }
  volatile_points_.clear();
  volatile_bytes_.clear();
}

void SimulatedCoordinator::Crash(End end) {
  if (!up()) return;
  context_.Injected(end == End::kKilled  ? Fault::kCoordinatorKilled
                    : end == End::kPower ? Fault::kCoordinatorPower
                                         : Fault::kCoordinatorStopped);
  if (end == End::kInOrder && effects_.empty() && engine_->fatal().ok()) {
    Turn();
    if (!up() || !context_.violations.empty()) return;
    Release();
    engine_->EndSessions();
    const Engine::Outputs outputs = engine_->TakeOutputs();
    for (const auto& [session, status] : outputs.closed) network_->CloseFromServer(session, status);
    if (effects_.empty() && engine_->fatal().ok() && engine_->PutSnapshot().ok()) journal_->Sync();
  }
  Exit(context_.Between(kSecond, 2 * kMinute));
  network_->CoordinatorDied(end == End::kPower);
}

void SimulatedCoordinator::Exit(Nanos restart_after) {
  if (disk_.has_volatile()) context_.Reached(Probe::kCrashInFlush);
  engine_.reset();
  journal_.reset();
  inbox_.clear();
  effects_.clear();
  turn_scheduled_ = false;
  tick_due_ = false;
  LoseVolatile();
  disk_.Crash();
  context_.queue.After(restart_after, [this] { Start(); });
}

void SimulatedCoordinator::Every(Nanos mean, std::function<void()> fault) {
  if (mean <= 0) return;
  context_.queue.After(context_.Exponential(mean), [this, mean, fault = std::move(fault)] {
    if (!context_.faults_on) return;
    fault();
    Every(mean, fault);
  });
}

void SimulatedCoordinator::StartFaults() {
  const Scenario& scenario = context_.scenario;
  Every(scenario.coordinator_crash_every, [this] {
    const uint64_t kind = context_.random.UniformInt(10);
    if (context_.random.Bernoulli(0.4)) {
      crash_in_flush_ = true;  // the worst moment is the next sync
    } else {
      Crash(kind < 5 ? End::kKilled : kind < 8 ? End::kPower : End::kInOrder);
    }
  });
  Every(scenario.coordinator_pause_every, [this] {
    context_.Injected(Fault::kCoordinatorPaused);
    network_->Pause(0, context_.now() + context_.Between(kSecond, 2 * kMinute));
  });
  Every(scenario.clock_step_every, [this] {
    context_.Injected(Fault::kCoordinatorClock);
    wall_step_ = ToDuration(context_.Between(-kDay, kDay));
  });
  Every(scenario.disk_full_every, [this] {
    context_.Injected(Fault::kDiskFull);
    disk_.full = true;
    context_.queue.After(context_.Between(kMinute, 20 * kMinute), [this] { disk_.full = false; });
  });
  Every(scenario.disk_slow_every, [this] {
    context_.Injected(Fault::kDiskSlow);
    disk_.slow = context_.Between(10 * kMillisecond, 10 * kSecond);
    context_.queue.After(context_.Between(kMinute, 20 * kMinute), [this] { disk_.slow = 0; });
  });
  Every(scenario.bit_rot_every, [this] {
    // Noticed when the log is read again: so the process dies, too.
    const bool old_copy = context_.random.Bernoulli(0.3);
    if (!up()) return;
    Crash(End::kKilled);
    if (!context_.violations.empty()) return;
    if (old_copy ? disk_.RollBack() : disk_.TurnABit()) {
      context_.Injected(old_copy ? Fault::kOldCopy : Fault::kBitRot);
    }
  });
}

void SimulatedCoordinator::Heal() {
  disk_.full = false;
  disk_.slow = 0;
  disk_.Restore();
  Start();
}

// --- Turns ----------------------------------------------------------------------

void SimulatedCoordinator::Post(Input input) {
  // An address, for a bug that orders by it.
  inbox_.emplace_back(nullptr, std::move(input));
  ScheduleTurn();
}

void SimulatedCoordinator::ScheduleTurn() {
  if (turn_scheduled_ || !up()) return;
  turn_scheduled_ = true;
  const Nanos delay = std::max<Nanos>(200'000, busy_until_ - context_.now());
  network_->At(0, delay, [this, start = starts_] {
    if (!up() || starts_ != start) return;
    turn_scheduled_ = false;
    Turn();
  });
}

void SimulatedCoordinator::Turn() {
  std::vector<std::pair<void*, Input>> inputs = std::move(inbox_);
  inbox_.clear();
  if (context_.scenario.bug == Bug::kHashOrderDecision && inputs.size() > 1) {
    absl::flat_hash_set<const void*> order;
    for (const auto& input : inputs) order.insert(&input);
    std::vector<std::pair<void*, Input>> shuffled;
    for (const void* each : order) {
      shuffled.push_back(*static_cast<const std::pair<void*, Input>*>(each));
    }
    inputs = std::move(shuffled);
  }
  const Instant now = Now();
  latest_time_ = std::max({latest_time_, now.wall, engine_->state().time()});
  const Instant judged =
      context_.scenario.bug == Bug::kLeaseNeverExpires ? Instant{now.wall, frozen_} : now;
  flushing_ = true;
  for (auto& [address, input] : inputs) {
    input(*engine_, judged);
    if (engine_->WantsFlush()) engine_->Flush(judged);
  }
  const bool ticked = std::exchange(tick_due_, false);
  if (ticked) engine_->Tick(judged);
  const int64_t before = engine_->revision();
  const size_t answers_before = effects_.size();
  engine_->Flush(judged);
  flushing_ = false;
  if (engine_->revision() > before && context_.queue.now() > 0 &&
      engine_->state().time() > now.wall + absl::Seconds(1)) {
    context_.Reached(Probe::kEventTimeHeld);
  }
  if (!engine_->fatal().ok()) {
    const absl::Status fatal = engine_->fatal();
    context_.trace.Add(static_cast<uint64_t>(fatal.code()));
    const bool expected = absl::IsUnavailable(fatal) || absl::IsResourceExhausted(fatal);
    if (!expected) {
      context_.Broken("S5", absl::StrCat("the engine died without a fault: ", fatal.message()));
      return;
    }
    // It says that nothing is known, and ends. What was appended before, also where only the
    // snapshot after it failed, is not synced in this model, so it is not said.
    const std::vector<std::function<void()>> effects = std::exchange(effects_, {});
    const bool appended = engine_->revision() > before;
    for (size_t i = answers_before; i < effects.size() && !appended; ++i) effects[i]();
    Exit(context_.Between(2 * kSecond, kMinute));
    network_->CoordinatorDied(false);
    return;
  }
  Engine::Outputs outputs = engine_->TakeOutputs();
  for (auto& [session, message] : outputs.messages) {
    const int64_t revision = message.has_welcome()       ? message.welcome().revision()
                             : message.has_lease_state() ? message.lease_state().revision()
                                                         : 0;
    if (message.has_stop() && message.stop().cause() == v1::CAUSE_WORKER_LOST) {
      context_.Reached(Probe::kStaleProgress);
    }
    if (message.has_assign() &&
        !assigned_.insert({message.assign().attempt(), message.assign().lease_generation()})
             .second) {
      context_.Reached(Probe::kAssignedAgain);
    }
    Then([this, revision, id = session, message = std::move(message)]() mutable {
      CheckRevision(revision, "a message");
      network_->SendDown(id, std::move(message));
    });
  }
  for (const auto& [session, status] : outputs.closed) {
    if (ReasonOf(status) == Reason::kPeerGone) context_.Reached(Probe::kSessionReplaced);
    Then([this, id = session, why = status] { network_->CloseFromServer(id, why); });
  }
  for (const CheckpointName& name : outputs.deleted_checkpoints) {
    Then([this, text = name.ToString()] {
      context_.Print("remove " + text);
      bytes_.erase(text);
      volatile_bytes_.erase(text);
    });
  }
  if (ticked) CheckLeases();
  const Nanos latency = disk_.TakeLatency();
  const bool early = context_.scenario.bug == Bug::kAnswerBeforeSync;
  if (latency == 0) return Release();
  busy_until_ = context_.now() + latency;
  if (early) {
    for (const auto& effect : std::exchange(effects_, {})) effect();
  }
  turn_scheduled_ = true;  // nothing is taken in meanwhile
  if (std::exchange(crash_in_flush_, false)) {
    context_.queue.After(context_.Between(0, latency), [this, start = starts_] {
      if (up() && starts_ == start && context_.faults_on) Crash(End::kPower);
    });
  }
  context_.queue.After(latency, [this, start = starts_] {
    if (!up() || starts_ != start) return;
    turn_scheduled_ = false;
    Release();
    if (!inbox_.empty() || tick_due_) ScheduleTurn();
  });
}

// The batch is durable: what it says may go.
void SimulatedCoordinator::Release() {
  if (disk_.has_volatile() || disk_.synced_revision() > checker_.revision()) {
    journal_->Sync();
    checker_.Follow(journal_->RecordsAfter(checker_.revision()));
  }
  volatile_points_.clear();
  if (!volatile_bytes_.empty() && context_.random.Bernoulli(0.01)) {
    for (auto& [name, digest] : volatile_bytes_) bytes_[name] = std::move(digest);
    volatile_bytes_.clear();
  }
  for (const auto& effect : std::exchange(effects_, {})) effect();
  if (checker_.revision() - events_at_check_ >= kEventsPerCheck) {
    events_at_check_ = checker_.revision();
    checker_.CheckAll(engine_->state());
  }
}

void SimulatedCoordinator::CheckRevision(int64_t revision, absl::string_view what) {
  answered_ = std::max(answered_, revision);
  if (revision > disk_.synced_revision()) {
    context_.Broken("D3", absl::StrCat(what, " shows revision ", revision, ", durable is ",
                                       disk_.synced_revision()));
  }
}

void SimulatedCoordinator::CheckLeases() {
  const absl::Duration now = Now().steady;
  const absl::Duration grace = std::min(
      absl::Minutes(5), lease_duration() + absl::Seconds(context_.scenario.workers / 50.0));
  const bool in_grace = now < started_ + grace;
  for (const auto& [name, worker] : engine_->state().workers()) {
    if (worker.record.lost()) continue;
    const absl::Duration silent = now - heard_[name.ToString()];
    if (silent >= lease_duration() && in_grace) {
      context_.Reached(Probe::kGrace);
    } else if (silent >= lease_duration()) {
      context_.Broken("R3", absl::StrCat(name.ToString(), " has been silent for ",
                                         absl::FormatDuration(silent), " and is not lost"));
    } else if (silent >= lease_duration() * 0.3) {
      context_.Reached(Probe::kSuspect);
    }
  }
}

// --- Workers ----------------------------------------------------------------------

void SimulatedCoordinator::OpenSession(SessionId session, const session::v1::Hello& hello) {
  context_.trace.Add(static_cast<uint64_t>(session));
  context_.trace.Add(static_cast<uint64_t>(hello.held_size()));
  session_workers_[session] = hello.worker();
  Post([this, session, hello](Engine& engine, const Instant& now) {
    heard_[hello.worker()] = Now().steady;
    size_t current = 0;
    for (const session::v1::HeldAttempt& held : hello.held()) {
      current += IsStale(hello.worker(), held.attempt(), held.lease_generation()) ? 0 : 1;
    }
    if (current > 0) context_.Reached(Probe::kWelcomeKept);
    if (current < static_cast<size_t>(hello.held_size())) {
      context_.Reached(Probe::kWelcomeDropped);
    }
    if (current > 0 && starts_ > 1) context_.Reached(Probe::kOutageBridged);
    engine.OpenSession(session, hello, now);
  });
}

void SimulatedCoordinator::OnMessage(SessionId session,
                                     const session::v1::ConnectRequest& message) {
  context_.trace.Add(static_cast<uint64_t>(message.renew().sequence()));
  Post([this, session, message](Engine& engine, const Instant& now) {
    const auto worker = session_workers_.find(session);
    // A renewal counts while the worker is known: after its lease expired it must say hello.
    if (worker != session_workers_.end() && heard_.contains(worker->second)) {
      heard_[worker->second] = Now().steady;
    }
    engine.OnMessage(session, message, now);
  });
}

void SimulatedCoordinator::CloseSession(SessionId session) {
  Post([this, session](Engine& engine, const Instant& now) {
    session_workers_.erase(session);
    engine.CloseSession(session, now);
  });
}

bool SimulatedCoordinator::IsStale(const std::string& worker, const std::string& attempt,
                                   int64_t generation) const {
  const auto name = AttemptName::Parse(attempt);
  const auto record = engine_->state().FindAttempt(*name);
  if (!record.ok() || (*record)->lease_generation() != generation) return true;
  const storage::v1::AttemptPart* part = coordinator::FindPart(**record, worker);
  return part == nullptr || part->ended();
}

void SimulatedCoordinator::ReportFacts(const session::v1::ReportFactsRequest& request,
                                       Reply<session::v1::ReportFactsResponse> reply) {
  const auto sent = std::make_shared<session::v1::ReportFactsRequest>(request);
  Post([this, sent, reply = std::move(reply)](Engine& engine, const Instant& now) {
    const auto record = engine.state().FindAttempt(*AttemptName::Parse(sent->attempt()));
    const storage::v1::AttemptPart* part =
        record.ok() ? coordinator::FindPart(**record, sent->worker()) : nullptr;
    const bool other = !record.ok() || (*record)->lease_generation() != sent->lease_generation();
    const int64_t last = sent->facts(sent->facts_size() - 1).sequence();
    const bool known = !other && part != nullptr && part->fact_sequence() >= last;
    const bool stale = !known && IsStale(sent->worker(), sent->attempt(), sent->lease_generation());
    if (known) context_.Reached(Probe::kFactsRepeated);
    session::v1::ReportFactsRequest decided = *sent;
    if (context_.scenario.bug == Bug::kGenerationNotChecked && stale) {
      if (const storage::v1::AttemptPart* part_of_other = Confuse(engine.state(), decided)) {
        int64_t sequence = part_of_other->fact_sequence();
        for (session::v1::Fact& fact : *decided.mutable_facts()) fact.set_sequence(++sequence);
      }
    }
    const bool dropped = context_.scenario.bug == Bug::kFactsDropped && !known && !stale &&
                         sent->facts(sent->facts_size() - 1).has_ended();
    Command command;
    command.caller = WorkerCaller(sent->worker());
    command.decide = [decided = std::move(decided), dropped](
                         const ClusterState& state, absl::Time time) -> coordinator::Decision {
      if (dropped) return coordinator::Decided{};
      return coordinator::DecideFacts(state, decided, time);
    };
    command.done = [this, sent, stale, last, reply](const View&,
                                                    const absl::StatusOr<Answer>& answer) {
      context_.trace.Add(static_cast<uint64_t>(answer.status().code()));
      if (stale && answer.ok()) {
        context_.Broken("S3", absl::StrCat("stale facts of ", sent->worker(), " about ",
                                           sent->attempt(), " are accepted"));
      }
      if (absl::IsAborted(answer.status())) {
        context_.Reached(Probe::kStaleFacts);
        if (!stale) {
          context_.Broken(
              "S3", absl::StrCat("current facts of ", sent->worker(), " about ", sent->attempt(),
                                 " are refused: ", answer.status().message()));
        }
      }
      Then([this, sent, last, reply, answer = answer] {
        if (!answer.ok()) return reply(answer.status());
        CheckRevision(answer->revision, "an answer");
        CheckAcknowledged(*sent);
        CheckEndedPoints(*sent);
        session::v1::ReportFactsResponse response;
        response.set_durable_sequence(last);
        response.set_revision(answer->revision);
        reply(std::move(response));
      });
    };
    engine.Commit(std::move(command), now);
  });
}

// What is acknowledged is in the durable state.
void SimulatedCoordinator::CheckAcknowledged(const session::v1::ReportFactsRequest& request) {
  const auto attempt = checker_.state().FindAttempt(*AttemptName::Parse(request.attempt()));
  const storage::v1::AttemptPart* part =
      attempt.ok() ? coordinator::FindPart(**attempt, request.worker()) : nullptr;
  const int64_t last = request.facts(request.facts_size() - 1).sequence();
  if (part == nullptr || part->fact_sequence() < last) {
    context_.Broken("D1", absl::StrCat("fact ", last, " of ", request.worker(), " about ",
                                       request.attempt(), " is acknowledged and not there"));
  } else if (request.facts().rbegin()->has_ended() && !part->ended()) {
    context_.Broken("D1", absl::StrCat("the end of ", request.attempt(), " on ", request.worker(),
                                       " is acknowledged and not there"));
  }
}

// Nothing follows the end of an attempt: all of its points must have come before.
void SimulatedCoordinator::CheckEndedPoints(const session::v1::ReportFactsRequest& request) {
  for (const session::v1::Fact& fact : request.facts()) {
    if (!fact.has_ended() || fact.ended().cause() != v1::CAUSE_FINISHED) continue;
    const AttemptGeneration key(request.attempt(), request.lease_generation());
    const auto emitted = emitted_.find(key);
    if (emitted == emitted_.end() || excused_.contains(key)) continue;
    // Rank 0 speaks for its gang; the others may end before it.
    const auto attempt = checker_.state().FindAttempt(*AttemptName::Parse(request.attempt()));
    if (attempt.ok() && (*attempt)->ranks(0).worker() != request.worker()) continue;
    if (points_[key].count != emitted->second) {
      context_.Broken("D8", absl::StrCat(request.attempt(), " finished with ", points_[key].count,
                                         " of ", emitted->second, " points"));
    }
  }
}

void SimulatedCoordinator::ReportMetrics(const session::v1::ReportMetricsRequest& request,
                                         Reply<session::v1::ReportMetricsResponse> reply) {
  Post([this, request, reply = std::move(reply)](Engine& engine, const Instant& now) {
    engine.Read(
        [this, request, reply](const absl::StatusOr<View>& view) {
          absl::Status status = view.status();
          if (status.ok()) {
            status = coordinator::CheckLease(
                view->state(), {request.worker(), request.attempt(), request.lease_generation()});
          }
          context_.trace.Add(static_cast<uint64_t>(status.code()));
          if (!status.ok()) {
            if (absl::IsAborted(status)) context_.Reached(Probe::kStaleMetrics);
            return Then([reply, status] { reply(status); });
          }
          const AttemptGeneration key(request.attempt(), request.lease_generation());
          Points& points = points_[key];
          if (context_.scenario.print) {
            context_.Print(absl::StrCat("points of ", request.attempt(), ": batch ",
                                        request.sequence(), " of ", request.stream(), ", ",
                                        request.series_size(), " series, before ", points.count));
          }
          int64_t& sequence = points.streams[request.stream()];
          if (request.sequence() <= sequence) context_.Reached(Probe::kPointsRepeated);
          if (request.sequence() > sequence || context_.scenario.bug == Bug::kPointsDoubled) {
            volatile_points_.insert(volatile_points_.begin(), {key, points});
            const bool excused = excused_.contains(key);
            if (request.sequence() > sequence + 1 && !excused) {
              context_.Broken("D8", absl::StrCat(request.attempt(), ": batch ", request.sequence(),
                                                 " follows ", sequence));
            }
            sequence = request.sequence();
            for (const v1::MetricSeries& series : request.series()) {
              for (const int64_t step : series.steps()) {
                if (step <= points.last_step && !excused) {
                  context_.Broken("D8", absl::StrCat(request.attempt(), ": a point of step ", step,
                                                     " after ", points.last_step));
                }
                points.last_step = step;
                ++points.count;
              }
            }
          }
          Then([reply, last = request.sequence()] {
            session::v1::ReportMetricsResponse response;
            response.set_durable_sequence(last);
            reply(std::move(response));
          });
        },
        now);
  });
}

void SimulatedCoordinator::UploadCheckpoint(const session::v1::UploadCheckpointHeader& header,
                                            Reply<session::v1::UploadCheckpointResponse> reply) {
  Post([this, header, reply = std::move(reply)](Engine& engine, const Instant& now) {
    const std::string name = absl::StrCat("checkpoints/", header.checkpoint());
    const bool stale = IsStale(header.worker(), header.attempt(), header.lease_generation());
    if (engine.state().checkpoints().contains(*CheckpointName::Parse(name))) {
      context_.Reached(Probe::kCheckpointRepeated);
    }
    // Lease first, then bytes, durable, then the event.
    if (!stale && !bytes_.contains(name)) {
      const bool late = context_.scenario.bug == Bug::kCheckpointBeforeItsBytes;
      (late ? volatile_bytes_ : bytes_)[name] = header.digest();
    }
    session::v1::UploadCheckpointHeader decided = header;
    if (context_.scenario.bug == Bug::kGenerationNotChecked && stale)
      Confuse(engine.state(), decided);
    Command command;
    command.caller = WorkerCaller(header.worker());
    command.decide = [decided](const ClusterState& state, absl::Time time) {
      return coordinator::DecideCommitCheckpoint(state, decided, time);
    };
    command.done = [this, name, stale, reply](const View&, const absl::StatusOr<Answer>& answer) {
      if (context_.scenario.print) {
        context_.Print(absl::StrCat("upload ", name, " ", answer.status().ToString()));
      }
      context_.trace.Add(static_cast<uint64_t>(answer.status().code()));
      if (absl::IsAborted(answer.status())) context_.Reached(Probe::kStaleCheckpoint);
      if (stale && answer.ok() && !checker_.WasListed(name)) {
        context_.Broken("S3", absl::StrCat(name, " comes with a stale generation and is listed"));
      }
      Then([this, name, reply, answer = answer] {
        if (!answer.ok()) return reply(answer.status());
        CheckRevision(answer->revision, "an answer");
        session::v1::UploadCheckpointResponse response;
        response.set_revision(answer->revision);
        reply(std::move(response));
      });
    };
    engine.Commit(std::move(command), now);
  });
}

void SimulatedCoordinator::DownloadCheckpoint(const std::string& checkpoint,
                                              Reply<std::string> reply) {
  const auto found = bytes_.find(checkpoint);
  if (found != bytes_.end()) return reply(found->second);
  const auto written = volatile_bytes_.find(checkpoint);
  if (written != volatile_bytes_.end()) return reply(written->second);
  const auto name = CheckpointName::Parse(checkpoint);
  if (checker_.state().checkpoints().contains(*name)) {
    context_.Broken("D7", absl::StrCat(checkpoint, " is listed, its bytes are not there"));
  }
  reply(NotFound(Reason::kCheckpointNotFound, absl::StrCat(checkpoint, ": is not stored")));
}

void SimulatedCoordinator::AccessStore(const session::v1::AccessStoreRequest& request,
                                       Reply<session::v1::AccessStoreResponse> reply) {
  Post([this, request, reply = std::move(reply)](Engine& engine, const Instant& now) {
    engine.AccessStore(
        request,
        [this, reply](const absl::StatusOr<session::v1::StoreResult>& result) {
          const auto answer = [reply, result] {
            if (!result.ok()) return reply(result.status());
            session::v1::AccessStoreResponse response;
            *response.mutable_result() = *result;
            reply(std::move(response));
          };
          if (flushing_) {
            Then(answer);
          } else {
            answer();
          }
        },
        now);
  });
}

// --- Clients ----------------------------------------------------------------------

void SimulatedCoordinator::Commit(Command command, bool frees, Reply<ClientAnswer> reply) {
  if (disk_.full && !frees) {
    context_.Reached(Probe::kRefusedFull);
    return reply(ResourceExhausted(Reason::kDiskFull, "the disk is full"));
  }
  if (context_.scenario.bug == Bug::kRequestIdForgotten) command.request_id.clear();
  const auto shared = std::make_shared<Command>(std::move(command));
  Post([this, shared, reply = std::move(reply)](Engine& engine, const Instant& now) {
    Command each = *shared;
    each.done = [this, reply](const View& view, const absl::StatusOr<Answer>& answer) {
      context_.trace.Add(static_cast<uint64_t>(answer.status().code()));
      const absl::Time time = view.state().time();
      Then([this, reply, time, answer = answer] {
        if (!answer.ok()) return reply(answer.status());
        CheckRevision(answer->revision, "an answer");
        context_.trace.Add(answer->resource);
        reply(ClientAnswer{*answer, time});
      });
    };
    engine.Commit(std::move(each), now);
  });
}

void SimulatedCoordinator::Read(std::function<absl::Status(const View&)> read,
                                Reply<ClientLook> reply) {
  Post(
      [this, read = std::move(read), reply = std::move(reply)](Engine& engine, const Instant& now) {
        if (context_.scenario.bug == Bug::kReadOfTheLiveState) {
          const int64_t revision = engine.state().revision();
          CheckRevision(revision, "a read");
          return reply(ClientLook{revision, engine.state().time()});
        }
        engine.Read(
            [this, read, reply](const absl::StatusOr<View>& view) {
              if (!view.ok()) {
                return Then([reply, status = view.status()] { reply(status); });
              }
              ClientLook look = {view->state().revision(), view->state().time(), read(*view)};
              context_.trace.Add(static_cast<uint64_t>(look.revision));
              Then([this, reply, look = std::move(look)] {
                CheckRevision(look.revision, "a read");
                reply(look);
              });
            },
            now);
      });
}

void SimulatedCoordinator::StoreBytes(const std::string& checkpoint, const std::string& digest) {
  bytes_.emplace(checkpoint, digest);
}

}  // namespace cvtrain::simulation
