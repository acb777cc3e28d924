// cvctl logs TRIAL
#include "absl/strings/str_cat.h"
#include "client/call/verb.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

constexpr absl::Duration kFollowPause = absl::Milliseconds(500);

struct LogOptions {
  GlobalOptions global;
  bool follow = false;
  bool timestamps = false;
  int tail = 0;
  int head = 0;
  int attempt = 0;
  int rank = -1;
  std::string level;
};

const char* LevelText(v1::LogLevel level) {
  switch (level) {
    case v1::LOG_LEVEL_DEBUG:
      return "DEBUG ";
    case v1::LOG_LEVEL_WARNING:
      return "WARNING ";
    case v1::LOG_LEVEL_ERROR:
      return "ERROR ";
    default:
      return "";
  }
}

void PrintLine(const Cli& cli, const LogOptions& options, const v1::LogLine& line) {
  if (options.timestamps) cli.out << FormatTimestamp(TimeOf(line.time())) << ' ';
  cli.out << '#' << line.attempt() << " rank " << line.rank() << "  " << LevelText(line.level())
          << EscapeText(line.text()) << '\n';
}

v1::ListLogLinesRequest RequestOf(const LogOptions& options, const std::string& trial) {
  v1::ListLogLinesRequest request;
  request.set_trial(trial);
  request.set_tail(options.tail);
  request.set_attempt(options.attempt);
  if (options.rank >= 0) request.set_rank(options.rank);
  if (options.level == "debug") request.set_level_min(v1::LOG_LEVEL_DEBUG);
  if (options.level == "info") request.set_level_min(v1::LOG_LEVEL_INFO);
  if (options.level == "warning") request.set_level_min(v1::LOG_LEVEL_WARNING);
  if (options.level == "error") request.set_level_min(v1::LOG_LEVEL_ERROR);
  return request;
}

absl::StatusOr<bool> TrialHasEnded(Connection& connection, const std::string& trial) {
  v1::GetTrialRequest request;
  request.set_name(trial);
  CVT_ASSIGN_OR_RETURN(const auto response, connection.GetTrial(request));
  return HasEnded(response.trial().state());
}

ExitCode Detach(const Cli& cli, const std::string& trial) {
  cli.err << "\ndetached; `cvctl logs -f " << ShortName(trial) << "` comes back\n";
  return ExitCode::kDetached;
}

// What one look printed.
struct LogPage {
  bool at_end = false;  // no more lines at this moment
  bool enough = false;  // --head is met
};

absl::StatusOr<LogPage> PrintPage(const Cli& cli, Connection& connection, const LogOptions& options,
                                  v1::ListLogLinesRequest& request, int& printed) {
  CVT_ASSIGN_OR_RETURN(const auto response, connection.ListLogLines(request));
  for (const v1::LogLine& line : response.lines()) {
    if (options.head > 0 && printed == options.head) return LogPage{.enough = true};
    PrintLine(cli, options, line);
    ++printed;
  }
  cli.out.flush();
  request.set_page_token(response.next_page_token());
  return LogPage{.at_end = response.at_end()};
}

absl::StatusOr<ExitCode> PrintLogs(const Cli& cli, Connection& connection,
                                   const LogOptions& options, const std::string& trial) {
  v1::ListLogLinesRequest request = RequestOf(options, trial);
  OutageNotice outage(cli);
  int printed = 0;
  bool ended = false;
  for (bool first = true;; first = false) {
    absl::StatusOr<LogPage> page = PrintPage(cli, connection, options, request, printed);
    absl::Status status = page.status();
    if (page.ok() && page->enough) return ExitCode::kDone;
    if (page.ok() && !page->at_end) continue;
    if (page.ok() && (!options.follow || ended)) return ExitCode::kDone;
    // Lines may arrive between the last page and the end: one more look after it.
    if (page.ok()) {
      const absl::StatusOr<bool> has_ended = TrialHasEnded(connection, trial);
      status = has_ended.status();
      ended = has_ended.ok() && *has_ended;
    }
    if (options.follow && absl::IsCancelled(status)) return Detach(cli, trial);
    if (!status.ok() && (first || !options.follow || !IsOutage(status))) return status;
    outage.Note(status);
    connection.LimitCalls(kLookTimeout);
    if (!ended && !cli.sleep(kFollowPause)) return Detach(cli, trial);
  }
}

}  // namespace

absl::StatusOr<ExitCode> RunLogs(const Cli& cli, const Arguments& arguments) {
  LogOptions options;
  FlagSet flags("cvctl logs TRIAL [flags]", "What a trial wrote, oldest first.");
  flags.Bool("follow", 'f', &options.follow, "wait for more, until the trial ends");
  flags.Int("tail", 0, &options.tail, 0, 1'000'000,
            "begin with the last N lines; 0: with the oldest");
  flags.Int("head", 0, &options.head, 0, 1'000'000, "stop after N lines; 0: never");
  flags.Int("attempt", 0, &options.attempt, 0, 1'000'000, "only this attempt; 0: all");
  flags.Int("rank", 0, &options.rank, -1, 1'000'000, "only this rank; -1: all");
  flags.Choice("level", 0, &options.level, {"", "debug", "info", "warning", "error"},
               "only lines of this level and worse");
  flags.Bool("timestamps", 0, &options.timestamps, "each line with its time");
  options.global.Declare(flags, false);
  std::vector<std::string> positional;
  CVT_ASSIGN_OR_RETURN(const bool help, ParseFlags(cli, flags, arguments, positional));
  if (help) return ExitCode::kDone;
  CVT_RETURN_IF_ERROR(CheckCount(positional, 1, 1, "one trial, such as trial/12.3"));
  CVT_ASSIGN_OR_RETURN(const std::string trial, TrialNameOf(positional[0]));
  CVT_ASSIGN_OR_RETURN(const auto connection, Connect(cli, options.global));
  return PrintLogs(cli, *connection, options, trial);
}

}  // namespace cvtrain::client
