// cvctl worker ls|describe
#include "client/call/verb.h"

namespace cvtrain::client {
namespace {

constexpr Subcommand kWorkerSubcommands[] = {
    {"ls", "list workers",
     [](const Cli& cli, const Arguments& rest) { return RunGet(cli, WithFirst("worker", rest)); }},
    {"describe", "everything about one worker",
     [](const Cli& cli, const Arguments& rest) {
       return RunDescribe(cli, WithKind("worker", rest));
     }},
};

}  // namespace

absl::StatusOr<ExitCode> RunWorker(const Cli& cli, const Arguments& arguments) {
  return RunSubcommand(cli, "worker", kWorkerSubcommands, arguments);
}

}  // namespace cvtrain::client
