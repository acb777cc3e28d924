#ifndef CVTRAIN_COORDINATOR_SERVICE_DISPATCH_H_
#define CVTRAIN_COORDINATOR_SERVICE_DISPATCH_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "common/errors.h"
#include "common/rpc/status.h"
#include "common/status_macros.h"
#include "common/telemetry.h"
#include "coordinator/engine/command.h"
#include "coordinator/engine/loop/engine_loop.h"
#include "coordinator/engine/view.h"
#include "coordinator/service/authentication.h"

namespace cvtrain::coordinator {

// How handlers reach the engine: who asks, is the request well-formed, what do
// they hear. Every handler is one of
//
//   Read    answers from durable state
//   Commit  changes state, then answers from what it has become
//
// in two forms: with a reactor, which holds no thread while it waits, and
// blocking, for handlers that have a thread because they move bulk data.
// Thread-safe.
class Dispatch {
 public:
  // Whether a user's mutation may take what is kept free on a disk that fills up. Those that end
  // work may: they make room.
  enum class Reserve { kKeep, kMayUse };

  // Tells a repetition from another request. Empty for what is safe to repeat by itself.
  struct RequestKey {
    std::string id;
    std::string fingerprint;
  };

  // `check_space` returns RESOURCE_EXHAUSTED (DISK_FULL) while only the reserve is left.
  Dispatch(EngineLoop& loop, TelemetryRegistry& telemetry,
           std::function<absl::Status()> check_space);

  // Finishes `reactor`, and counts the outcome.
  void Finish(grpc::ServerUnaryReactor* reactor, const absl::Status& status);

  template <typename Response>
  using ReadFunction =
      std::function<absl::StatusOr<Response>(const View& view, const Caller& caller)>;
  template <typename Response>
  using ReplyFunction =
      std::function<absl::StatusOr<Response>(const View& view, const Answer& answer)>;
  using DecideFunction = std::function<Decision(const ClusterState& state, absl::Time now)>;

  // `response` lives until the call is finished.
  template <typename Response>
  grpc::ServerUnaryReactor* Read(grpc::CallbackServerContext* context, Role needed,
                                 Response* response, ReadFunction<Response> read) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    const absl::StatusOr<Caller> caller = Authenticate(*context, needed);
    if (!caller.ok()) {
      Finish(reactor, caller.status());
      return reactor;
    }
    FinishIfRefused(reactor, PostRead([this, reactor, response, caller = *caller,
                                       read = std::move(read)](const absl::StatusOr<View>& view) {
                      Finish(reactor, FillFrom(view, response, [&](const View& durable) {
                               return read(durable, caller);
                             }));
                    }));
    return reactor;
  }

