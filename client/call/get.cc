// cvctl get KIND [ID...]
#include <functional>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
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
  bool machine() const { return format == OutputFormat::kJson || format == OutputFormat::kYaml; }

  void Print(const Table& table, const std::string& nothing) const {
    if (table.empty() && cli.out_is_terminal) {
      cli.err << nothing << '\n';
      return;
    }
    table.Print(cli.out, !options.global.no_headers);
  }

  template <typename Resource>
  void PrintNames(const std::vector<Resource>& resources) const {
    for (const Resource& resource : resources) cli.out << ShortName(resource.name()) << '\n';
  }
};

absl::StatusOr<std::vector<v1::Experiment>> FetchExperiments(const Getter& get) {
  std::vector<v1::Experiment> experiments;
  for (const std::string& id : get.ids) {
    v1::GetExperimentRequest request;
    CVT_ASSIGN_OR_RETURN(*request.mutable_name(), ExperimentNameOf(id));
    CVT_ASSIGN_OR_RETURN(auto response, get.connection.GetExperiment(request));
    experiments.push_back(std::move(*response.mutable_experiment()));
  }
  if (!get.ids.empty()) return experiments;
  v1::ListExperimentsRequest request;
  request.set_project(get.options.project);
  request.set_page_size(get.options.limit);
  CVT_ASSIGN_OR_RETURN(auto response, get.connection.ListExperiments(request));
  for (v1::Experiment& experiment : *response.mutable_experiments()) {
    if (get.options.active && HasEnded(experiment.state())) continue;
    experiments.push_back(std::move(experiment));
  }
  return experiments;
}

absl::StatusOr<ExitCode> GetExperiments(const Getter& get) {
  CVT_ASSIGN_OR_RETURN(const auto experiments, FetchExperiments(get));
  if (get.machine()) {
    v1::ListExperimentsResponse list;
    for (const auto& experiment : experiments) *list.add_experiments() = experiment;
    PrintMessage(get.cli, get.format, list);
  } else if (get.format == OutputFormat::kName) {
    get.PrintNames(experiments);
  } else {
    get.Print(ExperimentTable(experiments, get.now()),
              "no experiments; `cvctl submit FILE` makes one");
  }
  return ExitCode::kDone;
}

// A trial by its id, the trials of an experiment, or all of them.
absl::StatusOr<std::vector<v1::Trial>> FetchTrials(const Getter& get) {
  std::vector<v1::Trial> trials;
  const std::vector<std::string> ids = get.ids.empty() ? std::vector<std::string>{"-"} : get.ids;
  for (const std::string& id : ids) {
    const absl::StatusOr<std::string> trial = TrialNameOf(id);
    if (id != "-" && trial.ok()) {
      v1::GetTrialRequest request;
      request.set_name(*trial);
      CVT_ASSIGN_OR_RETURN(auto response, get.connection.GetTrial(request));
      trials.push_back(std::move(*response.mutable_trial()));
      continue;
    }
    std::string parent = "experiments/-";
    if (id != "-") {
      const absl::StatusOr<std::string> experiment = ExperimentNameOf(id);
      if (!experiment.ok()) return trial.status();
      parent = *experiment;
    }
    CVT_ASSIGN_OR_RETURN(std::vector<v1::Trial> found, get.connection.AllTrials(parent));
    for (v1::Trial& one : found) {
      if (get.options.active && HasEnded(one.state())) continue;
      trials.push_back(std::move(one));
    }
  }
  return trials;
}

absl::StatusOr<ExitCode> GetTrials(const Getter& get) {
  CVT_ASSIGN_OR_RETURN(const auto trials, FetchTrials(get));
  if (get.machine()) {
    v1::ListTrialsResponse list;
    for (const auto& trial : trials) *list.add_trials() = trial;
    PrintMessage(get.cli, get.format, list);
  } else if (get.format == OutputFormat::kName) {
    get.PrintNames(trials);
  } else {
    get.Print(TrialTable(trials, get.now(), get.format == OutputFormat::kWide), "no trials");
  }
  return ExitCode::kDone;
}

