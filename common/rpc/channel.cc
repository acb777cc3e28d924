#include "common/rpc/channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/status_macros.h"

namespace cvtrain {
namespace {

// PEM files are a few KiB; more is a wrong path.
constexpr uint64_t kPemSizeBytesMax = 1 << 20;

struct Pem {
  std::string ca;
  std::string cert;
  std::string key;
};

absl::StatusOr<std::string> ReadPem(FileSystem& files, const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(files, path, kPemSizeBytesMax);
  if (!text.ok()) return Annotate(text.status(), "reading TLS file", path);
  return text;
}

absl::StatusOr<Pem> ReadPems(FileSystem& files, const TlsFiles& tls) {
  Pem pem;
  CVT_ASSIGN_OR_RETURN(pem.ca, ReadPem(files, tls.ca));
  CVT_ASSIGN_OR_RETURN(pem.cert, ReadPem(files, tls.cert));
  CVT_ASSIGN_OR_RETURN(pem.key, ReadPem(files, tls.key));
  return pem;
}

}  // namespace

bool IsLocalAddress(const std::string& address) { return absl::StartsWith(address, "unix:"); }

absl::Status ValidateAddress(const std::string& address, const TlsFiles& tls) {
  if (IsLocalAddress(address)) {
    if (!absl::StartsWith(absl::StripPrefix(address, "unix:"), "/")) {
      return InvalidArgument(Reason::kUsage, absl::StrCat("address ", address,
                                                          ": a socket needs an absolute path, such "
                                                          "as unix:/run/cvtrain/coordinator.sock"));
    }
    if (!tls.empty()) {
      return InvalidArgument(
          Reason::kUsage,
          absl::StrCat("address ", address, ": a local socket takes no TLS files; leave them out"));
    }
    return absl::OkStatus();
  }
  if (address.rfind(':') == std::string::npos) {
    return InvalidArgument(
        Reason::kUsage,
        absl::StrCat("address ", address, ": must be unix:/path or host:port, such as gpu-a:7421"));
  }
  if (tls.ca.empty() || tls.cert.empty() || tls.key.empty()) {
    return InvalidArgument(Reason::kUsage,
                           absl::StrCat("address ", address,
                                        ": a network address needs TLS: give --tls-ca, --tls-cert "
                                        "and --tls-key"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> OpenChannel(const std::string& address,
                                                           const TlsFiles& tls, FileSystem& files) {
  CVT_RETURN_IF_ERROR(ValidateAddress(address, tls));
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(static_cast<int>(limits::kMessageSizeBytesMax));
  arguments.SetMaxSendMessageSize(static_cast<int>(limits::kMessageSizeBytesMax));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  // Restarts of a local coordinator take milliseconds: do not back off for minutes.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, IsLocalAddress(address) ? 500 : 10'000);
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  if (!IsLocalAddress(address)) {
    CVT_ASSIGN_OR_RETURN(Pem pem, ReadPems(files, tls));
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = pem.ca;
    options.pem_cert_chain = pem.cert;
    options.pem_private_key = pem.key;
    credentials = grpc::SslCredentials(options);
  }
  return grpc::CreateCustomChannel(address, credentials, arguments);
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    const std::string& address, const TlsFiles& tls, FileSystem& files) {
  CVT_RETURN_IF_ERROR(ValidateAddress(address, tls));
  if (IsLocalAddress(address)) return grpc::InsecureServerCredentials();
  CVT_ASSIGN_OR_RETURN(Pem pem, ReadPems(files, tls));
  grpc::SslServerCredentialsOptions options(
      GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = pem.ca;
  options.pem_key_cert_pairs.push_back({.private_key = pem.key, .cert_chain = pem.cert});
  return grpc::SslServerCredentials(options);
}

std::chrono::system_clock::time_point DeadlineAfter(absl::Duration timeout) {
  return std::chrono::system_clock::now() + absl::ToChronoMilliseconds(timeout);
}

}  // namespace cvtrain
