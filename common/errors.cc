#include "common/errors.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/limits.h"
#include "common/status_macros.h"

namespace cvtrain {
namespace {

constexpr absl::string_view kReasonUrl = "cvtrain/reason";
constexpr absl::string_view kLimitUrl = "cvtrain/limit";
constexpr absl::string_view kRetryDelayUrl = "cvtrain/retry_delay_ns";
constexpr absl::string_view kViolationsUrl = "cvtrain/field_violations";

struct Entry {
  Reason reason;
  absl::string_view name;
};

constexpr Entry kEntries[] = {
#define CVTRAIN_REASON_ENTRY(enumerator, name) {Reason::enumerator, name},
    CVTRAIN_REASONS(CVTRAIN_REASON_ENTRY)
#undef CVTRAIN_REASON_ENTRY
};

std::string PayloadOr(const absl::Status& status, absl::string_view url) {
  const auto payload = status.GetPayload(url);
  return payload.has_value() ? std::string(*payload) : std::string();
}

// Strings in a row, each as "<length>:<bytes>".
void AppendPacked(std::string& out, absl::string_view text) {
  absl::StrAppend(&out, text.size(), ":", text);
}

bool TakePacked(absl::string_view& in, std::string& text) {
  const size_t colon = in.find(':');
  uint64_t size = 0;
  if (colon == absl::string_view::npos || !absl::SimpleAtoi(in.substr(0, colon), &size) ||
      size > in.size() - colon - 1) {
    return false;
  }
  text = std::string(in.substr(colon + 1, size));
  in.remove_prefix(colon + 1 + size);
  return true;
}

}  // namespace

absl::string_view ReasonName(Reason reason) { return kEntries[static_cast<size_t>(reason)].name; }

std::optional<Reason> ReasonFromName(absl::string_view name) {
  for (const Entry& entry : kEntries) {
    if (entry.name == name) return entry.reason;
  }
  return std::nullopt;
}

const std::vector<Reason>& AllReasons() {
  static const auto* const all = [] {
    auto* reasons = new std::vector<Reason>;
    for (const Entry& entry : kEntries) reasons->push_back(entry.reason);
    return reasons;
  }();
  return *all;
}

absl::Status MakeError(absl::StatusCode code, Reason reason, absl::string_view message) {
  CVT_CHECK(code != absl::StatusCode::kOk) << message;
  absl::Status status(code, message);
  SetReasonName(status, ReasonName(reason));
  return status;
}

absl::Status InvalidArgument(Reason reason, absl::string_view message) {
  return MakeError(absl::StatusCode::kInvalidArgument, reason, message);
}
absl::Status NotFound(Reason reason, absl::string_view message) {
  return MakeError(absl::StatusCode::kNotFound, reason, message);
}
absl::Status AlreadyExists(Reason reason, absl::string_view message) {
  return MakeError(absl::StatusCode::kAlreadyExists, reason, message);
}
absl::Status FailedPrecondition(Reason reason, absl::string_view message) {
  return MakeError(absl::StatusCode::kFailedPrecondition, reason, message);
}
absl::Status Aborted(Reason reason, absl::string_view message) {
  return MakeError(absl::StatusCode::kAborted, reason, message);
}
absl::Status ResourceExhausted(Reason reason, absl::string_view message) {
  return MakeError(absl::StatusCode::kResourceExhausted, reason, message);
}
absl::Status Unavailable(Reason reason, absl::string_view message) {
  return MakeError(absl::StatusCode::kUnavailable, reason, message);
}
absl::Status DeadlineExceeded(Reason reason, absl::string_view message) {
  return MakeError(absl::StatusCode::kDeadlineExceeded, reason, message);
}
absl::Status Cancelled(Reason reason, absl::string_view message) {
  return MakeError(absl::StatusCode::kCancelled, reason, message);
}
absl::Status DataLoss(Reason reason, absl::string_view message) {
  return MakeError(absl::StatusCode::kDataLoss, reason, message);
}
absl::Status PermissionDenied(Reason reason, absl::string_view message) {
  return MakeError(absl::StatusCode::kPermissionDenied, reason, message);
}
absl::Status Unauthenticated(Reason reason, absl::string_view message) {
  return MakeError(absl::StatusCode::kUnauthenticated, reason, message);
}
absl::Status Internal(Reason reason, absl::string_view message) {
  return MakeError(absl::StatusCode::kInternal, reason, message);
}

std::optional<Reason> ReasonOf(const absl::Status& status) {
  return ReasonFromName(ReasonNameOf(status));
}

std::string ReasonNameOf(const absl::Status& status) { return PayloadOr(status, kReasonUrl); }

void SetReasonName(absl::Status& status, absl::string_view name) {
  if (!status.ok()) status.SetPayload(kReasonUrl, absl::Cord(name));
}

absl::Status Annotate(const absl::Status& status, absl::string_view doing,
                      absl::string_view detail) {
  if (status.ok()) return status;
  absl::Status annotated(status.code(), absl::StrCat(doing, detail.empty() ? "" : " ", detail, ": ",
                                                     status.message()));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    annotated.SetPayload(url, payload);
  });
  return annotated;
}

