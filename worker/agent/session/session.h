#ifndef CVTRAIN_WORKER_AGENT_SESSION_SESSION_H_
#define CVTRAIN_WORKER_AGENT_SESSION_SESSION_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/random.h"
#include "cvtrain/session/v1/session.pb.h"
#include "cvtrain/trainer/v1/trainer.pb.h"
#include "cvtrain/v1/log.pb.h"
#include "cvtrain/v1/metric.pb.h"
#include "cvtrain/v1/trial.pb.h"
#include "worker/agent/lease/lease.h"
#include "worker/agent/session/attempt_key.h"
#include "worker/agent/session/backoff.h"

namespace cvtrain::worker {

// --- What happens to a session ------------------------------------------------

struct StreamOpened {};
struct StreamClosed {
  absl::Status status = {};
};
struct Received {
  session::v1::ConnectResponse message;
};
// From a trainer that runs a rank.
struct RankReported {
  AttemptKey key;
  int rank = 0;
  trainer::v1::Report report;
};
struct RankLogged {
  AttemptKey key;
  int rank = 0;
  std::vector<v1::LogLine> lines;
};
// A rank is over, one way or another. Comes once for each rank of a StartRanks.
struct RankEnded {
  AttemptKey key;
  int rank = 0;
  v1::Cause cause = v1::CAUSE_UNSPECIFIED;
  std::string message = {};
  int64_t end_step = 0;
  std::string sample_digest = {};
  // checkpoints/{uuid}, if its bytes are wrong where they come from; else empty.
  std::string damaged_checkpoint = {};
};
// A report of this attempt came back with ABORTED: the lease generation is stale.
struct ReportRefused {
  AttemptKey key;
  absl::Status status = {};
};
// Everything of this attempt, RanksEnded too, is journaled.
struct AttemptSettled {
  AttemptKey key;
};
// SIGTERM: end in an orderly way.
struct StopRequested {};
struct Tick {};

using SessionInput = std::variant<StreamOpened, StreamClosed, Received, RankReported, RankLogged,
                                  RankEnded, ReportRefused, AttemptSettled, StopRequested, Tick>;

// --- What a session wants done, in this order ---------------------------------

struct OpenStream {};
struct CloseStream {};
struct SendMessage {
  session::v1::ConnectRequest message;
};
// Make the ranks of `assign` run on their slots. Each must end in a RankEnded.
struct StartRanks {
  AttemptKey key;
  session::v1::Assign assign;
};
// Tell the ranks to end after their step, or now.
struct StopRanks {
  AttemptKey key;
  session::v1::StopAttempt::Mode mode = session::v1::StopAttempt::MODE_UNSPECIFIED;
  v1::Cause cause = v1::CAUSE_UNSPECIFIED;
};
// End the ranks that still run, without asking; each ends with this cause.
struct KillRanks {
  AttemptKey key;
  v1::Cause cause = v1::CAUSE_UNSPECIFIED;
  std::string message = {};
};
// Keep these until they are acknowledged. Facts get their sequence numbers there.
struct SpoolFact {
  AttemptKey key;
  session::v1::Fact fact;
};
struct SpoolSeries {
  AttemptKey key;
  std::vector<v1::MetricSeries> series;
};
struct SpoolLines {
  AttemptKey key;
  std::vector<v1::LogLine> lines;
};
// Whether the reports of an attempt may be sent. False until said otherwise.
struct SetPublishing {
  AttemptKey key;
  bool on = false;
};
// The attempt is not ours any more: forget its reports and abandon its transfers.
struct DropAttempt {
  AttemptKey key;
  std::string why = {};
};
// Remember across restarts.
struct SaveIdentity {
  std::string cluster_id = {};
  int64_t revision = 0;
};
// The process ends: 0 after a StopRequested, else with what must be changed first.
struct EndProcess {
  int exit_code = 0;
  std::string message = {};
};

using SessionOutput =
    std::variant<OpenStream, CloseStream, SendMessage, StartRanks, StopRanks, KillRanks, SpoolFact,
                 SpoolSeries, SpoolLines, SetPublishing, DropAttempt, SaveIdentity, EndProcess>;

// --- The machine --------------------------------------------------------------

struct SessionOptions {
  // Everything of the Hello but protocol range, held attempts, cluster and revision.
  session::v1::Hello hello;
  // Of the last session, if any.
  std::string cluster_id = {};
  int64_t revision = 0;
  // Wait before opening the stream again: uniform from 0 to a limit that doubles from
  // the first to the second. The second bounds how long a returned coordinator waits for
  // its workers; a fleet of 10,000 arrives over minutes anyway, bound by handshakes.
  absl::Duration reconnect_delay_first = absl::Milliseconds(100);
  absl::Duration reconnect_delay_max = absl::Seconds(3);
  // From opening the stream to Welcome; then the stream is closed and opened again.
  absl::Duration welcome_timeout = absl::Seconds(10);
  // From MODE_NOW to SIGKILL.
  absl::Duration stop_now_grace = absl::Seconds(2);
  // From StopRequested to SIGKILL of ranks that have no checkpoint yet.
  absl::Duration drain_grace = absl::Seconds(10);
  // After the last rank ended, for its reports to arrive, before the process ends.
  absl::Duration drain_reports = absl::Seconds(2);
};

// An attempt that an earlier process of this worker left in the spool.
struct RecoveredAttempt {
  AttemptKey key;
  // RanksEnded is among its facts.
  bool ended = false;
};

// The session of one worker with its coordinator: which attempts it holds, what it
// may do with them, and what to say next.
//
//               Tick                  StreamOpened                Welcome
//   kWaiting ---------> kOpening ------------------> kGreeting ------------> kActive
//       ^                  |                            |                      |
//       +------------------+----------------------------+----------------------+
//                     StreamClosed, time-out, or an expired lease
//
//   An attempt:  Assign -> kRunning -> (all ranks ended) -> kReporting -> settled
//                   any -> dropped: not kept by a Welcome, or a report was refused
//
// It does no I/O and has no clock, no thread and no lock; it is stepped by (input, now),
// with `now` of Clock::SteadyNow() and `wall` for records. Whoever steps it carries out the
// outputs in order. Thread-compatible.
class Session {
 public:
  enum class State { kWaiting, kOpening, kGreeting, kActive };

