// cvctl get KIND [ID...]
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/call/fetch.h"
#include "client/call/verb.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/status_macros.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

struct GetOptions {
  GlobalOptions global;
  std::string project;
  int limit = 50;
  bool active = false;
};

struct Getter {
  const Cli& cli;
  Connection& connection;
  const GetOptions& options;
  OutputFormat format;
  std::vector<std::string> ids;  // with their kind, or bare; empty: all

  absl::Time now() const { return cli.clock.WallNow(); }
  bool wide() const { return format == OutputFormat::kWide; }

  // In the form asked for: `list` is the message of JSON and YAML, to which `add`
  // adds one resource; `table` makes the table.
  template <typename Resource, typename List, typename MakeTable>
  absl::StatusOr<ExitCode> Show(const std::vector<Resource>& resources, List list,
                                Resource* (List::*add)(), const MakeTable& make_table,
                                const std::string& nothing) const {
    if (format == OutputFormat::kJson || format == OutputFormat::kYaml) {
      for (const Resource& resource : resources) *(list.*add)() = resource;
      PrintMessage(cli, format, list);
      return ExitCode::kDone;
    }
    if (format == OutputFormat::kName) {
      for (const Resource& resource : resources) cli.out << ShortName(resource.name()) << '\n';
      return ExitCode::kDone;
    }
    CVT_ASSIGN_OR_RETURN(const Table table, make_table());
    if (table.empty() && cli.out_is_terminal) {
      cli.err << nothing << '\n';
    } else {
      table.Print(cli.out, !options.global.no_headers);
    }
    return ExitCode::kDone;
  }
};

ListOptions ListOptionsOf(const GetOptions& options, bool sweeps) {
  return {.project = options.project,
          .active = options.active,
          .sweeps = sweeps,
          .limit = static_cast<size_t>(options.limit)};
}

absl::StatusOr<ExitCode> ShowExperiments(const Getter& get, bool sweeps) {
  CVT_ASSIGN_OR_RETURN(
      const Experiments found,
      FetchExperiments(get.connection, get.ids, ListOptionsOf(get.options, sweeps)));
  const auto table = [&]() -> absl::StatusOr<Table> {
    CVT_ASSIGN_OR_RETURN(const auto views, WithTrials(get.connection, found.experiments, sweeps));
    return sweeps ? SweepTable(views, get.now(), get.wide())
                  : ExperimentTable(views, get.now(), get.wide());
  };
  const auto code =
      get.Show(found.experiments, v1::ListExperimentsResponse(),
               &v1::ListExperimentsResponse::add_experiments, table,
               sweeps ? "no sweeps" : "no experiments; `cvctl submit FILE` makes one");
  if (code.ok() && found.more) {
    get.cli.out.flush();
    get.cli.err << "cvctl: these are the newest " << found.experiments.size()
                << ", there are more; --limit shows them\n";
  }
  return code;
}

absl::StatusOr<ExitCode> GetExperiments(const Getter& get) { return ShowExperiments(get, false); }
absl::StatusOr<ExitCode> GetSweeps(const Getter& get) { return ShowExperiments(get, true); }

absl::StatusOr<ExitCode> GetTrials(const Getter& get) {
  CVT_ASSIGN_OR_RETURN(const auto trials,
                       FetchTrials(get.connection, get.ids, ListOptionsOf(get.options, false)));
  const auto table = [&]() -> absl::StatusOr<Table> {
    if (!get.wide()) return TrialTable(trials, get.now());
    CVT_ASSIGN_OR_RETURN(const auto experiments, ExperimentsOf(get.connection, trials));
    return WideTrialTable(trials, experiments, get.now());
  };
  return get.Show(trials, v1::ListTrialsResponse(), &v1::ListTrialsResponse::add_trials, table,
                  "no trials");
}

absl::StatusOr<ExitCode> GetWorkers(const Getter& get) {
  CVT_ASSIGN_OR_RETURN(const auto workers, FetchWorkers(get.connection, get.ids));
  const auto table = [&]() -> absl::StatusOr<Table> {
    return WorkerTable(workers, get.now(), get.wide());
  };
  return get.Show(workers, v1::ListWorkersResponse(), &v1::ListWorkersResponse::add_workers, table,
                  "no workers; `cvctl local up` starts one");
}

