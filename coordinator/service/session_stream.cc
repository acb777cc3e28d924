#include "coordinator/service/session_stream.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/ids.h"

namespace cvtrain::coordinator {
namespace {

// Messages that wait for a slow worker. One that reads none of so many is gone.
constexpr size_t kQueueMax = 10'000;

}  // namespace

SessionStream* SessionStream::Start(const Caller& caller, SessionHub& hub, Dispatch& dispatch) {
  const std::shared_ptr<SessionStream> stream(new SessionStream(caller, hub, dispatch));
  {
    absl::MutexLock lock(&stream->mu_);
    stream->self_ = stream;
  }
  stream->session_ = hub.Add(stream);
  stream->StartRead(&stream->request_);
  return stream.get();
}

SessionStream* SessionStream::Refuse(const absl::Status& status, SessionHub& hub,
                                     Dispatch& dispatch) {
  const std::shared_ptr<SessionStream> stream(new SessionStream({}, hub, dispatch));
  {
    absl::MutexLock lock(&stream->mu_);
    stream->self_ = stream;
  }
  stream->Close(status);
  return stream.get();
}

void SessionStream::Send(const session::v1::ConnectResponse& message) {
  {
    absl::MutexLock lock(&mu_);
    if (closing_.has_value()) return;
    if (queue_.size() >= kQueueMax) {
      queue_.resize(writing_ ? 1 : 0);  // the first is being written
      closing_ = LimitExceeded("session_queue_max",
                               absl::StrCat(kQueueMax, " messages wait for this worker"));
    } else {
      queue_.push_back(message);
    }
  }
  Proceed();
}

void SessionStream::Close(const absl::Status& status) {
  {
    absl::MutexLock lock(&mu_);
    if (!closing_.has_value()) closing_ = status;
  }
  Proceed();
}

void SessionStream::Proceed() {
  const session::v1::ConnectResponse* next = nullptr;
  std::optional<absl::Status> end;
  {
    absl::MutexLock lock(&mu_);
    if (writing_ || finished_) return;
    if (!queue_.empty()) {
      writing_ = true;
      next = &queue_.front();
    } else if (closing_.has_value()) {
      finished_ = true;
      end = *closing_;
    }
  }
  if (next != nullptr) StartWrite(next);
  if (end.has_value()) Finish(dispatch_.Count(*end));
}

void SessionStream::OnWriteDone(bool ok) {
  {
    absl::MutexLock lock(&mu_);
    writing_ = false;
    queue_.pop_front();
    if (!ok) {
      queue_.clear();
      if (!closing_.has_value()) closing_ = Unavailable(Reason::kPeerGone, "the worker has gone");
    }
  }
  Proceed();
}

void SessionStream::OnReadDone(bool ok) {
  if (!ok) {
    Close(absl::OkStatus());
    return;
  }
  const absl::Status status = TakeMessage();
  if (!status.ok()) {
    Close(status);
    return;
  }
  StartRead(&request_);
}

absl::Status SessionStream::TakeMessage() {
  const SessionId session = session_;
  if (!opened_) {
    if (!request_.has_hello()) {
      return InvalidArgument(Reason::kFieldInvalid, "the first message of a session must be Hello");
    }
    CVT_RETURN_IF_ERROR(CheckSpeaksFor(caller_, request_.hello().worker()));
    opened_ = true;
    return dispatch_.loop().Post(
        [session, hello = request_.hello()](Engine& engine, const Instant& now) {
          engine.OpenSession(session, hello, now);
        });
  }
  return dispatch_.loop().Post([session, message = request_](Engine& engine, const Instant& now) {
    engine.OnMessage(session, message, now);
  });
}

void SessionStream::OnDone() {
  // The engine may have closed the session itself; it ignores unknown ones.
  dispatch_.loop()
      .Post([session = session_](Engine& engine, const Instant& now) {
        engine.CloseSession(session, now);
      })
      .IgnoreError();  // a full queue or a stop: the lease table notices the worker's silence
  hub_.Remove(session_);
  std::shared_ptr<SessionStream> self;  // dies last, when the lock is released
  {
    absl::MutexLock lock(&mu_);
    self = std::move(self_);
  }
}

}  // namespace cvtrain::coordinator
