// cvctl hold EXP..., cvctl release EXP...
#include <string>
#include <vector>

#include "client/call/verb.h"
#include "common/status_macros.h"
#include "common/uuid.h"

namespace cvtrain::client {
namespace {

template <typename Request, typename Response>
absl::StatusOr<ExitCode> ForEachExperiment(
    const Cli& cli, const Arguments& arguments, const std::string& usage,
    const std::string& summary, absl::StatusOr<Response> (Connection::*call)(const Request&),
    const std::string& done) {
  GlobalOptions options;
  FlagSet flags(usage, summary);
  options.Declare(flags, false);
  std::vector<std::string> positional;
  CVT_ASSIGN_OR_RETURN(const bool help, ParseFlags(cli, flags, arguments, positional));
  if (help) return ExitCode::kDone;
  CVT_RETURN_IF_ERROR(CheckCount(positional, 1, 1000, "experiments, such as exp/12"));
  CVT_ASSIGN_OR_RETURN(const auto connection, Connect(cli, options));
  for (const std::string& id : positional) {
    Request request;
    CVT_ASSIGN_OR_RETURN(*request.mutable_name(), ExperimentNameOf(id));
    request.set_request_id(Uuid::Random(cli.random).ToString());
    CVT_RETURN_IF_ERROR((*connection.*call)(request).status());
    cli.out << ShortName(request.name()) << ' ' << done << '\n';
  }
  return ExitCode::kDone;
}

}  // namespace

absl::StatusOr<ExitCode> RunHold(const Cli& cli, const Arguments& arguments) {
  return ForEachExperiment(cli, arguments, "cvctl hold EXP... [flags]",
                           "Keeps trials that wait from starting; those that run go on.",
                           &Connection::HoldExperiment, "held");
}

absl::StatusOr<ExitCode> RunRelease(const Cli& cli, const Arguments& arguments) {
  return ForEachExperiment(cli, arguments, "cvctl release EXP... [flags]",
                           "Lets trials of held experiments start.", &Connection::ReleaseExperiment,
                           "released");
}

}  // namespace cvtrain::client
