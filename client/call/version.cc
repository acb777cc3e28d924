// cvctl version
#include "client/call/verb.h"
#include "common/build_info.h"
#include "common/status_macros.h"

namespace cvtrain::client {

absl::StatusOr<ExitCode> RunVersion(const Cli& cli, const Arguments& arguments) {
  GlobalOptions options;
  bool server = false;
  FlagSet flags("cvctl version [flags]", "Version of this program.");
  flags.Bool("server-version", 0, &server, "also that of the coordinator");
  options.Declare(flags, false);
  std::vector<std::string> positional;
  CVT_ASSIGN_OR_RETURN(const bool help, ParseFlags(cli, flags, arguments, positional));
  if (help) return ExitCode::kDone;
  CVT_RETURN_IF_ERROR(CheckCount(positional, 0, 0, "no argument"));
  cli.out << VersionLine() << '\n';
  if (!server) return ExitCode::kDone;
  CVT_ASSIGN_OR_RETURN(const auto connection, Connect(cli, options));
  CVT_ASSIGN_OR_RETURN(const auto response, connection->GetCluster(v1::GetClusterRequest()));
  const v1::Cluster& cluster = response.cluster();
  cli.out << "coordinator " << cluster.program_version() << " (build " << cluster.build_id()
          << ", plan version " << cluster.plan_version() << ", sessions "
          << cluster.session_protocol_min() << " to " << cluster.session_protocol_max() << ") at "
          << connection->address() << '\n';
  return ExitCode::kDone;
}

}  // namespace cvtrain::client
