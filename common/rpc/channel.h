#ifndef CVTRAIN_COMMON_RPC_CHANNEL_H_
#define CVTRAIN_COMMON_RPC_CHANNEL_H_

#include <chrono>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/file_system.h"
#include "common/tls_files.h"

namespace grpc {
class Channel;
class ServerCredentials;
}  // namespace grpc

namespace cvtrain {

// True for `unix:/path`: such a socket is guarded by its directory's mode, and
// is the only address that works without TLS.
bool IsLocalAddress(const std::string& address);

// INVALID_ARGUMENT (USAGE) unless `address` is `unix:/absolute/path` without TLS
// files or `host:port` with all three of them. There is no plaintext over a
// network, ever.
absl::Status ValidateAddress(const std::string& address, const TlsFiles& tls);

// A channel with the project's limits and keep-alive; connects when first used.
// Errors of ValidateAddress(), and of reading the files.
absl::StatusOr<std::shared_ptr<grpc::Channel>> OpenChannel(const std::string& address,
                                                           const TlsFiles& tls, FileSystem& files);

// What a server listens with at `address`; clients must present a certificate.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    const std::string& address, const TlsFiles& tls, FileSystem& files);

// `timeout` from now, as gRPC wants to be told when to give up. gRPC takes a time of the wall
// clock and at once makes a steady interval of it, so it is no business of a Clock.
std::chrono::system_clock::time_point DeadlineAfter(absl::Duration timeout);

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_RPC_CHANNEL_H_
