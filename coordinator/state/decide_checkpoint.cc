#include "coordinator/state/decide_checkpoint.h"

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/ids.h"
#include "common/limits.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "coordinator/state/retention.h"

namespace cvtrain::coordinator {
namespace {

// Of a value from outside, in an answer.
constexpr size_t kShownBytesMax = 64;

absl::Status CheckHeader(const v1::ImportCheckpointHeader& header) {
  std::vector<FieldViolation> violations;
  if (!Uuid::Parse(header.request_id()).ok()) {
    violations.push_back({.field = "request_id",
                          .rule = "must be a UUID, which the checkpoint is named after",
                          .value = SafeText(header.request_id(), kShownBytesMax)});
  }
  if (!IsPlainText(header.label(), limits::kImportLabelCharactersMax)) {
    violations.push_back({.field = "label",
                          .rule = absl::StrCat("must have 1 to ", limits::kImportLabelCharactersMax,
                                               " characters, no control characters"),
                          .value = SafeText(header.label(), kShownBytesMax)});
  }
  if (header.size_bytes() <= 0) {
    violations.push_back({.field = "size_bytes",
                          .rule = "must be positive",
                          .value = absl::StrCat(header.size_bytes())});
  }
  if (!IsSha256Hex(header.digest())) {
    violations.push_back({.field = "digest",
                          .rule = "must be 64 lower-case hexadecimal digits",
                          .value = SafeText(header.digest(), kShownBytesMax)});
  }
  CVT_RETURN_IF_ERROR(FieldViolations(violations));
  if (static_cast<uint64_t>(header.size_bytes()) <= limits::kCheckpointSizeBytesMax) {
    return absl::OkStatus();
  }
  return LimitExceeded("kCheckpointSizeBytesMax",
                       absl::StrCat("size_bytes: ", header.size_bytes(), " is more than ",
                                    limits::kCheckpointSizeBytesMax));
}

}  // namespace

Decision DecideImportCheckpoint(const ClusterState& state, const v1::ImportCheckpointHeader& header,
                                absl::Time) {
  CVT_RETURN_IF_ERROR(CheckHeader(header));
  CVT_ASSIGN_OR_RETURN(const Uuid uuid, Uuid::Parse(header.request_id()));
  const CheckpointName name(uuid);
  Decided decided;
  decided.resource = name.ToString();
  const auto listed = state.checkpoints().find(name);
  if (listed != state.checkpoints().end()) {
    const storage::v1::CheckpointRecord& record = listed->second;
    if (state.imported().contains(name) && record.digest() == header.digest() &&
        record.label() == header.label() && record.size_bytes() == header.size_bytes()) {
      return decided;
    }
    return InvalidArgument(
        Reason::kRequestIdReused,
        absl::StrCat("request_id: another checkpoint is ", name.ToString(), "; make a new one"));
  }
  if (state.imported().size() >= limits::kImportedCheckpointsMax) {
    return LimitExceeded(
        "kImportedCheckpointsMax",
        absl::StrCat("checkpoints: ", state.imported().size(),
                     " are imported, which is the most; delete one that is not needed"));
  }
  storage::v1::CheckpointImported& event = *decided.event.emplace().mutable_checkpoint_imported();
  event.set_name(decided.resource);
  event.set_label(header.label());
  event.set_size_bytes(header.size_bytes());
  event.set_digest(header.digest());
  return decided;
}

Decision DecideDeleteCheckpoint(const ClusterState& state,
                                const v1::DeleteCheckpointRequest& request, absl::Time) {
  CVT_ASSIGN_OR_RETURN(const CheckpointName name, CheckpointName::Parse(request.name()));
  CVT_ASSIGN_OR_RETURN(const storage::v1::CheckpointRecord* record, state.FindCheckpoint(name));
  const auto refuse = [&](absl::string_view why) {
    return FailedPrecondition(Reason::kWrongState, absl::StrCat(request.name(), ": ", why));
  };
  if (!state.imported().contains(name)) {
    return refuse(absl::StrCat("was made by ", record->attempt(),
                               "; recipe.checkpoint says what is kept, only imported ones can be "
                               "deleted"));
  }
  if (const std::optional<ExperimentName> user = BegunWith(state, name)) {
    return refuse(absl::StrCat(user->ToString(),
                               " begins with it and has not ended; wait until it ends, or cancel "
                               "it"));
  }
  Decided decided;
  decided.resource = request.name();
  decided.event.emplace().mutable_checkpoint_deleted()->set_name(request.name());
  return decided;
}

}  // namespace cvtrain::coordinator
