#include "client/call/fetch.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "client/call/pages.h"
#include "client/call/verb.h"
#include "common/errors.h"
#include "common/ids.h"
#include "common/limits.h"
#include "common/status_macros.h"

namespace cvtrain::client {
namespace {

constexpr char kAllExperiments[] = "experiments/-";
// The parent of checkpoints that no trial made.
constexpr char kImported[] = "imported";

absl::StatusOr<v1::Experiment> GetExperiment(Connection& connection, const std::string& name) {
  v1::GetExperimentRequest request;
  request.set_name(name);
  CVT_ASSIGN_OR_RETURN(auto response, connection.GetExperiment(request));
  return std::move(*response.mutable_experiment());
}

absl::StatusOr<Experiments> ExperimentsByName(Connection& connection, const Ids& ids,
                                              const ListOptions& options) {
  Experiments found;
  for (const std::string& id : ids) {
    CVT_ASSIGN_OR_RETURN(const std::string name, ExperimentNameOf(id));
    CVT_ASSIGN_OR_RETURN(v1::Experiment experiment, GetExperiment(connection, name));
    if (options.sweeps && !IsSweep(experiment)) {
      return NotFound(Reason::kExperimentNotFound,
                      absl::StrCat(ShortName(name), ": is an experiment without a search; `cvctl ",
                                   "get ", ShortName(name), "` shows it"));
    }
    found.experiments.push_back(std::move(experiment));
  }
  return found;
}

bool Fits(const v1::Experiment& experiment, const ListOptions& options) {
  return !(options.active && HasEnded(experiment.state())) &&
         !(options.sweeps && !IsSweep(experiment));
}

// The experiment or the trial that `id` names, as the parent of a list.
absl::StatusOr<std::string> ParentNameOf(const std::string& id) {
  const absl::StatusOr<std::string> trial = TrialNameOf(id);
  if (trial.ok()) return trial;
  const absl::StatusOr<std::string> experiment = ExperimentNameOf(id);
  return experiment.ok() ? experiment : trial.status();
}

absl::Status AppendCheckpoints(Connection& connection, const std::string& parent,
                               std::vector<v1::Checkpoint>& checkpoints) {
  v1::ListCheckpointsRequest request;
  request.set_parent(parent);
  return ForEachPage(connection, &Connection::ListCheckpoints, request,
                     [&](v1::ListCheckpointsResponse response) {
                       for (v1::Checkpoint& one : *response.mutable_checkpoints())
                         checkpoints.push_back(std::move(one));
                       return true;
                     });
}

bool NamesACheckpoint(const std::string& id) {
  const absl::StatusOr<AnyName> name = ParseShort(id, NameKind::kCheckpoint);
  return name.ok() && (std::holds_alternative<CheckpointName>(*name) ||
                       std::holds_alternative<CheckpointPrefix>(*name));
}

}  // namespace

absl::StatusOr<Experiments> FetchExperiments(Connection& connection, const Ids& ids,
                                             const ListOptions& options) {
  if (!ids.empty()) return ExperimentsByName(connection, ids, options);
  Experiments found;
  v1::ListExperimentsRequest request;
  request.set_project(options.project);
  // One more than is shown tells whether there are others.
  const bool filtered = options.active || options.sweeps;
  const int page_size = static_cast<int>(options.limit) + 1;
  request.set_page_size(filtered ? limits::kPageSizeMax
                                 : std::min(page_size, limits::kPageSizeMax));
  CVT_RETURN_IF_ERROR(ForEachPage(
      connection, &Connection::ListExperiments, request, [&](v1::ListExperimentsResponse response) {
        for (v1::Experiment& experiment : *response.mutable_experiments()) {
          if (!Fits(experiment, options)) continue;
          found.more = found.experiments.size() == options.limit;
          if (found.more) return false;
          found.experiments.push_back(std::move(experiment));
        }
        return true;
      }));
  return found;
}

absl::StatusOr<std::vector<ExperimentView>> WithTrials(Connection& connection,
                                                       std::vector<v1::Experiment> experiments,
                                                       bool all) {
  std::vector<ExperimentView> views;
  for (v1::Experiment& experiment : experiments) {
    ExperimentView view;
    // Nothing of what a table says of a sweep that has ended is in its trials.
    if (all || !IsSweep(experiment) || !HasEnded(experiment.state())) {
      CVT_ASSIGN_OR_RETURN(view.trials, connection.AllTrials(experiment.name()));
    }
    view.experiment = std::move(experiment);
    views.push_back(std::move(view));
  }
  return views;
}

absl::StatusOr<std::vector<v1::Trial>> FetchTrials(Connection& connection, const Ids& ids,
                                                   const ListOptions& options) {
  std::vector<v1::Trial> trials;
  const auto take = [&](std::vector<v1::Trial> found) {
    for (v1::Trial& one : found) {
      if (!options.active || !HasEnded(one.state())) trials.push_back(std::move(one));
    }
  };
  if (ids.empty()) {
    CVT_ASSIGN_OR_RETURN(std::vector<v1::Trial> found, connection.AllTrials(kAllExperiments));
    take(std::move(found));
  }
  for (const std::string& id : ids) {
    CVT_ASSIGN_OR_RETURN(const std::string name, ParentNameOf(id));
    if (ExperimentName::Parse(name).ok()) {
      CVT_ASSIGN_OR_RETURN(std::vector<v1::Trial> found, connection.AllTrials(name));
      take(std::move(found));
      continue;
    }
    v1::GetTrialRequest request;
    request.set_name(name);
    CVT_ASSIGN_OR_RETURN(auto response, connection.GetTrial(request));
    trials.push_back(std::move(*response.mutable_trial()));
  }
  return trials;
}

absl::StatusOr<std::map<std::string, v1::Experiment>> ExperimentsOf(
    Connection& connection, const std::vector<v1::Trial>& trials) {
  std::map<std::string, v1::Experiment> experiments;
  for (const v1::Trial& trial : trials) {
    const std::string name = ParentOf(trial);
    if (experiments.count(name) > 0) continue;
    CVT_ASSIGN_OR_RETURN(experiments[name], GetExperiment(connection, name));
  }
  return experiments;
}

absl::StatusOr<std::vector<v1::Worker>> FetchWorkers(Connection& connection, const Ids& ids) {
  std::vector<v1::Worker> workers;
  for (const std::string& id : ids) {
    v1::GetWorkerRequest request;
    CVT_ASSIGN_OR_RETURN(*request.mutable_name(), WorkerNameOf(id));
    CVT_ASSIGN_OR_RETURN(auto response, connection.GetWorker(request));
    workers.push_back(std::move(*response.mutable_worker()));
  }
  if (!ids.empty()) return workers;
  CVT_RETURN_IF_ERROR(ForEachPage(connection, &Connection::ListWorkers, v1::ListWorkersRequest(),
                                  [&](v1::ListWorkersResponse response) {
                                    for (v1::Worker& one : *response.mutable_workers())
                                      workers.push_back(std::move(one));
                                    return true;
                                  }));
  return workers;
}

absl::StatusOr<std::vector<v1::Checkpoint>> FetchCheckpoints(Connection& connection,
                                                             const Ids& ids) {
  std::vector<v1::Checkpoint> checkpoints;
  if (ids.empty()) {
    CVT_RETURN_IF_ERROR(AppendCheckpoints(connection, kAllExperiments, checkpoints));
    CVT_RETURN_IF_ERROR(AppendCheckpoints(connection, kImported, checkpoints));
  }
  for (const std::string& id : ids) {
    if (id == kImported) {
      CVT_RETURN_IF_ERROR(AppendCheckpoints(connection, kImported, checkpoints));
      continue;
    }
    if (!NamesACheckpoint(id)) {
      CVT_ASSIGN_OR_RETURN(const std::string parent, ParentNameOf(id));
      CVT_RETURN_IF_ERROR(AppendCheckpoints(connection, parent, checkpoints));
      continue;
    }
    v1::GetCheckpointRequest request;
    CVT_ASSIGN_OR_RETURN(*request.mutable_name(), CheckpointNameOf(connection, id));
    CVT_ASSIGN_OR_RETURN(auto response, connection.GetCheckpoint(request));
    checkpoints.push_back(std::move(*response.mutable_checkpoint()));
  }
  return checkpoints;
}

absl::StatusOr<std::vector<v1::DatasetVersion>> FetchDatasets(Connection& connection,
                                                              const Ids& ids) {
  std::vector<v1::DatasetVersion> versions;
  for (const std::string& id : ids) {
    v1::GetDatasetVersionRequest request;
    CVT_ASSIGN_OR_RETURN(*request.mutable_name(), DatasetVersionNameOf(id));
    CVT_ASSIGN_OR_RETURN(auto response, connection.GetDatasetVersion(request));
    versions.push_back(std::move(*response.mutable_version()));
  }
  if (!ids.empty()) return versions;
  CVT_RETURN_IF_ERROR(ForEachPage(connection, &Connection::ListDatasets, v1::ListDatasetsRequest(),
                                  [&](v1::ListDatasetsResponse response) {
                                    for (v1::Dataset& one : *response.mutable_datasets())
                                      versions.push_back(std::move(*one.mutable_newest()));
                                    return true;
                                  }));
  return versions;
}

}  // namespace cvtrain::client
