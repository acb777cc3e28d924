#ifndef CVTRAIN_COMMON_RPC_CHANNEL_H_
#define CVTRAIN_COMMON_RPC_CHANNEL_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/file_system.h"

namespace grpc {
class Channel;
class ServerCredentials;
}  // namespace grpc

namespace cvtrain {

// PEM files of one side of a mutual TLS connection. All or none are set.
struct TlsFiles {
  std::string ca;    // who the other side's certificate must be signed by
  std::string cert;  // ours, with its chain
  std::string key;   // ours; mode 0600

  bool empty() const { return ca.empty() && cert.empty() && key.empty(); }
};

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

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_RPC_CHANNEL_H_
