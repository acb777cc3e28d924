// The list of verbs, and what they share.
#include <string>
#include <variant>

#include "absl/strings/str_cat.h"
#include "client/call/verb.h"
#include "client/files/context.h"
#include "common/errors.h"
#include "common/ids.h"
#include "common/limits.h"
#include "common/status_macros.h"

namespace cvtrain::client {
namespace {

constexpr Verb kVerbs[] = {
    {"local", "start, stop or look at a cluster on this machine: up, down, status", RunLocal},
    {"submit", "submit an experiment from a YAML file", RunSubmit},
    {"get", "list or show exp, trial, ckpt, worker, dataset (also: list, ls)", RunGet},
    {"describe", "everything about one experiment, trial, checkpoint, worker or data set",
     RunDescribe},
    {"watch", "follow an experiment live", RunWatch},
    {"logs", "what a trial wrote", RunLogs},
    {"metrics", "the series of trials: table, plot, CSV or JSON", RunMetrics},
    {"wait", "wait until experiments or trials have ended", RunWait},
    {"cancel", "end experiments or trials, after a checkpoint", RunCancel},
    {"ckpt", "checkpoints: ls, verify, export", RunCkpt},
    {"dataset", "data sets: create, ls, describe", RunDataset},
    {"worker", "workers: ls, describe", RunWorker},
    {"version", "version of this program, and of the coordinator", RunVersion},
    {"completion", "completion script for bash, zsh or fish", RunCompletion},
};

}  // namespace

absl::Span<const Verb> Verbs() { return kVerbs; }

void GlobalOptions::Declare(FlagSet& flags, bool with_output) {
  flags.String("server", 0, &server, "ADDRESS", "coordinator: unix:/path or host:port");
  flags.String("context", 0, &context, "NAME", "entry of the context file to use");
  flags.String("tls-ca", 0, &tls.ca, "FILE", "who must have signed the coordinator's certificate");
  flags.String("tls-cert", 0, &tls.cert, "FILE", "our certificate");
  flags.String("tls-key", 0, &tls.key, "FILE", "our key");
  flags.Duration("timeout", 0, &timeout, "how long a call may take, with its repetitions");
  flags.Choice("color", 0, &color, {"auto", "always", "never"}, "colours in live views");
  if (!with_output) return;
  flags.String("output", 'o', &output, "FORMAT", "table, wide, json, yaml or name");
  flags.Bool("no-headers", 0, &no_headers, "tables without their first line");
}

absl::StatusOr<std::unique_ptr<Connection>> Connect(const Cli& cli, const GlobalOptions& options) {
  CVT_ASSIGN_OR_RETURN(const Context context,
                       ResolveContext(cli, options.server, options.context, options.tls));
  return Connection::Open(
      cli, {.address = context.server, .tls = context.tls, .timeout = options.timeout});
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

bool UseColor(const Cli& cli, const GlobalOptions& options) {
  if (options.color == "always") return true;
  return options.color == "auto" && cli.out_is_terminal && !cli.env("NO_COLOR").has_value();
}

void PrintMessage(const Cli& cli, OutputFormat format, const google::protobuf::Message& message) {
  cli.out << (format == OutputFormat::kJson ? JsonText(message) : YamlText(message));
}

absl::StatusOr<std::string> ExperimentNameOf(const std::string& text) {
  CVT_ASSIGN_OR_RETURN(const AnyName name, ParseShort(text, NameKind::kExperiment));
  if (const auto* experiment = std::get_if<ExperimentName>(&name)) return experiment->ToString();
  return InvalidArgument(Reason::kUsage,
                         absl::StrCat(text, ": expected an experiment, such as exp/12"));
}

absl::StatusOr<std::string> TrialNameOf(const std::string& text) {
  CVT_ASSIGN_OR_RETURN(const AnyName name, ParseShort(text, NameKind::kTrial));
  if (const auto* trial = std::get_if<TrialName>(&name)) return trial->ToString();
  if (const auto* attempt = std::get_if<AttemptName>(&name)) return attempt->trial().ToString();
  return InvalidArgument(Reason::kUsage,
                         absl::StrCat(text, ": expected a trial, such as trial/12.3"));
}

absl::StatusOr<std::string> CheckpointNameOf(Connection& connection, const std::string& text) {
  CVT_ASSIGN_OR_RETURN(const AnyName name, ParseShort(text, NameKind::kCheckpoint));
  if (const auto* whole = std::get_if<CheckpointName>(&name)) return whole->ToString();
  const auto* prefix = std::get_if<CheckpointPrefix>(&name);
  if (prefix == nullptr) {
    return InvalidArgument(Reason::kUsage,
                           absl::StrCat(text, ": expected a checkpoint, such as ckpt/9f3c"));
  }
  v1::ListCheckpointsRequest request;
  request.set_parent("experiments/-");
  request.set_page_size(limits::kPageSizeMax);
  std::vector<std::string> found;
  do {
    CVT_ASSIGN_OR_RETURN(const v1::ListCheckpointsResponse response,
                         connection.ListCheckpoints(request));
    for (const v1::Checkpoint& checkpoint : response.checkpoints()) {
      if (absl::string_view(checkpoint.name())
              .substr(sizeof("checkpoints/") - 1)
              .substr(0, prefix->hex.size()) == prefix->hex) {
        found.push_back(checkpoint.name());
      }
    }
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  if (found.size() == 1) return found[0];
  if (found.empty()) {
    return NotFound(Reason::kCheckpointNotFound, absl::StrCat("ckpt/", prefix->hex,
                                                              ": no such checkpoint; "
                                                              "`cvctl ckpt ls` lists them"));
  }
  return InvalidArgument(Reason::kUsage, absl::StrCat("ckpt/", prefix->hex, ": ", found.size(),
                                                      " checkpoints begin so; give more digits"));
}

}  // namespace cvtrain::client
