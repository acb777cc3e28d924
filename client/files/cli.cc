#include "client/files/cli.h"

#include "common/errors.h"

namespace cvtrain::client {

absl::Status Interrupted() { return Cancelled(Reason::kStopping, "interrupted"); }

ExitCode ExitCodeFor(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return ExitCode::kDone;
    case absl::StatusCode::kInvalidArgument:
      // Broken rules of fields are about a recipe; without fields it is the command line.
      if (!FieldViolationsOf(status).empty()) return ExitCode::kInvalid;
      return ReasonOf(status) == Reason::kUsage || ReasonOf(status) == Reason::kBadResourceName
                 ? ExitCode::kUsage
                 : ExitCode::kInvalid;
    case absl::StatusCode::kNotFound:
      return ExitCode::kNotFound;
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
      return ExitCode::kDenied;
    case absl::StatusCode::kUnavailable:
      return ExitCode::kUnreachable;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kFailedPrecondition:
      return ExitCode::kConflict;
    case absl::StatusCode::kDeadlineExceeded:
      return ExitCode::kTimeout;
    case absl::StatusCode::kCancelled:
      return ReasonOf(status) == Reason::kStopping ? ExitCode::kDetached : ExitCode::kFailed;
    default:
      return ExitCode::kFailed;
  }
}

}  // namespace cvtrain::client
