#ifndef CVTRAIN_COORDINATOR_ENGINE_ENGINE_H_
#define CVTRAIN_COORDINATOR_ENGINE_ENGINE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/limits.h"
#include "coordinator/engine/command.h"
#include "coordinator/engine/journal.h"
#include "coordinator/engine/lease_table.h"
#include "coordinator/engine/rendezvous.h"
#include "coordinator/engine/scheduling.h"
#include "coordinator/engine/session_table.h"
#include "coordinator/engine/view.h"
#include "coordinator/state/cluster_state.h"
#include "cvtrain/session/v1/session.pb.h"

namespace cvtrain::coordinator {

// The one writer: decides, applies, makes durable, publishes, answers; in that order.
//
// A machine without threads, clock or sockets: inputs come with the time, outputs are taken. One
// turn of whoever drives it (engine/loop, the simulation, a test):
//
//   1. inputs: Commit(), Read(), OpenSession(), ... Commands are decided and applied at once on
//      the live state, which runs ahead of the journal by at most one batch.
//   2. Flush(): places waiting trials and asks others to make way, appends all events of the batch
//   to the journal (one synced
//      write), then publishes: answers commands, runs reads, and readies messages to workers.
//   3. TakeOutputs(): what to send, which sessions to close, which checkpoints' bytes to remove.
//
// So no answer, read or message shows a revision that is not durable. A crash before 2's append
// leaves nothing of the batch that anyone has heard of; after it, all of it, and whoever asked and
// got no answer repeats with the same request id.
//
// An error of the journal means an unknown outcome: everything pending and everything that comes
// later is answered UNAVAILABLE (STORAGE_FAILED), no output is given, fatal() says why, and the
// owner must end the process.
//
// Thread-compatible: one thread at a time, callbacks included.
class Engine {
 public:
  struct Options {
    LeaseTable::Options leases;
    // How long workers go on without us; told to them.
    absl::Duration orphan_limit = limits::kOrphanLimit;
    // A snapshot is stored after so many events, and after as many as there are trials if those
    // are more: its cost per event stays bounded.
    int64_t snapshot_events = 10'000;
    // Commands and reads of one batch.
    size_t pending_max = limits::kEngineQueueLengthMax;
    // Range of the session's protocol.
    int32_t protocol_min = 2;
    int32_t protocol_max = 2;
    std::string program_version;
  };

  struct Outputs {
    // In order, per session and over all.
    std::vector<std::pair<SessionId, session::v1::ConnectResponse>> messages;
    // To be closed after its messages, with this status; the engine knows them no more.
    std::vector<std::pair<SessionId, absl::Status>> closed;
    // Their bytes may go. The durable state names them no more.
    std::vector<CheckpointName> deleted_checkpoints;
  };

  // Restores the state: newest snapshot, then the events after it. `journal` must outlive it.
  //
  // Returns DATA_LOSS (JOURNAL_DAMAGED) if they do not fit, and the errors of the journal.
  static absl::StatusOr<std::unique_ptr<Engine>> Recover(Journal& journal, const Options& options,
                                                         const Instant& now);

  // --- Users and workers' unary calls ---

  void Commit(Command command, const Instant& now);

  // Runs `read` in the next Flush(), on durable state; with an error if the engine is dead.
  // It must not call the engine.
  void Read(std::function<void(const absl::StatusOr<View>& view)> read, const Instant& now);

  // An operation of a rank on its attempt's store. Not journaled: answered now or by a later
  // input. Errors of CheckLease() and of Rendezvous::Access(). `done` must not call the engine.
  void AccessStore(const session::v1::AccessStoreRequest& request, Rendezvous::Done done,
                   const Instant& now);

  // --- Worker sessions ---

  // A worker has connected: the first message of its stream. Closes an older session of the same
  // worker with ABORTED (PEER_GONE). The session is closed with
  //   INVALID_ARGUMENT (BAD_RESOURCE_NAME, FIELD_INVALID)  the hello makes no sense
  //   FAILED_PRECONDITION (PROTOCOL_UNSUPPORTED)           no common protocol
  //   FAILED_PRECONDITION (PLAN_VERSION_MISMATCH)          it would train other numbers
  //   FAILED_PRECONDITION (WRONG_STATE)                    it belongs to another cluster
  //   RESOURCE_EXHAUSTED (LIMIT_EXCEEDED)                  too many workers or slots
  // A worker that has seen a higher revision than the journal has kills the engine: fatal() is
  // DATA_LOSS (JOURNAL_BEHIND).
  void OpenSession(SessionId session, const session::v1::Hello& hello, const Instant& now);

