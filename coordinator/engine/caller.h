#ifndef CVTRAIN_COORDINATOR_ENGINE_CALLER_H_
#define CVTRAIN_COORDINATOR_ENGINE_CALLER_H_

#include <string>

#include "absl/strings/string_view.h"

namespace cvtrain::coordinator {

// What a caller may do. The first four are a ladder: each may do what the one before may. A worker
// stands beside it and may speak for its own allocations only.
enum class Role { kViewer = 1, kSubmitter = 2, kOperator = 3, kAdmin = 4, kWorker = 5 };

// "viewer", "submitter", ...
absl::string_view RoleName(Role role);

// Who asks, as the transport has found out; recorded in every event.
struct Caller {
  // "local" for the owner of the socket, a user's name, a worker's resource name.
  std::string identity;
  Role role = Role::kViewer;
};

// True if `role` is `needed` or stands above it on its ladder. An admin is no worker.
bool Includes(Role role, Role needed);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_ENGINE_CALLER_H_
