#ifndef CVTRAIN_COORDINATOR_SERVICE_SESSION_HUB_H_
#define CVTRAIN_COORDINATOR_SERVICE_SESSION_HUB_H_

#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/bounded_queue.h"
#include "common/telemetry.h"
#include "common/thread.h"
#include "coordinator/engine/loop/engine_loop.h"
#include "coordinator/storage/checkpoints/checkpoint_store.h"

namespace cvtrain::coordinator {

// The open end of a worker's session. Implemented by the transport. Thread-safe.
class SessionPeer {
 public:
  virtual ~SessionPeer() = default;
  // Queues a message. Must not block.
  virtual void Send(const session::v1::ConnectResponse& message) = 0;
  // Ends the session after what is queued.
  virtual void Close(const absl::Status& status) = 0;
};

// Gives the engine's outputs to whom they belong: messages to sessions, names of
// deleted checkpoints to a thread that removes their bytes. Thread-safe.
class SessionHub : public EngineOutputs {
 public:
  SessionHub(CheckpointStore& checkpoints, TelemetryRegistry& telemetry);
  ~SessionHub() override;

  // Registers a session; the hub shares it, because messages may be on their way
  // to it while its stream ends.
  SessionId Add(std::shared_ptr<SessionPeer> peer) ABSL_LOCKS_EXCLUDED(mu_);
  void Remove(SessionId session) ABSL_LOCKS_EXCLUDED(mu_);

  void Send(SessionId session, const session::v1::ConnectResponse& message) override;
  void Close(SessionId session, const absl::Status& status) override;
  void DeleteCheckpoints(const std::vector<CheckpointName>& names) override;

 private:
  std::shared_ptr<SessionPeer> Find(SessionId session) ABSL_LOCKS_EXCLUDED(mu_);
  void RunDeleter(const StopToken& stop);

  CheckpointStore& checkpoints_;
  Gauge& open_;
  Counter& deleted_;

  absl::Mutex mu_;
  SessionId next_ ABSL_GUARDED_BY(mu_) = 1;
  absl::flat_hash_map<SessionId, std::shared_ptr<SessionPeer>> peers_ ABSL_GUARDED_BY(mu_);

  BoundedQueue<CheckpointName> to_delete_;
  Thread deleter_;  // the last member: it uses all others
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_SERVICE_SESSION_HUB_H_
