// cvctl submit FILE
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "client/call/recipe_file.h"
#include "client/call/verb.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

struct SubmitOptions {
  GlobalOptions global;
  std::vector<std::string> set;
  std::vector<std::string> labels;
  std::string name;
  std::string project;
  int priority = -1;
  bool hold = false;
  std::string begin;
  std::vector<std::string> after;
  std::string request_id;
  bool dry_run = false;
  bool follow = false;
  bool wait = false;
  bool quiet = false;
};

void Declare(FlagSet& flags, SubmitOptions& options) {
  flags.StringList("set", 0, &options.set, "PATH=VALUE",
                   "replaces a field, such as recipe.epochs=5");
  flags.StringList("label", 0, &options.labels, "KEY=VALUE", "adds a label");
  flags.String("name", 0, &options.name, "NAME", "replaces the experiment's name");
  flags.String("project", 'p', &options.project, "NAME", "replaces the project");
  flags.Int("priority", 0, &options.priority, 0, 100, "0 to 100, higher first");
  flags.Bool("hold", 0, &options.hold, "nothing starts until `cvctl release`");
  flags.String("begin", 0, &options.begin, "TIME",
               "nothing starts before, such as 2026-12-01T08:00:00Z");
  flags.StringList("after", 0, &options.after, "ID[:ok|failed|end]",
                   "nothing starts before that has ended, such as trial/7.1:ok");
  flags.String("request-id", 0, &options.request_id, "UUID",
               "the same id submits once, however often it is sent");
  flags.Bool("dry-run", 0, &options.dry_run,
             "print the recipe as understood, the stages and the trials");
  flags.Bool("follow", 'f', &options.follow, "watch it until it ends; Ctrl-C detaches");
  flags.Bool("wait", 0, &options.wait, "wait until it ends, without a view");
  flags.Bool("quiet", 'q', &options.quiet, "print the id only");
  options.global.Declare(flags);
}

// Text as it is, whatever it would mean to YAML.
std::string QuotedYaml(const std::string& text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "''"}}), "'");
}

// Flags that are short for --set.
absl::StatusOr<std::vector<plan::Override>> OverridesOf(const SubmitOptions& options) {
  CVT_ASSIGN_OR_RETURN(std::vector<plan::Override> overrides, ParseOverrides(options.set));
  if (!options.name.empty()) overrides.push_back({"name", QuotedYaml(options.name)});
  if (!options.project.empty()) overrides.push_back({"project", QuotedYaml(options.project)});
  if (options.hold) overrides.push_back({"hold", "true"});
  if (!options.begin.empty()) overrides.push_back({"begin_after", QuotedYaml(options.begin)});
  if (options.priority >= 0) overrides.push_back({"priority", absl::StrCat(options.priority)});
  return overrides;
}

// Those that add to a list, which --set replaces.
absl::Status ApplyLists(const SubmitOptions& options, v1::ExperimentSpec& spec) {
  for (const std::string& one : options.after) spec.add_after(one);
  for (const std::string& label : options.labels) {
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(label, absl::MaxSplits('=', 1));
    if (!absl::StrContains(label, '=') || parts.first.empty()) {
      return InvalidArgument(Reason::kUsage,
                             absl::StrCat("--label ", label, ": must be KEY=VALUE"));
    }
    (*spec.mutable_labels())[parts.first] = parts.second;
  }
  return absl::OkStatus();
}

absl::StatusOr<ExitCode> Preview(const Cli& cli, Connection& connection,
                                 const SubmitOptions& options, const v1::ExperimentSpec& spec) {
  v1::PreviewExperimentRequest request;
  *request.mutable_spec() = spec;
  CVT_ASSIGN_OR_RETURN(const auto response, connection.PreviewExperiment(request));
  CVT_ASSIGN_OR_RETURN(const OutputFormat format, ParseOutputFormat(options.global.output));
  if (format == OutputFormat::kJson || format == OutputFormat::kYaml) {
    PrintMessage(cli, format, response);
  } else {
    cli.out << PreviewText(response, YamlText(response.spec()));
  }
  return ExitCode::kDone;
}

absl::Status PrintCreated(const Cli& cli, const SubmitOptions& options,
                          const v1::Experiment& experiment) {
  CVT_ASSIGN_OR_RETURN(const OutputFormat format, ParseOutputFormat(options.global.output));
  const std::string name = ShortName(experiment.name());
  if (format == OutputFormat::kJson || format == OutputFormat::kYaml) {
    PrintMessage(cli, format, experiment);
  } else if (options.quiet || format == OutputFormat::kName) {
    cli.out << name << '\n';
  } else {
    cli.out << "experiment/" << name.substr(name.find('/') + 1) << " created\n";
  }
  cli.out.flush();
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ExitCode> RunSubmit(const Cli& cli, const Arguments& arguments) {
  SubmitOptions options;
  FlagSet flags("cvctl submit FILE|- [flags]", "Submits an experiment.");
  Declare(flags, options);
  std::vector<std::string> positional;
  CVT_ASSIGN_OR_RETURN(const bool help, ParseFlags(cli, flags, arguments, positional));
  if (help) return ExitCode::kDone;
  CVT_RETURN_IF_ERROR(CheckCount(positional, 1, 1, "one FILE, or - for standard input"));

  CVT_ASSIGN_OR_RETURN(options.request_id, RequestIdOf(cli, options.request_id));
  CVT_ASSIGN_OR_RETURN(const std::vector<plan::Override> overrides, OverridesOf(options));
  CVT_ASSIGN_OR_RETURN(v1::ExperimentSpec spec, ReadRecipeFile(cli, positional[0], overrides));
  CVT_RETURN_IF_ERROR(ApplyLists(options, spec));

  CVT_ASSIGN_OR_RETURN(const auto connection, Connect(cli, options.global));
  if (options.dry_run) return Preview(cli, *connection, options, spec);

  v1::CreateExperimentRequest request;
  *request.mutable_spec() = spec;
  request.set_request_id(options.request_id);
  absl::StatusOr<v1::CreateExperimentResponse> response = connection->CreateExperiment(request);
  if (IsOutage(response.status()) || absl::IsCancelled(response.status())) {
    cli.err << "cvctl: the outcome is unknown; `"
            << RepeatCommand("submit", arguments, options.request_id)
            << "` repeats this very submission\n";
  }
  CVT_RETURN_IF_ERROR(response.status());
  CVT_RETURN_IF_ERROR(PrintCreated(cli, options, response->experiment()));
  if (options.follow)
    return Follow(cli, *connection, options.global, response->experiment().name());
  if (options.wait) {
    const bool print = !options.quiet && options.global.output == "table";
    return WaitFor(cli, *connection, {response->experiment().name()},
                   {.timeout = options.global.TimeoutGiven() ? options.global.timeout
                                                             : absl::InfiniteDuration(),
                    .print = print});
  }
  return ExitCode::kDone;
}

}  // namespace cvtrain::client