absl::Status LimitExceeded(absl::string_view limit_name, absl::string_view message) {
  absl::Status status =
      ResourceExhausted(Reason::kLimitExceeded, absl::StrCat(message, " (limit ", limit_name, ")"));
  status.SetPayload(kLimitUrl, absl::Cord(limit_name));
  return status;
}

std::string LimitNameOf(const absl::Status& status) { return PayloadOr(status, kLimitUrl); }

absl::Status WithRetryDelay(absl::Status status, absl::Duration delay) {
  if (!status.ok()) {
    status.SetPayload(kRetryDelayUrl, absl::Cord(absl::StrCat(absl::ToInt64Nanoseconds(delay))));
  }
  return status;
}

std::optional<absl::Duration> RetryDelayOf(const absl::Status& status) {
  int64_t nanoseconds = 0;
  if (!absl::SimpleAtoi(PayloadOr(status, kRetryDelayUrl), &nanoseconds)) return std::nullopt;
  return absl::Nanoseconds(nanoseconds);
}

std::string ToString(const FieldViolation& violation) {
  std::string text = absl::StrCat(violation.field, ": ", violation.rule);
  if (!violation.value.empty()) absl::StrAppend(&text, ", got ", violation.value);
  return text;
}

absl::Status FieldViolations(const std::vector<FieldViolation>& violations, Reason reason) {
  if (violations.empty()) return absl::OkStatus();
  const size_t listed = std::min(violations.size(), limits::kFieldViolationsMax);
  std::string message;
  std::string packed;
  for (size_t i = 0; i < listed; ++i) {
    absl::StrAppend(&message, i == 0 ? "" : "\n", ToString(violations[i]));
    AppendPacked(packed, violations[i].field);
    AppendPacked(packed, violations[i].rule);
    AppendPacked(packed, violations[i].value);
  }
  if (listed < violations.size()) {
    absl::StrAppend(&message, "\nand ", violations.size() - listed, " more");
  }
  absl::Status status = InvalidArgument(reason, message);
  status.SetPayload(kViolationsUrl, absl::Cord(packed));
  return status;
}

std::vector<FieldViolation> FieldViolationsOf(const absl::Status& status) {
  const std::string packed = PayloadOr(status, kViolationsUrl);
  absl::string_view rest = packed;
  std::vector<FieldViolation> violations;
  FieldViolation next;
  while (!rest.empty() && violations.size() < limits::kFieldViolationsMax &&
         TakePacked(rest, next.field) && TakePacked(rest, next.rule) &&
         TakePacked(rest, next.value)) {
    violations.push_back(next);
  }
  return violations;
}

}  // namespace cvtrain