  static constexpr int kProtocolMin = 2;
  static constexpr int kProtocolMax = 2;

  struct Now {
    absl::Duration steady;
    absl::Time wall;
  };

  // `random` must outlive this.
  Session(SessionOptions options, std::vector<RecoveredAttempt> recovered, Random& random);

  // The first call should be a Tick: it opens the stream.
  std::vector<SessionOutput> Step(SessionInput input, Now now);

  // When the next Tick is due.
  absl::Duration NextTick(absl::Duration now) const;

  State state() const { return state_; }
  const Lease& lease() const { return lease_; }
  bool stopping() const { return stopping_; }
  int64_t reconnects() const { return reconnects_; }
  // Attempts whose ranks run; those that wait for their reports.
  int running_count() const;
  int reporting_count() const;
  // Bytes for the next renewal.
  void SetCacheBytes(int64_t bytes) { cache_bytes_ = bytes; }

 private:
  struct Rank {
    int slot = 0;
    bool ended = false;
  };
  struct Attempt {
    bool running = false;  // a rank has not ended
    bool kept = false;     // the current session has confirmed the generation
    std::map<int, Rank> ranks;
    v1::Progress progress;
    // How it ends: the first bad end, else that of the lowest rank.
    std::optional<RankEnded> end;
    std::string damaged_checkpoint;  // that a rank has named
    std::optional<absl::Duration> kill_at;
    v1::Cause kill_cause = v1::CAUSE_UNSPECIFIED;
    std::string kill_message;
  };
  using Attempts = std::map<AttemptKey, Attempt>;
  using Outputs = std::vector<SessionOutput>;

  void Handle(StreamOpened input, Now now, Outputs& out);
  void Handle(StreamClosed input, Now now, Outputs& out);
  void Handle(Received input, Now now, Outputs& out);
  void Handle(RankReported input, Now now, Outputs& out);
  void Handle(RankLogged input, Now now, Outputs& out);
  void Handle(RankEnded input, Now now, Outputs& out);
  void Handle(ReportRefused input, Now now, Outputs& out);
  void Handle(AttemptSettled input, Now now, Outputs& out);
  void Handle(StopRequested input, Now now, Outputs& out);
  void Handle(Tick input, Now now, Outputs& out);

  void OnWelcome(const session::v1::Welcome& welcome, Now now, Outputs& out);
  void OnAssign(session::v1::Assign assign, Now now, Outputs& out);
  void OnStop(const session::v1::StopAttempt& stop, Now now, Outputs& out);

  session::v1::Hello MakeHello() const;
  session::v1::Renew MakeRenew(absl::Duration now);
  // Why this worker cannot run it; empty if it can.
  std::string WhyNot(const session::v1::Assign& assign) const;

  void BreakSession(Now now, Outputs& out);
  void WatchLease(Now now, Outputs& out);
  void StopRunning(session::v1::StopAttempt::Mode mode, v1::Cause cause, absl::Duration kill_at,
                   const std::string& kill_message, Outputs& out);
  void FinishAttempt(const AttemptKey& key, Attempt& attempt, Now now, Outputs& out);
  void Drop(Attempts::iterator it, const std::string& why, Outputs& out);
  void SeeRevision(int64_t revision, Now now, Outputs& out);
  void EndIfDrained(Now now, Outputs& out);

  const SessionOptions options_;
  Backoff backoff_;

  State state_ = State::kWaiting;
  absl::Duration state_until_ = -absl::InfiniteDuration();  // retry or time-out
  absl::Duration hello_sent_ = absl::ZeroDuration();
  bool ever_welcomed_ = false;
  int64_t reconnects_ = 0;
  Lease lease_;
  std::string cluster_id_;
  int64_t revision_ = 0;
  int64_t revision_saved_ = 0;
  absl::Duration save_due_ = -absl::InfiniteDuration();
  int64_t cache_bytes_ = 0;
  Attempts attempts_;
  // Recovered attempts that need a RanksEnded; empty after the first step.
  std::vector<AttemptKey> unended_;
  bool orphaned_ = false;  // the ranks have been told to stop for it
  bool stopping_ = false;
  absl::Duration drain_until_ = absl::InfiniteDuration();
};

}  // namespace cvtrain::worker

#endif  // CVTRAIN_WORKER_AGENT_SESSION_SESSION_H_
