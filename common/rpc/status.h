#ifndef CVTRAIN_COMMON_RPC_STATUS_H_
#define CVTRAIN_COMMON_RPC_STATUS_H_

#include "absl/status/status.h"

namespace grpc {
class Status;
}  // namespace grpc

// The one mapping between absl::Status and grpc::Status. Codes are the same
// numbers; reason, violations, limit and retry delay travel as
// cvtrain.v1.ErrorInfo in the status's binary details. Thread-safe.
namespace cvtrain {

grpc::Status ToGrpcStatus(const absl::Status& status);

// A status without ErrorInfo comes from gRPC itself: UNAVAILABLE gets the
// reason SERVER_UNREACHABLE, DEADLINE_EXCEEDED gets DEADLINE, anything else none.
absl::Status FromGrpcStatus(const grpc::Status& status);

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_RPC_STATUS_H_
