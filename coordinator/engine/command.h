#ifndef CVTRAIN_COORDINATOR_ENGINE_COMMAND_H_
#define CVTRAIN_COORDINATOR_ENGINE_COMMAND_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "coordinator/engine/caller.h"
#include "coordinator/state/cluster_state.h"
#include "coordinator/state/decision.h"

namespace google::protobuf {
class Message;
}  // namespace google::protobuf

namespace cvtrain::coordinator {

class View;

// The moment of a step, as data: `wall` for records, `steady` for leases and time-outs.
struct Instant {
  absl::Time wall;
  absl::Duration steady;
};

// What an accepted command comes to.
struct Answer {
  // Durable. Of the command's event; where nothing had to change, the newest one.
  int64_t revision = 0;
  // As the decision named it; "" if there is none.
  std::string resource;
};

// A request to change something.
struct Command {
  Caller caller;
  // UUID in lower case; "" for calls that are safe to repeat by themselves (those of workers).
  std::string request_id;
  // Fingerprint(); ignored without a request id.
  std::string fingerprint;
  // May it happen? Pure; called once, at once, in the engine's thread.
  std::function<Decision(const ClusterState& state, absl::Time now)> decide;
  // Called once, in the engine's thread, from Flush() (or from Commit() if the queue is full).
  // `view` is valid during the call, and empty with an error. Must not call the engine.
  //
  // Errors are those of `decide`, and
  //   INVALID_ARGUMENT (REQUEST_ID_REUSED)    the id was used with another fingerprint
  //   RESOURCE_EXHAUSTED (LIMIT_EXCEEDED)     queue, remembered requests, size of the event
  //   UNAVAILABLE (STORAGE_FAILED)            outcome unknown, repeat with the same request id
  std::function<void(const View& view, const absl::StatusOr<Answer>& answer)> done;
};

// SHA-256 over method, caller's identity and body (whose field `request_id` is part of it): the
// same request of the same caller has the same.
std::string Fingerprint(absl::string_view method, const Caller& caller,
                        const google::protobuf::Message& request);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_ENGINE_COMMAND_H_
