// cvctl cancel ID...
#include "absl/strings/str_cat.h"
#include "client/call/verb.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "common/uuid.h"

namespace cvtrain::client {
namespace {

absl::StatusOr<std::string> CancelOne(const Cli& cli, Connection& connection, const std::string& id,
                                      bool now) {
  const std::string request_id = Uuid::Random(cli.random).ToString();
  const absl::StatusOr<std::string> trial = TrialNameOf(id);
  if (trial.ok()) {
    v1::CancelTrialRequest request;
    request.set_name(*trial);
    request.set_request_id(request_id);
    request.set_now(now);
    CVT_RETURN_IF_ERROR(connection.CancelTrial(request).status());
    return *trial;
  }
  v1::CancelExperimentRequest request;
  CVT_ASSIGN_OR_RETURN(*request.mutable_name(), ExperimentNameOf(id));
  request.set_request_id(request_id);
  request.set_now(now);
  CVT_RETURN_IF_ERROR(connection.CancelExperiment(request).status());
  return request.name();
}

}  // namespace

absl::StatusOr<ExitCode> RunCancel(const Cli& cli, const Arguments& arguments) {
  GlobalOptions options;
  bool now = false;
  FlagSet flags("cvctl cancel EXP|TRIAL... [flags]",
                "Ends experiments or trials; running trials write a checkpoint first.");
  flags.Bool("now", 0, &now, "at once, without a checkpoint");
  options.Declare(flags, false);
  std::vector<std::string> positional;
  CVT_ASSIGN_OR_RETURN(const bool help, ParseFlags(cli, flags, arguments, positional));
  if (help) return ExitCode::kDone;
  CVT_RETURN_IF_ERROR(CheckCount(positional, 1, 1000, "experiments or trials, such as exp/12"));
  CVT_ASSIGN_OR_RETURN(const auto connection, Connect(cli, options));
  for (const std::string& id : positional) {
    CVT_ASSIGN_OR_RETURN(const std::string name, CancelOne(cli, *connection, id, now));
    cli.out << ShortName(name) << (now ? " cancelled\n" : " cancelling\n");
  }
  return ExitCode::kDone;
}

}  // namespace cvtrain::client
