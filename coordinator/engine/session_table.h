#ifndef CVTRAIN_COORDINATOR_ENGINE_SESSION_TABLE_H_
#define CVTRAIN_COORDINATOR_ENGINE_SESSION_TABLE_H_

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "common/ids.h"
#include "cvtrain/session/v1/session.pb.h"
#include "cvtrain/storage/v1/snapshot.pb.h"

namespace cvtrain::coordinator {

// Chosen by the transport, never used again.
using SessionId = int64_t;

// Which worker speaks in which session, and what each has been told.
//
// What a worker should do follows from the state alone: to hold an assignment for each unfinished
// part that it has, and to stop those that have a stop. This table keeps what has been said in the
// session, so that it is said once. Thread-compatible.
class SessionTable {
 public:
  // Returns the older session of this worker, which is forgotten.
  std::optional<SessionId> Open(SessionId session, const WorkerName& worker);

  void Close(SessionId session);

  // nullopt for a session that is not open.
  std::optional<WorkerName> WorkerOf(SessionId session) const;
  std::optional<SessionId> SessionOf(const WorkerName& worker) const;

  // The worker said that it holds `attempt` of this generation: in its hello, a renewal or a call.
  void Confirm(const WorkerName& worker, const AttemptName& attempt, int64_t generation);
  bool IsConfirmed(const WorkerName& worker, const AttemptName& attempt, int64_t generation) const;

  // True once for each (session, attempt, generation): it must be told. A hello that holds the
  // attempt counts as told.
  bool ShouldAssign(SessionId session, const AttemptName& attempt, int64_t generation);

  // True if this stop, or a harder one, has not been told in the session.
  bool ShouldStop(SessionId session, const AttemptName& attempt,
                  const storage::v1::AttemptStop& stop);

  // Forgets an attempt that has ended.
  void Drop(const AttemptName& attempt);

  // All that are open, in order.
  std::vector<SessionId> All() const;
  size_t size() const { return sessions_.size(); }

 private:
  struct Told {
    int64_t generation = 0;
    bool stopped = false;
    bool stopped_now = false;
  };
  struct Session {
    WorkerName worker;
    absl::btree_map<AttemptName, Told> told;
  };

  absl::btree_map<SessionId, Session> sessions_;
  absl::btree_map<WorkerName, SessionId> by_worker_;
  absl::btree_map<std::pair<AttemptName, WorkerName>, int64_t> confirmed_;
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_ENGINE_SESSION_TABLE_H_
