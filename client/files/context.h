#ifndef CVTRAIN_CLIENT_FILES_CONTEXT_H_
#define CVTRAIN_CLIENT_FILES_CONTEXT_H_

#include <string>

#include "absl/status/statusor.h"
#include "client/files/cli.h"
#include "common/tls_files.h"

namespace cvtrain::client {

// Where a coordinator is, and who we are to it.
struct Context {
  std::string server;
  TlsFiles tls;
};

// Finds the coordinator: `server`, else CVCTL_SERVER, else the entry named
// `context` (else CVCTL_CONTEXT, else `current`) of the context file, else the
// cluster of `cvctl local up`.
//
// The context file is $CVCTL_CONFIG, or ~/.config/cvctl/config.yaml:
//
//   current: lab
//   contexts:
//     lab: {server: gpu-a:7421, tls_ca: ca.pem, tls_cert: me.pem, tls_key: me.key}
//
// TLS files of the flags (`tls`), else of CVCTL_TLS_CA, CVCTL_TLS_CERT and
// CVCTL_TLS_KEY, come before those of the entry, one by one.
//
// Relative paths in it are relative to it. INVALID_ARGUMENT (USAGE), naming the
// file, if it cannot be read as this or lacks the entry.
absl::StatusOr<Context> ResolveContext(const Cli& cli, const std::string& server,
                                       const std::string& context, const TlsFiles& tls);

// Directory of the cluster on this machine: $CVTRAIN_LOCAL_DIR, or
// $XDG_STATE_HOME/cvtrain, or ~/.local/state/cvtrain.
std::string LocalClusterDir(const Cli& cli);

// Address of its coordinator: a socket in that directory.
std::string LocalAddress(const std::string& directory);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_FILES_CONTEXT_H_
