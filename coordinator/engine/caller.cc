#include "coordinator/engine/caller.h"

namespace cvtrain::coordinator {

absl::string_view RoleName(Role role) {
  switch (role) {
    case Role::kViewer:
      return "viewer";
    case Role::kSubmitter:
      return "submitter";
    case Role::kOperator:
      return "operator";
    case Role::kAdmin:
      return "admin";
    case Role::kWorker:
      return "worker";
  }
  return "unknown";
}

bool Includes(Role role, Role needed) {
  if (role == Role::kWorker || needed == Role::kWorker) return role == needed;
  return static_cast<int>(role) >= static_cast<int>(needed);
}

}  // namespace cvtrain::coordinator
