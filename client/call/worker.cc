// cvctl worker ls|describe|cordon|uncordon|drain|rm
#include <string>
#include <vector>

#include "client/call/verb.h"
#include "common/status_macros.h"
#include "common/uuid.h"

namespace cvtrain::client {
namespace {

// Runs `change` for each worker that is named, and says that it is done.
template <typename Change>
absl::StatusOr<ExitCode> ForEachWorker(const Cli& cli, const Arguments& arguments, FlagSet& flags,
                                       GlobalOptions& options, const std::string& done,
                                       const Change& change) {
  options.Declare(flags, false);
  std::vector<std::string> positional;
  CVT_ASSIGN_OR_RETURN(const bool help, ParseFlags(cli, flags, arguments, positional));
  if (help) return ExitCode::kDone;
  CVT_RETURN_IF_ERROR(CheckCount(positional, 1, 1000, "workers, such as worker/gpu-a"));
  CVT_ASSIGN_OR_RETURN(const auto connection, Connect(cli, options));
  for (const std::string& id : positional) {
    CVT_ASSIGN_OR_RETURN(const std::string name, WorkerNameOf(id));
    CVT_RETURN_IF_ERROR(change(*connection, name, Uuid::Random(cli.random).ToString()));
    cli.out << ShortName(name) << ' ' << done << '\n';
  }
  return ExitCode::kDone;
}

absl::StatusOr<ExitCode> Cordon(const Cli& cli, const Arguments& arguments, bool drain) {
  GlobalOptions options;
  std::string reason;
  FlagSet flags(
      drain ? "cvctl worker drain WORKER... [flags]" : "cvctl worker cordon WORKER... [flags]",
      drain ? "Gives workers no new work; what they run writes a checkpoint and goes on "
              "elsewhere."
            : "Gives workers no new work; what they run goes on.");
  flags.String("reason", 0, &reason, "TEXT", "for people: shown where somebody asks why");
  return ForEachWorker(cli, arguments, flags, options, drain ? "draining" : "cordoned",
                       [&](Connection& connection, const std::string& name,
                           const std::string& request_id) -> absl::Status {
                         v1::CordonWorkerRequest request;
                         request.set_name(name);
                         request.set_request_id(request_id);
                         request.set_reason(reason);
                         request.set_drain(drain);
                         return connection.CordonWorker(request).status();
                       });
}

absl::StatusOr<ExitCode> Uncordon(const Cli& cli, const Arguments& arguments) {
  GlobalOptions options;
  FlagSet flags("cvctl worker uncordon WORKER... [flags]", "Lets workers have work again.");
  return ForEachWorker(cli, arguments, flags, options, "uncordoned",
                       [&](Connection& connection, const std::string& name,
                           const std::string& request_id) -> absl::Status {
                         v1::UncordonWorkerRequest request;
                         request.set_name(name);
                         request.set_request_id(request_id);
                         return connection.UncordonWorker(request).status();
                       });
}

absl::StatusOr<ExitCode> Remove(const Cli& cli, const Arguments& arguments) {
  GlobalOptions options;
  FlagSet flags("cvctl worker rm WORKER... [flags]", "Forgets workers that are lost.");
  return ForEachWorker(cli, arguments, flags, options, "removed",
                       [&](Connection& connection, const std::string& name,
                           const std::string& request_id) -> absl::Status {
                         v1::RemoveWorkerRequest request;
                         request.set_name(name);
                         request.set_request_id(request_id);
                         return connection.RemoveWorker(request).status();
                       });
}

constexpr Subcommand kWorkerSubcommands[] = {
    {"ls", "list workers",
     [](const Cli& cli, const Arguments& rest) { return RunGet(cli, WithFirst("worker", rest)); }},
    {"describe", "everything about one worker",
     [](const Cli& cli, const Arguments& rest) {
       return RunDescribe(cli, WithKind("worker", rest));
     }},
    {"cordon", "give workers no new work",
     [](const Cli& cli, const Arguments& rest) { return Cordon(cli, rest, /*drain=*/false); }},
    {"uncordon", "let them have work again", Uncordon},
    {"drain", "give workers no new work, and move what they run",
     [](const Cli& cli, const Arguments& rest) { return Cordon(cli, rest, /*drain=*/true); }},
    {"rm", "forget workers that are lost", Remove},
};

}  // namespace

absl::StatusOr<ExitCode> RunWorker(const Cli& cli, const Arguments& arguments) {
  return RunSubcommand(cli, "worker", kWorkerSubcommands, arguments);
}

}  // namespace cvtrain::client
