// cvctl worker ls|describe
#include "absl/strings/str_cat.h"
#include "client/call/verb.h"
#include "common/errors.h"

namespace cvtrain::client {

absl::StatusOr<ExitCode> RunWorker(const Cli& cli, const Arguments& arguments) {
  const std::string what = arguments.empty() ? "" : arguments[0];
  Arguments rest(arguments.begin() + (arguments.empty() ? 0 : 1), arguments.end());
  if (what == "ls" || what == "list") {
    rest.insert(rest.begin(), "worker");
    return RunGet(cli, rest);
  }
  if (what == "describe") {
    // A bare name means a worker here.
    if (!rest.empty() && rest[0].find('/') == std::string::npos) rest[0] = "worker/" + rest[0];
    return RunDescribe(cli, rest);
  }
  return InvalidArgument(Reason::kUsage,
                         absl::StrCat("cvctl worker ls|describe: got \"", what, "\""));
}

}  // namespace cvtrain::client
