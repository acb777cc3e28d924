#include "coordinator/service/authentication.h"

#include <grpcpp/security/auth_context.h>
#include <grpcpp/server_context.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/errors.h"
#include "common/ids.h"
#include "common/status_macros.h"

namespace cvtrain::coordinator {
namespace {

constexpr char kLocalIdentity[] = "local";
// Property of a peer's certificate that gRPC fills in.
constexpr char kPeerUriProperty[] = "peer_uri";

absl::Status BadName() {
  return Unauthenticated(Reason::kTokenInvalid,
                         "the client's certificate has no URI name of the form "
                         "spiffe://DOMAIN/client/ID (or viewer, operator, admin, worker)");
}

absl::StatusOr<Caller> CallerOf(const grpc::ServerContextBase& context, Role needed) {
  if (IsLocalCall(context)) {
    return Caller{.identity = kLocalIdentity,
                  .role = needed == Role::kWorker ? Role::kWorker : Role::kAdmin};
  }
  const auto auth = context.auth_context();
  if (auth == nullptr || !auth->IsPeerAuthenticated()) return BadName();
  for (const grpc::string_ref& uri : auth->FindPropertyValues(kPeerUriProperty)) {
    return CallerOfUri(absl::string_view(uri.data(), uri.size()));
  }
  return BadName();
}

}  // namespace

absl::StatusOr<Caller> CallerOfUri(absl::string_view uri) {
  if (!absl::ConsumePrefix(&uri, "spiffe://")) return BadName();
  const std::vector<std::string> parts = absl::StrSplit(uri, '/');
  if (parts.size() != 3 || parts[0].empty()) return BadName();
  if (!ValidateLabelName("certificate", parts[2]).ok()) return BadName();
  if (parts[1] == "worker") {
    return Caller{.identity = WorkerName(parts[2]).ToString(), .role = Role::kWorker};
  }
  if (parts[1] == "viewer") return Caller{.identity = parts[2], .role = Role::kViewer};
  if (parts[1] == "client") return Caller{.identity = parts[2], .role = Role::kSubmitter};
  if (parts[1] == "operator") return Caller{.identity = parts[2], .role = Role::kOperator};
  if (parts[1] == "admin") return Caller{.identity = parts[2], .role = Role::kAdmin};
  return BadName();
}

bool IsLocalCall(const grpc::ServerContextBase& context) {
  return absl::StartsWith(context.peer(), "unix:");
}

absl::StatusOr<Caller> Authenticate(const grpc::ServerContextBase& context, Role needed) {
  CVT_ASSIGN_OR_RETURN(Caller caller, CallerOf(context, needed));
  if (!Includes(caller.role, needed)) {
    return PermissionDenied(Reason::kRoleRequired,
                            absl::StrCat("needs role ", RoleName(needed),
                                         "; the certificate gives ", RoleName(caller.role)));
  }
  return caller;
}

absl::Status CheckSpeaksFor(const Caller& caller, absl::string_view worker) {
  if (caller.identity == kLocalIdentity || caller.identity == worker) return absl::OkStatus();
  return PermissionDenied(
      Reason::kNotYourAllocation,
      absl::StrCat("a worker speaks for itself only, and the certificate is of ", caller.identity));
}

}  // namespace cvtrain::coordinator
