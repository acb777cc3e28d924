// cvctl queue, cvctl explain ID
#include "client/view/queue.h"

#include <string>
#include <vector>

#include "client/call/pages.h"
#include "client/call/verb.h"
#include "common/status_macros.h"

namespace cvtrain::client {

absl::StatusOr<ExitCode> RunQueue(const Cli& cli, const Arguments& arguments) {
  GlobalOptions options;
  bool all = false;
  int limit = 50;
  FlagSet flags(
      "cvctl queue [flags]",
      "Trials that wait, in the order in which they would be served, why, and until when.");
  flags.Bool("all", 'A', &all, "those that run, too, first");
  flags.Int("limit", 0, &limit, 1, 1'000'000, "entries");
  options.Declare(flags);
  std::vector<std::string> positional;
  CVT_ASSIGN_OR_RETURN(const bool help, ParseFlags(cli, flags, arguments, positional));
  if (help) return ExitCode::kDone;
  CVT_RETURN_IF_ERROR(CheckCount(positional, 0, 0, "nothing: it lists the whole queue"));
  CVT_ASSIGN_OR_RETURN(const OutputFormat format, ParseOutputFormat(options.output));
  CVT_ASSIGN_OR_RETURN(const auto connection, Connect(cli, options));
  v1::ListQueueRequest request;
  request.set_running(all);
  v1::ListQueueResponse queue;
  CVT_RETURN_IF_ERROR(ForEachPage(*connection, &Connection::ListQueue, request,
                                  [&](v1::ListQueueResponse response) {
                                    queue.set_waiting_total(response.waiting_total());
                                    for (v1::QueueEntry& entry : *response.mutable_entries()) {
                                      if (queue.entries_size() < limit) {
                                        *queue.add_entries() = std::move(entry);
                                      }
                                    }
                                    return queue.entries_size() < limit;
                                  }));
  if (format == OutputFormat::kJson || format == OutputFormat::kYaml) {
    PrintMessage(cli, format, queue);
    return ExitCode::kDone;
  }
  if (format == OutputFormat::kName) {
    for (const v1::QueueEntry& entry : queue.entries()) cli.out << ShortName(entry.trial()) << '\n';
    return ExitCode::kDone;
  }
  if (queue.entries().empty() && cli.out_is_terminal) {
    cli.err << "nothing waits\n";
    return ExitCode::kDone;
  }
  QueueTable(queue.entries(), cli.clock.WallNow(), format == OutputFormat::kWide)
      .Print(cli.out, !options.no_headers);
  return ExitCode::kDone;
}

absl::StatusOr<ExitCode> RunExplain(const Cli& cli, const Arguments& arguments) {
  GlobalOptions options;
  FlagSet flags("cvctl explain TRIAL [flags]",
                "Why a trial waits or runs where it does, who comes before it, when it will start "
                "and end, and what would change that.");
  options.Declare(flags);
  std::vector<std::string> positional;
  CVT_ASSIGN_OR_RETURN(const bool help, ParseFlags(cli, flags, arguments, positional));
  if (help) return ExitCode::kDone;
  CVT_RETURN_IF_ERROR(CheckCount(positional, 1, 1, "one trial, such as trial/12.3"));
  CVT_ASSIGN_OR_RETURN(const OutputFormat format, ParseOutputFormat(options.output));
  v1::ExplainTrialRequest request;
  CVT_ASSIGN_OR_RETURN(*request.mutable_name(), TrialNameOf(positional[0]));
  CVT_ASSIGN_OR_RETURN(const auto connection, Connect(cli, options));
  CVT_ASSIGN_OR_RETURN(const auto response, connection->ExplainTrial(request));
  if (format == OutputFormat::kJson || format == OutputFormat::kYaml) {
    PrintMessage(cli, format, response);
  } else {
    cli.out << ExplainText(response, cli.clock.WallNow());
  }
  return ExitCode::kDone;
}

}  // namespace cvtrain::client
