#include "client/files/context.h"

#include <yaml-cpp/yaml.h>

#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/status_macros.h"

namespace cvtrain::client {
namespace {

constexpr uint64_t kContextFileBytesMax = 256 << 10;

std::string HomeDir(const Cli& cli) { return cli.env("HOME").value_or("/"); }

std::string ContextFilePath(const Cli& cli) {
  if (const auto path = cli.env("CVCTL_CONFIG")) return *path;
  return JoinPath(HomeDir(cli), ".config/cvctl/config.yaml");
}

std::string Absolute(const std::string& file, const std::string& path) {
  return path.empty() || absl::StartsWith(path, "/") ? path : JoinPath(DirName(file), path);
}

absl::Status Bad(const std::string& path, const std::string& what) {
  return InvalidArgument(Reason::kUsage, absl::StrCat("context file ", path, ": ", what));
}

// yaml-cpp throws; nothing of that leaves this function.
absl::StatusOr<std::optional<Context>> ReadEntry(const std::string& path, const std::string& text,
                                                 std::string name) {
  try {
    const YAML::Node root = YAML::Load(text);
    if (name.empty() && root["current"]) name = root["current"].as<std::string>();
    if (name.empty()) return std::nullopt;
    const YAML::Node entry = root["contexts"] ? root["contexts"][name] : YAML::Node();
    if (!entry || !entry["server"]) {
      return Bad(path, absl::StrCat("has no context \"", name, "\" with a server"));
    }
    const auto field = [&entry](const char* key) {
      return entry[key] ? entry[key].as<std::string>() : std::string();
    };
    Context context;
    context.server = field("server");
    context.tls = {.ca = Absolute(path, field("tls_ca")),
                   .cert = Absolute(path, field("tls_cert")),
                   .key = Absolute(path, field("tls_key"))};
    return context;
  } catch (const YAML::Exception& error) {
    return Bad(path, absl::StrCat("line ", error.mark.line + 1, ": ", error.msg));
  }
}

absl::StatusOr<Context> FindContext(const Cli& cli, const std::string& server,
                                    const std::string& context) {
  if (!server.empty()) return Context{.server = server, .tls = {}};
  if (context.empty()) {
    if (const auto from_env = cli.env("CVCTL_SERVER"))
      return Context{.server = *from_env, .tls = {}};
  }
  const std::string name = context.empty() ? cli.env("CVCTL_CONTEXT").value_or("") : context;
  const std::string path = ContextFilePath(cli);
  CVT_ASSIGN_OR_RETURN(const bool exists, Exists(cli.files, path));
  if (exists) {
    CVT_ASSIGN_OR_RETURN(const std::string text, ReadFile(cli.files, path, kContextFileBytesMax));
    CVT_ASSIGN_OR_RETURN(const std::optional<Context> entry, ReadEntry(path, text, name));
    if (entry.has_value()) return *entry;
  } else if (!name.empty()) {
    return Bad(path, absl::StrCat("does not exist, so there is no context \"", name, "\""));
  }
  return Context{.server = LocalAddress(LocalClusterDir(cli)), .tls = {}};
}

}  // namespace

absl::StatusOr<Context> ResolveContext(const Cli& cli, const std::string& server,
                                       const std::string& context, const TlsFiles& tls) {
  CVT_ASSIGN_OR_RETURN(Context found, FindContext(cli, server, context));
  // A socket needs no TLS: only a flag, which is a mistake, is passed on to be refused.
  const bool is_socket = absl::StartsWith(found.server, "unix:");
  const auto overlay = [&](std::string& file, const std::string& flag, const char* variable) {
    if (!flag.empty()) {
      file = flag;
    } else if (!is_socket) {
      file = cli.env(variable).value_or(file);
    }
  };
  overlay(found.tls.ca, tls.ca, "CVCTL_TLS_CA");
  overlay(found.tls.cert, tls.cert, "CVCTL_TLS_CERT");
  overlay(found.tls.key, tls.key, "CVCTL_TLS_KEY");
  return found;
}

std::string LocalClusterDir(const Cli& cli) {
  if (const auto directory = cli.env("CVTRAIN_LOCAL_DIR")) return *directory;
  if (const auto state = cli.env("XDG_STATE_HOME")) return JoinPath(*state, "cvtrain");
  return JoinPath(HomeDir(cli), ".local/state/cvtrain");
}

std::string LocalAddress(const std::string& directory) {
  return absl::StrCat("unix:", JoinPath(directory, "coordinator.sock"));
}

}  // namespace cvtrain::client
