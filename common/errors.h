#ifndef CVTRAIN_COMMON_ERRORS_H_
#define CVTRAIN_COMMON_ERRORS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

// Every error of cvtrain is an absl::Status with one machine-readable reason,
// carried as a payload. Code branches on the reason or on the status code,
// never on the text of a message. docs/errors.md explains each reason to users,
// and a test holds this list and that table together.
//
// X(enumerator, name on the wire)
#define CVTRAIN_REASONS(X)                         \
  /* The request itself. */                        \
  X(kFieldInvalid, "FIELD_INVALID")                \
  X(kRecipeInvalid, "RECIPE_INVALID")              \
  X(kUnknownName, "UNKNOWN_NAME")                  \
  X(kBadResourceName, "BAD_RESOURCE_NAME")         \
  X(kBadPageToken, "BAD_PAGE_TOKEN")               \
  X(kRequestIdReused, "REQUEST_ID_REUSED")         \
  X(kUsage, "USAGE")                               \
  /* The named thing. */                           \
  X(kExperimentNotFound, "EXPERIMENT_NOT_FOUND")   \
  X(kTrialNotFound, "TRIAL_NOT_FOUND")             \
  X(kAttemptNotFound, "ATTEMPT_NOT_FOUND")         \
  X(kDatasetNotFound, "DATASET_NOT_FOUND")         \
  X(kShardNotFound, "SHARD_NOT_FOUND")             \
  X(kCheckpointNotFound, "CHECKPOINT_NOT_FOUND")   \
  X(kWorkerNotFound, "WORKER_NOT_FOUND")           \
  X(kMetricNotFound, "METRIC_NOT_FOUND")           \
  X(kFileNotFound, "FILE_NOT_FOUND")               \
  X(kExperimentExists, "EXPERIMENT_EXISTS")        \
  X(kDatasetExists, "DATASET_EXISTS")              \
  X(kFileExists, "FILE_EXISTS")                    \
  /* Its state. */                                 \
  X(kTrialFinished, "TRIAL_FINISHED")              \
  X(kExperimentFinished, "EXPERIMENT_FINISHED")    \
  X(kWrongState, "WRONG_STATE")                    \
  X(kStateDirBusy, "STATE_DIR_BUSY")               \
  X(kSocketBusy, "SOCKET_BUSY")                    \
  X(kProtocolUnsupported, "PROTOCOL_UNSUPPORTED")  \
  X(kBuildMismatch, "BUILD_MISMATCH")              \
  X(kPlanVersionMismatch, "PLAN_VERSION_MISMATCH") \
  /* Lost races. */                                \
  X(kEtagMismatch, "ETAG_MISMATCH")                \
  X(kLeaseLost, "LEASE_LOST")                      \
  /* Limits. */                                    \
  X(kLimitExceeded, "LIMIT_EXCEEDED")              \
  X(kDiskFull, "DISK_FULL")                        \
  /* Who asks. */                                  \
  X(kTokenInvalid, "TOKEN_INVALID")                \
  X(kRoleRequired, "ROLE_REQUIRED")                \
  X(kNotYourAllocation, "NOT_YOUR_ALLOCATION")     \
  X(kFileForbidden, "FILE_FORBIDDEN")              \
  /* Not now. */                                   \
  X(kServerUnreachable, "SERVER_UNREACHABLE")      \
  X(kPeerGone, "PEER_GONE")                        \
  X(kStorageFailed, "STORAGE_FAILED")              \
  X(kStopping, "STOPPING")                         \
  X(kDeadline, "DEADLINE")                         \
  /* Stored or sent bytes are wrong. */            \
  X(kCheckpointBad, "CHECKPOINT_BAD")              \
  X(kShardBad, "SHARD_BAD")                        \
  X(kDataBad, "DATA_BAD")                          \
  X(kJournalDamaged, "JOURNAL_DAMAGED")            \
  X(kJournalBehind, "JOURNAL_BEHIND")              \
  X(kFrameBad, "FRAME_BAD")                        \
  /* Training. */                                  \
  X(kDiverged, "DIVERGED")                         \
  X(kOutOfMemory, "OUT_OF_MEMORY")                 \
  X(kDeviceFault, "DEVICE_FAULT")                  \
  X(kTrainerLost, "TRAINER_LOST")                  \
  /* A bug of ours. */                             \
  X(kInternal, "INTERNAL")

