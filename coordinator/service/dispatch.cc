#include "coordinator/service/dispatch.h"

#include "absl/strings/str_cat.h"
#include "common/text.h"
#include "common/uuid.h"

namespace cvtrain::coordinator {
namespace {

// Of a value from outside, in an answer.
constexpr size_t kShownSizeBytesMax = 64;

}  // namespace

Dispatch::Dispatch(EngineLoop& loop, TelemetryRegistry& telemetry,
                   std::function<absl::Status()> check_space)
    : loop_(loop),
      check_space_(std::move(check_space)),
      calls_(telemetry,
             {.name = "cvtrain_coordinator_calls_total", .help = "Finished calls by outcome."},
             "code",
             {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "FAILED_PRECONDITION",
              "ABORTED", "RESOURCE_EXHAUSTED", "UNAVAILABLE", "DATA_LOSS", "PERMISSION_DENIED",
              "UNAUTHENTICATED", "INTERNAL", "CANCELLED", "DEADLINE_EXCEEDED"}) {}

grpc::Status Dispatch::Count(const absl::Status& status) {
  calls_.For(absl::StatusCodeToString(status.code())).Increment();
  return ToGrpcStatus(status);
}

void Dispatch::Finish(grpc::ServerUnaryReactor* reactor, const absl::Status& status) {
  reactor->Finish(Count(status));
}

absl::Status Dispatch::CheckRequestId(absl::string_view request_id) {
  if (Uuid::Parse(request_id).ok()) return absl::OkStatus();
  return FieldViolations({{.field = "request_id",
                           .rule = "must be a UUID, made anew for each mutation and kept over its "
                                   "repetitions",
                           .value = SafeText(request_id, kShownSizeBytesMax)}});
}

Dispatch::DecideFunction Dispatch::IfThereIsSpace(DecideFunction decide) const {
  // Asked here: the engine's thread waits for no disk.
  return [space = check_space_(), decide = std::move(decide)](const ClusterState& state,
                                                              absl::Time now) -> Decision {
    CVT_RETURN_IF_ERROR(space);
    return decide(state, now);
  };
}

absl::Status Dispatch::PostRead(std::function<void(const absl::StatusOr<View>& view)> read) {
  return loop_.Post([read = std::move(read)](Engine& engine, const Instant& now) mutable {
    engine.Read(std::move(read), now);
  });
}

absl::StatusOr<Answer> Dispatch::CommitAndWait(
    const Caller& caller, const RequestKey& key, DecideFunction decide,
    const std::function<void(const View& view, const Answer& answer)>& reply) {
  absl::StatusOr<Answer> result = absl::UnknownError("not run");
  absl::Notification done;
  Command command = {.caller = caller,
                     .request_id = key.id,
                     .fingerprint = key.fingerprint,
                     .decide = std::move(decide),
                     .done = [&](const View& view, const absl::StatusOr<Answer>& answer) {
                       result = answer;
                       if (answer.ok() && reply) reply(view, *answer);
                       done.Notify();
                     }};
  CVT_RETURN_IF_ERROR(
      loop_.Post([command = std::move(command)](Engine& engine, const Instant& now) mutable {
        engine.Commit(std::move(command), now);
      }));
  done.WaitForNotification();
  return result;
}

}  // namespace cvtrain::coordinator
