#include "worker/agent/session/grpc/connect_stream.h"

#include <utility>

#include "common/errors.h"
#include "common/rpc/status.h"

namespace cvtrain::worker {

ConnectStream::ConnectStream(CoordinatorClient::StreamListener& listener,
                             std::function<void(ConnectStream*)> gone)
    : listener_(listener), gone_(std::move(gone)) {}

ConnectStream* ConnectStream::Open(session::v1::SessionService::Stub& stub,
                                   CoordinatorClient::StreamListener& listener,
                                   std::function<void(ConnectStream*)> gone) {
  auto* stream = new ConnectStream(listener, std::move(gone));
  stub.async()->Connect(&stream->context_, stream);
  // Held until the end of reading: writes begin outside of reactions.
  stream->AddHold();
  stream->StartRead(&stream->incoming_);
  stream->StartCall();
  return stream;
}

void ConnectStream::Send(session::v1::ConnectRequest message) {
  absl::MutexLock lock(&mu_);
  if (ended_ || closed_ || outgoing_.size() >= kMessagesMax) return;
  outgoing_.push_back(std::move(message));
  if (writing_) return;
  writing_ = true;
  StartWrite(&outgoing_.front());
}

void ConnectStream::Close() {
  {
    absl::MutexLock lock(&mu_);
    closed_ = true;
  }
  context_.TryCancel();
}

void ConnectStream::OnReadDone(bool ok) {
  bool closed = false;
  {
    absl::MutexLock lock(&mu_);
    closed = closed_;
    if (!ok) ended_ = true;
  }
  if (!ok) {
    RemoveHold();
    return;
  }
  if (!closed) listener_.OnStreamMessage(std::move(incoming_));
  incoming_.Clear();
  StartRead(&incoming_);
}

void ConnectStream::OnWriteDone(bool ok) {
  absl::MutexLock lock(&mu_);
  outgoing_.pop_front();
  writing_ = ok && !ended_ && !outgoing_.empty();
  if (writing_) StartWrite(&outgoing_.front());
}

void ConnectStream::OnDone(const grpc::Status& status) {
  bool closed = false;
  {
    absl::MutexLock lock(&mu_);
    closed = closed_;
  }
  if (!closed) {
    listener_.OnStreamClosed(
        status.ok() ? Unavailable(Reason::kPeerGone, "the coordinator closed the session")
                    : FromGrpcStatus(status));
  }
  gone_(this);
  delete this;
}

}  // namespace cvtrain::worker