namespace cvtrain {

enum class Reason {
#define CVTRAIN_REASON_ENUMERATOR(enumerator, name) enumerator,
  CVTRAIN_REASONS(CVTRAIN_REASON_ENUMERATOR)
#undef CVTRAIN_REASON_ENUMERATOR
};

// Returns the name on the wire: "TRIAL_FINISHED".
absl::string_view ReasonName(Reason reason);

// Returns nothing if no reason has this name: a newer peer may know more.
std::optional<Reason> ReasonFromName(absl::string_view name);

// All reasons in the order of the list above.
const std::vector<Reason>& AllReasons();

// Makers of errors, named after the code; STYLE of a message: the thing, the
// rule, the way out. The message is kept as given: text from outside is escaped
// where it is printed or logged.
absl::Status InvalidArgument(Reason reason, absl::string_view message);
absl::Status NotFound(Reason reason, absl::string_view message);
absl::Status AlreadyExists(Reason reason, absl::string_view message);
absl::Status FailedPrecondition(Reason reason, absl::string_view message);
absl::Status Aborted(Reason reason, absl::string_view message);
absl::Status ResourceExhausted(Reason reason, absl::string_view message);
absl::Status Unavailable(Reason reason, absl::string_view message);
absl::Status DeadlineExceeded(Reason reason, absl::string_view message);
absl::Status Cancelled(Reason reason, absl::string_view message);
absl::Status DataLoss(Reason reason, absl::string_view message);
absl::Status PermissionDenied(Reason reason, absl::string_view message);
absl::Status Unauthenticated(Reason reason, absl::string_view message);
absl::Status Internal(Reason reason, absl::string_view message);

// An error of any code with a reason; for translators (of errno, of a wire
// status). `code` must not be OK.
absl::Status MakeError(absl::StatusCode code, Reason reason, absl::string_view message);

// Returns nothing for OK, for a status that was not made here, and for a reason
// that this build does not know.
std::optional<Reason> ReasonOf(const absl::Status& status);

// The wire name of the reason of `status`, known to this build or not; "" if none.
std::string ReasonNameOf(const absl::Status& status);

// Attaches or replaces the reason by its wire name: how a status that crossed a
// wire gets back a reason that this build may not know. No effect on OK.
void SetReasonName(absl::Status& status, absl::string_view name);

// Adds context in front: "opening shard <detail>: <message>". Keeps code and
// payloads; OK stays OK.
absl::Status Annotate(const absl::Status& status, absl::string_view doing,
                      absl::string_view detail = {});

// RESOURCE_EXHAUSTED with LIMIT_EXCEEDED, naming the limit (a name of limits.h).
absl::Status LimitExceeded(absl::string_view limit_name, absl::string_view message);

// The name given to LimitExceeded(), or "" if there is none.
std::string LimitNameOf(const absl::Status& status);

// Says after which time a repetition makes sense. No effect on OK.
absl::Status WithRetryDelay(absl::Status status, absl::Duration delay);
std::optional<absl::Duration> RetryDelayOf(const absl::Status& status);

// One broken rule of a request.
struct FieldViolation {
  std::string field;  // path: "recipe.optimizer.lr"
  std::string rule;   // "must be in (0, 10]"
  std::string value;  // what was given, "" if there is nothing to show

  friend bool operator==(const FieldViolation&, const FieldViolation&) = default;
};

// "recipe.optimizer.lr: must be in (0, 10], got -1"
std::string ToString(const FieldViolation& violation);

// INVALID_ARGUMENT with `reason` and one line per violation in the message and
// in the payload; after limits::kFieldViolationsMax only their number is said.
// Returns OK if `violations` is empty, so a validator can end with it.
absl::Status FieldViolations(const std::vector<FieldViolation>& violations,
                             Reason reason = Reason::kFieldInvalid);

// The violations listed in `status`; empty if it carries none.
std::vector<FieldViolation> FieldViolationsOf(const absl::Status& status);

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_ERRORS_H_
