#ifndef CVTRAIN_WORKER_TRAINER_COLLECTIVE_STORE_TRANSPORT_H_
#define CVTRAIN_WORKER_TRAINER_COLLECTIVE_STORE_TRANSPORT_H_

#include "absl/status/statusor.h"
#include "cvtrain/session/v1/session.pb.h"

namespace cvtrain::trainer {

// How the ranks of an attempt reach their common key-value store: through the agent, in
// production. Thread-safe.
class StoreTransport {
 public:
  virtual ~StoreTransport() = default;

  // Waits for the answer of one operation.
  //
  // CANCELLED (STOPPING)     the attempt has ended
  // UNAVAILABLE (PEER_GONE)  the agent is gone, or says that the store is
  virtual absl::StatusOr<session::v1::StoreResult> Call(
      const session::v1::StoreOperation& operation) = 0;
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_COLLECTIVE_STORE_TRANSPORT_H_
