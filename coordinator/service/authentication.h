#ifndef CVTRAIN_COORDINATOR_SERVICE_AUTHENTICATION_H_
#define CVTRAIN_COORDINATOR_SERVICE_AUTHENTICATION_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/engine/caller.h"

namespace grpc {
class ServerContextBase;
}  // namespace grpc

namespace cvtrain::coordinator {

// Whether the call came over the local socket, which only its owner can open.
bool IsLocalCall(const grpc::ServerContextBase& context);

// Who calls. On a local socket, which only its owner can open: `local`, an
// admin, and a worker where the service is the workers'. Over TLS: what the
// client's certificate says in its URI name, `spiffe://<domain>/<kind>/<id>`
// with kind worker, viewer, client (a submitter), operator or admin.
//
// Returns UNAUTHENTICATED (TOKEN_INVALID) without a name of this form, and
// PERMISSION_DENIED (ROLE_REQUIRED) if the role is not `needed` or above it.
absl::StatusOr<Caller> Authenticate(const grpc::ServerContextBase& context, Role needed);

// OK if `caller` may speak for `worker` ("workers/gpu-a"), else
// PERMISSION_DENIED (NOT_YOUR_ALLOCATION).
absl::Status CheckSpeaksFor(const Caller& caller, absl::string_view worker);

// The caller of a certificate's URI name. Errors as Authenticate().
absl::StatusOr<Caller> CallerOfUri(absl::string_view uri);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_SERVICE_AUTHENTICATION_H_