  // A mutation of a user: `request` has a request_id. While the disk is full it is refused, so that
  // what runs can go on, unless it may use the reserve.
  template <typename Request, typename Response>
  grpc::ServerUnaryReactor* Commit(grpc::CallbackServerContext* context, Role needed,
                                   absl::string_view method, const Request& request,
                                   Response* response, DecideFunction decide,
                                   ReplyFunction<Response> reply,
                                   Reserve reserve = Reserve::kKeep) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    const absl::StatusOr<Caller> caller = Authenticate(*context, needed);
    absl::Status status = caller.status();
    if (status.ok()) status = CheckRequestId(request.request_id());
    if (!status.ok()) {
      Finish(reactor, status);
      return reactor;
    }
    Command command = {
        .caller = *caller,
        .request_id = request.request_id(),
        .fingerprint = Fingerprint(method, *caller, request),
        .decide = reserve == Reserve::kKeep ? IfThereIsSpace(std::move(decide)) : std::move(decide),
        .done = {}};
    PostCommand(reactor, response, std::move(command), std::move(reply));
    return reactor;
  }

  // A mutation that is safe to repeat by itself: a worker's.
  template <typename Response>
  grpc::ServerUnaryReactor* CommitForWorker(grpc::CallbackServerContext* context,
                                            absl::string_view worker, Response* response,
                                            DecideFunction decide, ReplyFunction<Response> reply) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    const absl::StatusOr<Caller> caller = Authenticate(*context, Role::kWorker);
    absl::Status status = caller.status();
    if (status.ok()) status = CheckSpeaksFor(*caller, worker);
    if (!status.ok()) {
      Finish(reactor, status);
      return reactor;
    }
    Command command = {.caller = *caller,
                       .request_id = {},
                       .fingerprint = {},
                       .decide = std::move(decide),
                       .done = {}};
    PostCommand(reactor, response, std::move(command), std::move(reply));
    return reactor;
  }

  // A handler without a reactor: authenticates, runs `function`, which gets the caller and returns
  // a status, and counts the outcome.
  template <typename Function>
  grpc::Status Run(grpc::ServerContext* context, Role needed, const Function& function) {
    const absl::StatusOr<Caller> caller = Authenticate(*context, needed);
    return Count(caller.ok() ? function(*caller) : caller.status());
  }

  // Fills `response` with what `read` makes of the durable state, and waits for it.
  template <typename Response, typename Function>
  absl::Status Fill(Response* response, const Function& read) {
    CVT_ASSIGN_OR_RETURN(*response, ReadAndWait<Response>(read));
    return absl::OkStatus();
  }

  // Runs `read` on the loop's thread and waits for it.
  template <typename Result>
  absl::StatusOr<Result> ReadAndWait(
      const std::function<absl::StatusOr<Result>(const View& view)>& read) {
    absl::StatusOr<Result> result = absl::UnknownError("not run");
    absl::Notification done;
    CVT_RETURN_IF_ERROR(PostRead([&](const absl::StatusOr<View>& view) {
      if (view.ok()) {
        result = read(*view);
      } else {
        result = view.status();
      }
      done.Notify();
    }));
    done.WaitForNotification();
    return result;
  }

  // Commits and waits until it is durable. `reply` may be null.
  absl::StatusOr<Answer> CommitAndWait(
      const Caller& caller, const RequestKey& key, DecideFunction decide,
      const std::function<void(const View& view, const Answer& answer)>& reply = nullptr);

  // `decide`, unless the disk is full. A repetition is not decided again: it gets its one answer.
  DecideFunction IfThereIsSpace(DecideFunction decide) const;

  EngineLoop& loop() { return loop_; }

  // INVALID_ARGUMENT (FIELD_INVALID) unless it is a UUID.
  static absl::Status CheckRequestId(absl::string_view request_id);

  // Counts an outcome of a call that has no reactor; returns it for the wire.
  grpc::Status Count(const absl::Status& status);

 private:
  absl::Status PostRead(std::function<void(const absl::StatusOr<View>& view)> read);
  void FinishIfRefused(grpc::ServerUnaryReactor* reactor, const absl::Status& posted) {
    if (!posted.ok()) Finish(reactor, posted);
  }

  template <typename Response, typename Function>
  static absl::Status FillFrom(const absl::StatusOr<View>& view, Response* response,
                               const Function& function) {
    if (!view.ok()) return view.status();
    absl::StatusOr<Response> result = function(*view);
    if (result.ok()) *response = *std::move(result);
    return result.status();
  }

  template <typename Response>
  void PostCommand(grpc::ServerUnaryReactor* reactor, Response* response, Command command,
                   ReplyFunction<Response> reply) {
    command.done = [this, reactor, response, reply = std::move(reply)](
                       const View& view, const absl::StatusOr<Answer>& answer) {
      if (!answer.ok()) {
        Finish(reactor, answer.status());
        return;
      }
      Finish(reactor, FillFrom(absl::StatusOr<View>(view), response,
                               [&](const View& durable) { return reply(durable, *answer); }));
    };
    FinishIfRefused(reactor, loop_.Post([command = std::move(command)](Engine& engine,
                                                                       const Instant& now) mutable {
      engine.Commit(std::move(command), now);
    }));
  }

  EngineLoop& loop_;
  const std::function<absl::Status()> check_space_;
  CounterSet calls_;  // by status code
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_SERVICE_DISPATCH_H_
