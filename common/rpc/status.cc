#include "common/rpc/status.h"

#include <grpcpp/support/status.h>

#include <string>
#include <utility>
#include <vector>

#include "common/errors.h"
#include "common/text.h"
#include "cvtrain/v1/error.pb.h"

namespace cvtrain {
namespace {

// Message and details travel in trailers, of which many clients take 8 KiB in all; the details
// grow by a third on the way. What is over is cut, so that at least the reason arrives.
constexpr size_t kMessageSizeBytesMax = 2'048;
constexpr size_t kInfoSizeBytesMax = 3'584;

v1::ErrorInfo InfoOf(const absl::Status& status) {
  v1::ErrorInfo info;
  info.set_reason(ReasonNameOf(status));
  info.set_limit(LimitNameOf(status));
  for (const FieldViolation& violation : FieldViolationsOf(status)) {
    v1::FieldViolation& out = *info.add_violations();
    out.set_field(TruncateText(violation.field, 256));
    out.set_rule(TruncateText(violation.rule, 512));
    out.set_value(TruncateText(violation.value, 128));
    if (info.ByteSizeLong() > kInfoSizeBytesMax) {
      info.mutable_violations()->RemoveLast();
      break;
    }
  }
  if (const auto delay = RetryDelayOf(status)) {
    info.mutable_retry_delay()->set_seconds(absl::ToInt64Seconds(*delay));
    info.mutable_retry_delay()->set_nanos(
        static_cast<int32_t>(absl::ToInt64Nanoseconds(*delay % absl::Seconds(1))));
  }
  return info;
}

// The violations are rebuilt first, because they bring a message of their own.
absl::Status Rebuild(absl::StatusCode code, const std::string& message, const v1::ErrorInfo& info) {
  absl::Status status(code, message);
  if (!info.violations().empty()) {
    std::vector<FieldViolation> violations;
    for (const v1::FieldViolation& in : info.violations()) {
      violations.push_back({.field = in.field(), .rule = in.rule(), .value = in.value()});
    }
    const absl::Status listed = FieldViolations(violations);
    listed.ForEachPayload([&status](absl::string_view url, const absl::Cord& payload) {
      status.SetPayload(url, payload);
    });
  }
  if (!info.limit().empty()) {
    LimitExceeded(info.limit(), message)
        .ForEachPayload([&status](absl::string_view url, const absl::Cord& payload) {
          status.SetPayload(url, payload);
        });
  }
  if (!info.reason().empty()) SetReasonName(status, info.reason());
  if (info.has_retry_delay()) {
    status = WithRetryDelay(std::move(status), absl::Seconds(info.retry_delay().seconds()) +
                                                   absl::Nanoseconds(info.retry_delay().nanos()));
  }
  return status;
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const v1::ErrorInfo info = InfoOf(status);
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                      TruncateText(status.message(), kMessageSizeBytesMax),
                      info.SerializeAsString());
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  v1::ErrorInfo info;
  if (!status.error_details().empty() && info.ParseFromString(status.error_details())) {
    return Rebuild(code, status.error_message(), info);
  }
  absl::Status plain(code, status.error_message());
  if (code == absl::StatusCode::kUnavailable) {
    SetReasonName(plain, ReasonName(Reason::kServerUnreachable));
  } else if (code == absl::StatusCode::kDeadlineExceeded) {
    SetReasonName(plain, ReasonName(Reason::kDeadline));
  }
  return plain;
}

}  // namespace cvtrain