absl::StatusOr<ExitCode> GetWorkers(const Getter& get) {
  v1::ListWorkersRequest request;
  request.set_page_size(limits::kPageSizeMax);
  CVT_ASSIGN_OR_RETURN(const auto response, get.connection.ListWorkers(request));
  const std::vector<v1::Worker> workers(response.workers().begin(), response.workers().end());
  if (get.machine()) {
    PrintMessage(get.cli, get.format, response);
  } else if (get.format == OutputFormat::kName) {
    get.PrintNames(workers);
  } else {
    get.Print(WorkerTable(workers, get.now()), "no workers; `cvctl local up` starts one");
  }
  return ExitCode::kDone;
}

absl::StatusOr<ExitCode> GetCheckpoints(const Getter& get) {
  v1::ListCheckpointsRequest request;
  request.set_page_size(limits::kPageSizeMax);
  std::vector<std::string> parents;
  for (const std::string& id : get.ids) {
    const absl::StatusOr<std::string> trial = TrialNameOf(id);
    if (trial.ok()) {
      parents.push_back(*trial);
      continue;
    }
    CVT_ASSIGN_OR_RETURN(parents.emplace_back(), ExperimentNameOf(id));
  }
  if (parents.empty()) parents.push_back("experiments/-");
  v1::ListCheckpointsResponse list;
  for (const std::string& parent : parents) {
    request.set_parent(parent);
    request.clear_page_token();
    do {
      CVT_ASSIGN_OR_RETURN(const auto response, get.connection.ListCheckpoints(request));
      for (const auto& checkpoint : response.checkpoints()) *list.add_checkpoints() = checkpoint;
      request.set_page_token(response.next_page_token());
    } while (!request.page_token().empty());
  }
  const std::vector<v1::Checkpoint> checkpoints(list.checkpoints().begin(),
                                                list.checkpoints().end());
  if (get.machine()) {
    PrintMessage(get.cli, get.format, list);
  } else if (get.format == OutputFormat::kName) {
    get.PrintNames(checkpoints);
  } else {
    get.Print(CheckpointTable(checkpoints, get.now()), "no checkpoints");
  }
  return ExitCode::kDone;
}

absl::StatusOr<ExitCode> GetDatasets(const Getter& get) {
  v1::ListDatasetsRequest request;
  request.set_page_size(limits::kPageSizeMax);
  CVT_ASSIGN_OR_RETURN(const auto response, get.connection.ListDatasets(request));
  std::vector<v1::DatasetVersion> versions;
  for (const v1::Dataset& dataset : response.datasets()) versions.push_back(dataset.newest());
  if (get.machine()) {
    PrintMessage(get.cli, get.format, response);
  } else if (get.format == OutputFormat::kName) {
    get.PrintNames(versions);
  } else {
    get.Print(DatasetTable(versions, get.now()),
              "no data sets; `cvctl dataset create NAME --from DIR` makes one");
  }
  return ExitCode::kDone;
}

using GetFunction = std::function<absl::StatusOr<ExitCode>(const Getter&)>;

const std::map<std::string, GetFunction>& Kinds() {
  static const auto* const kinds = new std::map<std::string, GetFunction>{
      {"exp", GetExperiments},        {"exps", GetExperiments},
      {"experiment", GetExperiments}, {"experiments", GetExperiments},
      {"sweep", GetExperiments},      {"sweeps", GetExperiments},
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
  FlagSet flags("cvctl get exp|trial|ckpt|worker|dataset [ID...] [flags]",
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
      CheckCount(positional, 1, 1000, "a kind: exp, trial, ckpt, worker or dataset"));

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
                                     "; there are exp, trial, ckpt, worker and dataset"));
  }
  CVT_ASSIGN_OR_RETURN(const OutputFormat format, ParseOutputFormat(options.global.output));
  CVT_ASSIGN_OR_RETURN(const auto connection, Connect(cli, options.global));
  return found->second(Getter{cli, *connection, options, format, ids});
}

}  // namespace cvtrain::client