absl::StatusOr<ExitCode> GetCheckpoints(const Getter& get) {
  CVT_ASSIGN_OR_RETURN(const auto checkpoints, FetchCheckpoints(get.connection, get.ids));
  const auto table = [&]() -> absl::StatusOr<Table> {
    return CheckpointTable(checkpoints, get.now(), get.wide());
  };
  return get.Show(checkpoints, v1::ListCheckpointsResponse(),
                  &v1::ListCheckpointsResponse::add_checkpoints, table, "no checkpoints");
}

absl::StatusOr<ExitCode> GetDatasets(const Getter& get) {
  CVT_ASSIGN_OR_RETURN(const auto versions, FetchDatasets(get.connection, get.ids));
  const auto table = [&]() -> absl::StatusOr<Table> {
    return DatasetTable(versions, get.now(), get.wide());
  };
  return get.Show(versions, v1::ListDatasetVersionsResponse(),
                  &v1::ListDatasetVersionsResponse::add_versions, table,
                  "no data sets; `cvctl dataset create NAME --from DIR` makes one");
}

using GetFunction = std::function<absl::StatusOr<ExitCode>(const Getter&)>;

const std::map<std::string, GetFunction>& Kinds() {
  static const auto* const kinds = new std::map<std::string, GetFunction>{
      {"exp", GetExperiments},        {"exps", GetExperiments},
      {"experiment", GetExperiments}, {"experiments", GetExperiments},
      {"sweep", GetSweeps},           {"sweeps", GetSweeps},
      {"trial", GetTrials},           {"trials", GetTrials},
      {"worker", GetWorkers},         {"workers", GetWorkers},
      {"ckpt", GetCheckpoints},       {"ckpts", GetCheckpoints},
      {"checkpoint", GetCheckpoints}, {"checkpoints", GetCheckpoints},
      {"dataset", GetDatasets},       {"datasets", GetDatasets}};
  return *kinds;
}

}  // namespace

absl::StatusOr<ExitCode> RunGet(const Cli& cli, const Arguments& arguments) {
  GetOptions options;
  FlagSet flags("cvctl get exp|sweep|trial|ckpt|worker|dataset [ID...] [flags]",
                "Lists resources, or shows some of them.");
  flags.String("project", 'p', &options.project, "NAME", "only experiments of this project");
  flags.Int("limit", 0, &options.limit, 1, limits::kPageSizeMax,
            "experiments to list, newest first");
  flags.Bool("active", 0, &options.active, "only what has not ended");
  options.global.Declare(flags);
  std::vector<std::string> positional;
  CVT_ASSIGN_OR_RETURN(const bool help, ParseFlags(cli, flags, arguments, positional));
  if (help) return ExitCode::kDone;
  CVT_RETURN_IF_ERROR(
      CheckCount(positional, 1, 1000, "a kind: exp, sweep, trial, ckpt, worker or dataset"));

  // `get trial/12.3` names the kind with the id.
  std::vector<std::string> ids(positional.begin() + 1, positional.end());
  std::string kind = positional[0];
  if (const size_t slash = kind.find('/'); slash != std::string::npos) {
    ids.insert(ids.begin(), kind);
    kind = kind.substr(0, slash);
  }
  const auto found = Kinds().find(kind);
  if (found == Kinds().end()) {
    std::vector<std::string> names;
    for (const auto& [name, function] : Kinds()) names.push_back(name);
    return InvalidArgument(
        Reason::kUsage, absl::StrCat("unknown kind ", kind, DidYouMean(NearestNames(kind, names)),
                                     "; there are exp, sweep, trial, ckpt, worker and dataset"));
  }
  CVT_ASSIGN_OR_RETURN(const OutputFormat format, ParseOutputFormat(options.global.output));
  CVT_ASSIGN_OR_RETURN(const auto connection, Connect(cli, options.global));
  return found->second(Getter{cli, *connection, options, format, ids});
}

}  // namespace cvtrain::client