  // Any later message. Unknown sessions are ignored: they were closed.
  void OnMessage(SessionId session, const session::v1::ConnectRequest& message, const Instant& now);

  // The stream has ended. The worker keeps its lease.
  void CloseSession(SessionId session, const Instant& now);

  // An orderly end: closes every session and ends every wait with UNAVAILABLE (STOPPING), so that
  // nobody holds up the server. Workers come back to whoever serves next.
  void EndSessions();

  // --- Turns ---

  // Expires leases and waits. Call it at least every renewal interval.
  void Tick(const Instant& now);

  // See the class. Also stores a snapshot when one is due.
  void Flush(const Instant& now);

  // True if enough is pending that the batch should be flushed before more inputs come.
  bool WantsFlush() const;

  Outputs TakeOutputs() { return std::exchange(outputs_, {}); }

  // Stores a snapshot now: for an orderly end. Errors of the journal.
  absl::Status PutSnapshot();

  // OK while the engine lives.
  const absl::Status& fatal() const { return fatal_; }

  // Durable.
  int64_t revision() const { return durable_revision_; }

  // The live state, for tests and invariant checks: ahead of the journal between inputs and
  // Flush().
  const ClusterState& state() const { return state_; }

 private:
  // A command with its answer, or a read. The argument is an error if the engine died.
  using Waiting = std::function<void(const absl::StatusOr<View>& view)>;

  Engine(Journal& journal, const Options& options);

  absl::StatusOr<Answer> Decide(Command& command, const Instant& now);
  // Completes, checks, applies and keeps an event for the journal. Returns RESOURCE_EXHAUSTED
  // (LIMIT_EXCEEDED), changing nothing, if it is too large.
  absl::Status Record(storage::v1::Event event, const storage::v1::Caller& caller, absl::Time time);
  // The same for a decision of the coordinator itself, which must not be refused.
  void RecordOwn(const Decision& decision, const Instant& now);
  void Wait(Waiting waiting, const Instant& now);

  absl::Status CheckHello(const session::v1::Hello& hello) const;
  // Attempts that `worker` held, as far as we know, and holds no more.
  std::vector<AttemptName> LostBy(const session::v1::Hello& hello, const WorkerName& worker) const;
  void Welcome(SessionId session, const session::v1::Hello& hello, const WorkerName& worker);
  void OnRenew(SessionId session, const WorkerName& worker, const session::v1::Renew& renew,
               const Instant& now);
  void OnProgress(SessionId session, const WorkerName& worker,
                  const session::v1::AttemptProgress& progress);
  // Readies what the workers of touched attempts have not been told.
  void TellWorkers();
  void TellWorker(const AttemptName& name, const storage::v1::AttemptRecord& attempt,
                  const std::string& worker);

  void RefreshWorker(const WorkerName& worker, const Instant& now);
  void AdvanceSearches(const Instant& now);
  void SetWorkersAside(const Instant& now);
  // False if it is too early for another plan: it is still to be made.
  bool PlaceWaiting(const Instant& now);
  void Publish(const Instant& now);
  absl::Status PutSnapshotIfDue();
  void Die(absl::Status status, const Instant& now);

  // Constant after construction.
  Journal& journal_;
  const Options options_;

  // Ahead of the journal by `batch_`.
  ClusterState state_;
  std::vector<JournalRecord> batch_;
  size_t batch_size_bytes_ = 0;
  int64_t durable_revision_ = 0;
  int64_t snapshot_revision_ = 0;
  absl::Status fatal_;

  std::vector<Waiting> waiting_;

  LeaseTable leases_;
  SessionTable sessions_;
  Rendezvous rendezvous_;
  Scheduling scheduling_;
  LiveState live_;
  // A placement may be possible that was not before.
  bool placement_due_ = true;
  // Steady time before which no plan is made.
  absl::Duration next_plan_ = -absl::InfiniteDuration();
  // To be told to workers once durable: messages in order, and attempts that changed.
  std::vector<std::pair<SessionId, session::v1::ConnectResponse>> staged_;
  absl::btree_set<AttemptName> touched_;
  Outputs outputs_;
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_ENGINE_ENGINE_H_
