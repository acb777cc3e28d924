#ifndef CVTRAIN_WORKER_AGENT_SESSION_GRPC_CONNECT_STREAM_H_
#define CVTRAIN_WORKER_AGENT_SESSION_GRPC_CONNECT_STREAM_H_

#include <grpcpp/grpcpp.h>

#include <deque>
#include <functional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "cvtrain/session/v1/session.grpc.pb.h"
#include "worker/agent/session/coordinator_client.h"

namespace cvtrain::worker {

// One control stream. Owns itself: made by Open(), gone after its last reaction, before
// which it calls `gone`. Thread-safe until then.
class ConnectStream
    : public grpc::ClientBidiReactor<session::v1::ConnectRequest, session::v1::ConnectResponse> {
 public:
  // `stub` and `listener` must outlive the stream.
  static ConnectStream* Open(session::v1::SessionService::Stub& stub,
                             CoordinatorClient::StreamListener& listener,
                             std::function<void(ConnectStream*)> gone);

  void Send(session::v1::ConnectRequest message) ABSL_LOCKS_EXCLUDED(mu_);
  // Ends it; the listener hears nothing more.
  void Close() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // Messages that wait while the peer does not read. Renewals repeat themselves, so that
  // losing them with the stream is all that can happen.
  static constexpr size_t kMessagesMax = 1'000;

  ConnectStream(CoordinatorClient::StreamListener& listener,
                std::function<void(ConnectStream*)> gone);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

  CoordinatorClient::StreamListener& listener_;
  const std::function<void(ConnectStream*)> gone_;
  grpc::ClientContext context_;
  session::v1::ConnectResponse incoming_;  // owned by the read under way

  absl::Mutex mu_;
  std::deque<session::v1::ConnectRequest> outgoing_ ABSL_GUARDED_BY(mu_);  // front: being written
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;   // no more writes may begin
  bool closed_ ABSL_GUARDED_BY(mu_) = false;  // from this side
};

}  // namespace cvtrain::worker

#endif  // CVTRAIN_WORKER_AGENT_SESSION_GRPC_CONNECT_STREAM_H_
