#ifndef CVTRAIN_COORDINATOR_STATE_DECISION_H_
#define CVTRAIN_COORDINATOR_STATE_DECISION_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "cvtrain/storage/v1/event.pb.h"

namespace cvtrain::coordinator {

// What a decision comes to: an event, or nothing to change because what was asked for holds
// already. The event has its kind and its consequences; the engine fills in revision, time, caller
// and request.
struct Decided {
  std::optional<storage::v1::Event> event;
  // Resource that the answer is about; "" if there is none.
  std::string resource = {};
};

using Decision = absl::StatusOr<Decided>;

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STATE_DECISION_H_
