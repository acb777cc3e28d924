#ifndef CVTRAIN_COORDINATOR_SERVICE_SESSION_STREAM_H_
#define CVTRAIN_COORDINATOR_SERVICE_SESSION_STREAM_H_

#include <grpcpp/support/server_callback.h>

#include <deque>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "coordinator/engine/caller.h"
#include "coordinator/service/dispatch.h"
#include "coordinator/service/session_hub.h"
#include "cvtrain/session/v1/session.pb.h"

namespace cvtrain::coordinator {

// A worker's control stream as a reactor: no thread waits for it.
//
// It owns itself from Start() until gRPC is done with it. Reads go to the
// engine in order; writes are queued, one under way at a time. Thread-safe.
class SessionStream
    : public grpc::ServerBidiReactor<session::v1::ConnectRequest, session::v1::ConnectResponse>,
      public SessionPeer,
      public std::enable_shared_from_this<SessionStream> {
 public:
  // Makes a stream of `caller`, registers it and begins to read.
  static SessionStream* Start(const Caller& caller, SessionHub& hub, Dispatch& dispatch);

  // A stream that is refused at once.
  static SessionStream* Refuse(const absl::Status& status, SessionHub& hub, Dispatch& dispatch);

  void Send(const session::v1::ConnectResponse& message) override ABSL_LOCKS_EXCLUDED(mu_);
  void Close(const absl::Status& status) override ABSL_LOCKS_EXCLUDED(mu_);

 private:
  SessionStream(const Caller& caller, SessionHub& hub, Dispatch& dispatch)
      : caller_(caller), hub_(hub), dispatch_(dispatch) {}

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override ABSL_LOCKS_EXCLUDED(mu_);
  void OnDone() override;

  // Returns an error if the message cannot be taken.
  absl::Status TakeMessage();
  // Starts the next write or the end, whichever is due.
  void Proceed() ABSL_LOCKS_EXCLUDED(mu_);

  // Constant after Start().
  const Caller caller_;
  SessionHub& hub_;
  Dispatch& dispatch_;
  SessionId session_ = 0;

  // Of the read under way, which gRPC runs one at a time.
  session::v1::ConnectRequest request_;
  bool opened_ = false;

  absl::Mutex mu_;
  std::shared_ptr<SessionStream> self_ ABSL_GUARDED_BY(mu_);  // until OnDone()
  std::deque<session::v1::ConnectResponse> queue_ ABSL_GUARDED_BY(mu_);
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<absl::Status> closing_ ABSL_GUARDED_BY(mu_);
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_SERVICE_SESSION_STREAM_H_
