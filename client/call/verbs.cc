// The list of verbs, and what they share.
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "client/call/verb.h"
#include "client/files/context.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "common/uuid.h"

namespace cvtrain::client {
namespace {

constexpr Verb kVerbs[] = {
    {"local", "start, stop or look at a cluster on this machine: up, down, status", RunLocal},
    {"submit", "submit an experiment from a YAML file", RunSubmit},
    {"get", "list or show exp, sweep, trial, ckpt, worker, dataset (also: list, ls)", RunGet},
    {"describe", "everything about one experiment, trial, checkpoint, worker or data set",
     RunDescribe},
    {"watch", "follow an experiment live", RunWatch},
    {"logs", "what a trial wrote", RunLogs},
    {"metrics", "the series of trials: table, plot, CSV or JSON", RunMetrics},
    {"wait", "wait until experiments or trials have ended", RunWait},
    {"queue", "trials that wait, in scheduling order, and why", RunQueue},
    {"explain", "why a trial waits or runs where it does, until when, and what would change it",
     RunExplain},
    {"hold", "keep trials of experiments from starting", RunHold},
    {"release", "let trials of held experiments start", RunRelease},
    {"cancel", "end experiments or trials, after a checkpoint", RunCancel},
    {"ckpt", "checkpoints: ls, describe, verify, export, import, delete", RunCkpt},
    {"dataset", "data sets: create, ls, describe, preview, verify", RunDataset},
    {"worker", "workers: ls, describe, cordon, uncordon, drain, rm", RunWorker},
    {"simulate", "run a trace under scheduling policies, or ask what if of the live queue",
     RunSimulate},
    {"version", "version of this program, and of the coordinator", RunVersion},
    {"completion", "completion script for bash, zsh or fish", RunCompletion},
};

constexpr char kPlainInShell[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=,@%+-";

}  // namespace

absl::Span<const Verb> Verbs() { return kVerbs; }

void GlobalOptions::Declare(FlagSet& flag_set, bool with_output) {
  flags = &flag_set;
  flag_set.String("server", 0, &server, "ADDRESS", "coordinator: unix:/path or host:port");
  flag_set.String("context", 0, &context, "NAME", "entry of the context file to use");
  flag_set.String("tls-ca", 0, &tls.ca, "FILE",
                  "who must have signed the coordinator's certificate");
  flag_set.String("tls-cert", 0, &tls.cert, "FILE", "our certificate");
  flag_set.String("tls-key", 0, &tls.key, "FILE", "our key");
  flag_set.Duration("timeout", 0, &timeout, "how long a call may take, with its repetitions");
  flag_set.Choice("color", 0, &color, {"auto", "always", "never"}, "colours in live views");
  if (!with_output) return;
  flag_set.String("output", 'o', &output, "FORMAT", "table, wide, json, yaml or name");
  flag_set.Bool("no-headers", 0, &no_headers, "tables without their first line");
}

absl::StatusOr<std::unique_ptr<Connection>> Connect(const Cli& cli, const GlobalOptions& options) {
  CVT_ASSIGN_OR_RETURN(const Context context,
                       ResolveContext(cli, options.server, options.context, options.tls));
  return Connection::Open(cli, {.address = context.server,
                                .tls = context.tls,
                                .timeout = options.timeout,
                                .timeout_given = options.TimeoutGiven()});
}

absl::StatusOr<bool> ParseFlags(const Cli& cli, FlagSet& flags, const Arguments& arguments,
                                std::vector<std::string>& positional) {
  CVT_ASSIGN_OR_RETURN(FlagSet::Parsed parsed, flags.Parse(arguments));
  if (parsed.help) cli.out << flags.Help();
  positional = std::move(parsed.positional);
  return parsed.help;
}

absl::Status CheckCount(const std::vector<std::string>& positional, size_t min, size_t max,
                        const std::string& what) {
  if (positional.size() >= min && positional.size() <= max) return absl::OkStatus();
  return InvalidArgument(
      Reason::kUsage,
      absl::StrCat("expected ", what, ", got ", positional.size(),
                   positional.size() == 1 ? " argument" : " arguments", "; see --help"));
}

Arguments WithFirst(const std::string& first, Arguments arguments) {
  arguments.insert(arguments.begin(), first);
  return arguments;
}

Arguments WithKind(const std::string& kind, Arguments arguments) {
  if (!arguments.empty() && !absl::StartsWith(arguments[0], "-") &&
      !absl::StrContains(arguments[0], '/'))
    arguments[0] = absl::StrCat(kind, "/", arguments[0]);
  return arguments;
}

absl::StatusOr<std::string> RequestIdOf(const Cli& cli, const std::string& given) {
  if (given.empty()) return Uuid::Random(cli.random).ToString();
  const absl::StatusOr<Uuid> uuid = Uuid::Parse(given);
  if (uuid.ok()) return uuid->ToString();
  return InvalidArgument(
      Reason::kUsage,
      absl::StrCat("--request-id: must be a UUID, such as 9f3c5d1e-0b7a-4c66-8f0e-2f6f1c0d9a11,",
                   " got ", given));
}

std::string RepeatCommand(const std::string& verb, const Arguments& arguments,
                          const std::string& request_id) {
  std::string command = absl::StrCat("cvctl ", verb);
  bool has_id = false;
  for (const std::string& argument : arguments) {
    has_id = has_id || absl::StartsWith(argument, "--request-id");
    const bool plain =
        !argument.empty() && argument.find_first_not_of(kPlainInShell) == std::string::npos;
    absl::StrAppend(
        &command, " ",
        plain ? argument : absl::StrCat("'", absl::StrReplaceAll(argument, {{"'", "'\\''"}}), "'"));
  }
  if (!has_id) absl::StrAppend(&command, " --request-id ", request_id);
  return command;
}

void OutageNotice::Note(const absl::Status& status) {
  if (status.ok()) said_ = false;
  if (!IsOutage(status) || said_) return;
  said_ = true;
  cli_.err << "cvctl: no answer (" << SafeText(status.message())
           << "); waiting for the coordinator\n";
  cli_.err.flush();
}

bool AsksForJson(const Arguments& arguments) {
  bool json = false;
  for (size_t i = 0; i < arguments.size() && arguments[i] != "--"; ++i) {
    absl::string_view value = arguments[i];
    if (value == "-o" || value == "--output") {
      json = i + 1 < arguments.size() && arguments[i + 1] == "json";
    } else if (absl::ConsumePrefix(&value, "--output=") ||
               (!absl::StartsWith(value, "--") && absl::ConsumePrefix(&value, "-o"))) {
      json = value == "json";
    }
  }
  return json;
}

bool UseColor(const Cli& cli, const GlobalOptions& options) {
  if (options.color == "always") return true;
  return options.color == "auto" && cli.out_is_terminal && !cli.env("NO_COLOR").has_value();
}

void PrintMessage(const Cli& cli, OutputFormat format, const google::protobuf::Message& message) {
  cli.out << (format == OutputFormat::kJson ? JsonText(message) : YamlText(message));
}

}  // namespace cvtrain::client
