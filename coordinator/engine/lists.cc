#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/status_macros.h"
#include "coordinator/engine/page.h"
#include "coordinator/engine/search_status.h"
#include "coordinator/engine/views.h"
#include "coordinator/state/canonical_bytes.h"
#include "coordinator/state/trial_record.h"

// Get and List of every resource.
namespace cvtrain::coordinator {
namespace {

// The parent of checkpoints that no trial made.
constexpr absl::string_view kImported = "imported";

// Experiments that `parent` names: one, or all for `experiments/-`.
struct Parent {
  bool all = false;
  ExperimentName experiment;
  TrialName trial;  // number 0: every trial
};

absl::StatusOr<Parent> ParseParent(const ClusterState& state, const std::string& text,
                                   bool trial_allowed) {
  Parent parent;
  if (text == "experiments/-") {
    parent.all = true;
    return parent;
  }
  if (trial_allowed) {
    const absl::StatusOr<TrialName> trial = TrialName::Parse(text);
    if (trial.ok()) {
      CVT_RETURN_IF_ERROR(state.FindTrial(*trial).status());
      parent.trial = *trial;
      parent.experiment = trial->experiment();
      return parent;
    }
  }
  CVT_ASSIGN_OR_RETURN(parent.experiment, ExperimentName::Parse(text));
  CVT_RETURN_IF_ERROR(state.FindExperiment(parent.experiment).status());
  return parent;
}

// First and last experiment of a parent, from `after` on.
template <typename Visit>
void VisitTrials(const ClusterState& state, const Parent& parent, int64_t from_experiment,
                 int64_t from_trial, Visit visit) {
  const auto& experiments = state.experiments();
  const int64_t only = parent.all ? 0 : parent.experiment.number();
  for (auto experiment = experiments.lower_bound(std::max(from_experiment, only));
       experiment != experiments.end(); ++experiment) {
    if (only != 0 && experiment->first != only) return;
    const auto& trials = experiment->second.trials;
    const int64_t first = experiment->first == from_experiment ? from_trial : 0;
    for (auto trial = trials.lower_bound(first); trial != trials.end(); ++trial) {
      if (parent.trial.number() != 0 && trial->first != parent.trial.number()) continue;
      if (!visit(experiment->second, trial->second)) return;
    }
  }
}

// What ListCheckpoints lists under kImported, by name.
v1::ListCheckpointsResponse ListImported(const View& view, Page& page) {
  v1::ListCheckpointsResponse response;
  const auto& imported = view.state().imported();
  const absl::StatusOr<CheckpointName> after = CheckpointName::Parse(page.after());
  for (auto name = after.ok() ? imported.upper_bound(*after) : imported.begin();
       name != imported.end(); ++name) {
    v1::Checkpoint proto = ToProto(view, *name, view.state().checkpoints().at(*name));
    if (!page.Take(name->ToString(), proto.ByteSizeLong())) break;
    *response.add_checkpoints() = std::move(proto);
  }
  response.set_next_page_token(page.next_token());
  return response;
}

}  // namespace

absl::StatusOr<v1::GetExperimentResponse> GetExperiment(const View& view,
                                                        const v1::GetExperimentRequest& request) {
  CVT_ASSIGN_OR_RETURN(const ExperimentName name, ExperimentName::Parse(request.name()));
  CVT_ASSIGN_OR_RETURN(const ClusterState::Experiment* experiment,
                       view.state().FindExperiment(name));
  v1::GetExperimentResponse response;
  *response.mutable_experiment() = ToProto(*experiment);
  if (experiment->record.spec().has_search()) {
    *response.mutable_experiment()->mutable_search() = SearchStatusOf(*experiment, view.now().wall);
  }
  return response;
}

absl::StatusOr<v1::ListExperimentsResponse> ListExperiments(
    const View& view, const PageTokens& tokens, absl::string_view caller,
    const v1::ListExperimentsRequest& request) {
  CVT_ASSIGN_OR_RETURN(Page page, Page::Open(tokens, caller, request));
  const int64_t after = page.AfterNumbers(1)[0];
  v1::ListExperimentsResponse response;
  const auto& experiments = view.state().experiments();
  auto experiment = after == 0 ? experiments.rbegin()
                               : std::make_reverse_iterator(experiments.lower_bound(after));
  for (; experiment != experiments.rend(); ++experiment) {
    const v1::ExperimentSpec& spec = experiment->second.record.spec();
    if (!request.project().empty() && spec.project() != request.project()) continue;
    if (!request.label().empty() && spec.name() != request.label()) continue;
    v1::Experiment proto = ToProto(experiment->second);
    if (!page.Take(absl::StrCat(experiment->first), proto.ByteSizeLong())) break;
    *response.add_experiments() = std::move(proto);
  }
  response.set_next_page_token(page.next_token());
  return response;
}

absl::StatusOr<v1::GetTrialResponse> GetTrial(const View& view,
                                              const v1::GetTrialRequest& request) {
  CVT_ASSIGN_OR_RETURN(const TrialName name, TrialName::Parse(request.name()));
  CVT_ASSIGN_OR_RETURN(const ClusterState::Trial* trial, view.state().FindTrial(name));
  CVT_ASSIGN_OR_RETURN(const ClusterState::Experiment* experiment,
                       view.state().FindExperiment(name.experiment()));
  v1::GetTrialResponse response;
  *response.mutable_trial() = ToProto(view, *experiment, *trial, Detail::kFull);
  return response;
}

absl::StatusOr<v1::ListTrialsResponse> ListTrials(const View& view, const PageTokens& tokens,
                                                  absl::string_view caller,
                                                  const v1::ListTrialsRequest& request) {
  CVT_ASSIGN_OR_RETURN(const Parent parent,
                       ParseParent(view.state(), request.parent(), /*trial_allowed=*/false));
  CVT_ASSIGN_OR_RETURN(Page page, Page::Open(tokens, caller, request));
  const std::vector<int64_t> after = page.AfterNumbers(2);
  v1::ListTrialsResponse response;
  WaitExplainer explainer(view);
  VisitTrials(view.state(), parent, after[0], after[1] + 1,
              [&](const ClusterState::Experiment& experiment, const ClusterState::Trial& trial) {
                const auto& states = request.states();
                if (!states.empty() &&
                    std::find(states.begin(), states.end(), trial.record.state()) == states.end()) {
                  return true;
                }
                v1::Trial proto = ToProto(view, experiment, trial, Detail::kSummary, explainer);
                const std::string position =
                    absl::StrCat(experiment.name.number(), ".", trial.name.number());
                if (!page.Take(position, proto.ByteSizeLong())) return false;
                *response.add_trials() = std::move(proto);
                return true;
              });
  response.set_next_page_token(page.next_token());
  return response;
}

absl::StatusOr<v1::GetWorkerResponse> GetWorker(const View& view,
                                                const v1::GetWorkerRequest& request) {
  CVT_ASSIGN_OR_RETURN(const WorkerName name, WorkerName::Parse(request.name()));
  CVT_ASSIGN_OR_RETURN(const ClusterState::Worker* worker, view.state().FindWorker(name));
  v1::GetWorkerResponse response;
  *response.mutable_worker() = ToProto(view, *worker);
  return response;
}

absl::StatusOr<v1::ListWorkersResponse> ListWorkers(const View& view, const PageTokens& tokens,
                                                    absl::string_view caller,
                                                    const v1::ListWorkersRequest& request) {
  CVT_ASSIGN_OR_RETURN(Page page, Page::Open(tokens, caller, request));
  v1::ListWorkersResponse response;
  const auto& workers = view.state().workers();
  for (auto worker = workers.upper_bound(WorkerName(page.after())); worker != workers.end();
       ++worker) {
    v1::Worker proto = ToProto(view, worker->second);
    if (!page.Take(worker->first.id(), proto.ByteSizeLong())) break;
    *response.add_workers() = std::move(proto);
  }
  response.set_next_page_token(page.next_token());
  return response;
}

absl::StatusOr<v1::GetCheckpointResponse> GetCheckpoint(const View& view,
                                                        const v1::GetCheckpointRequest& request) {
  CVT_ASSIGN_OR_RETURN(const CheckpointName name, CheckpointName::Parse(request.name()));
  CVT_ASSIGN_OR_RETURN(const storage::v1::CheckpointRecord* record,
                       view.state().FindCheckpoint(name));
  v1::GetCheckpointResponse response;
  *response.mutable_checkpoint() = ToProto(view, name, *record);
  return response;
}

absl::StatusOr<v1::ListCheckpointsResponse> ListCheckpoints(
    const View& view, const PageTokens& tokens, absl::string_view caller,
    const v1::ListCheckpointsRequest& request) {
  if (request.parent() == kImported) {
    CVT_ASSIGN_OR_RETURN(Page page, Page::Open(tokens, caller, request));
    return ListImported(view, page);
  }
  CVT_ASSIGN_OR_RETURN(const Parent parent,
                       ParseParent(view.state(), request.parent(), /*trial_allowed=*/true));
  CVT_ASSIGN_OR_RETURN(Page page, Page::Open(tokens, caller, request));
  // Experiment, trial, revision of the commit: stable while older ones are deleted.
  const std::vector<int64_t> after = page.AfterNumbers(3);
  v1::ListCheckpointsResponse response;
  VisitTrials(view.state(), parent, after[0], after[1],
              [&](const ClusterState::Experiment& experiment, const ClusterState::Trial& trial) {
                const bool began =
                    experiment.name.number() == after[0] && trial.name.number() == after[1];
                for (const CheckpointName& name : trial.checkpoints) {
                  const storage::v1::CheckpointRecord& record = view.state().checkpoints().at(name);
                  if (began && record.revision() <= after[2]) continue;
                  v1::Checkpoint proto = ToProto(view, name, record);
                  const std::string position = absl::StrCat(
                      experiment.name.number(), ".", trial.name.number(), ".", record.revision());
                  if (!page.Take(position, proto.ByteSizeLong())) return false;
                  *response.add_checkpoints() = std::move(proto);
                }
                return true;
              });
  response.set_next_page_token(page.next_token());
  return response;
}

absl::StatusOr<v1::GetDatasetResponse> GetDataset(const View& view,
                                                  const v1::GetDatasetRequest& request) {
  CVT_ASSIGN_OR_RETURN(const DatasetName name, DatasetName::Parse(request.name()));
  CVT_RETURN_IF_ERROR(view.state().FindDatasetVersion(DatasetVersionName(name, 0)).status());
  v1::GetDatasetResponse response;
  *response.mutable_dataset() = ToProto(name, view.state().datasets().at(name));
  return response;
}

absl::StatusOr<v1::ListDatasetsResponse> ListDatasets(const View& view, const PageTokens& tokens,
                                                      absl::string_view caller,
                                                      const v1::ListDatasetsRequest& request) {
  CVT_ASSIGN_OR_RETURN(Page page, Page::Open(tokens, caller, request));
  v1::ListDatasetsResponse response;
  const auto& datasets = view.state().datasets();
  for (auto dataset = datasets.upper_bound(DatasetName(page.after())); dataset != datasets.end();
       ++dataset) {
    v1::Dataset proto = ToProto(dataset->first, dataset->second);
    if (!page.Take(dataset->first.label(), proto.ByteSizeLong())) break;
    *response.add_datasets() = std::move(proto);
  }
  response.set_next_page_token(page.next_token());
  return response;
}

absl::StatusOr<v1::GetDatasetVersionResponse> GetDatasetVersion(
    const View& view, const v1::GetDatasetVersionRequest& request) {
  DatasetVersionName name;
  // `versions/0`, the newest, is no canonical name.
  constexpr absl::string_view kNewest = "/versions/0";
  absl::string_view text = request.name();
  if (absl::ConsumeSuffix(&text, kNewest)) {
    CVT_ASSIGN_OR_RETURN(DatasetName dataset, DatasetName::Parse(text));
    name = DatasetVersionName(std::move(dataset), 0);
  } else {
    CVT_ASSIGN_OR_RETURN(name, DatasetVersionName::Parse(request.name()));
  }
  CVT_ASSIGN_OR_RETURN(const v1::DatasetVersion* version, view.state().FindDatasetVersion(name));
  v1::GetDatasetVersionResponse response;
  *response.mutable_version() = *version;
  return response;
}

absl::StatusOr<v1::ListDatasetVersionsResponse> ListDatasetVersions(
    const View& view, const PageTokens& tokens, absl::string_view caller,
    const v1::ListDatasetVersionsRequest& request) {
  CVT_ASSIGN_OR_RETURN(const DatasetName name, DatasetName::Parse(request.parent()));
  CVT_RETURN_IF_ERROR(view.state().FindDatasetVersion(DatasetVersionName(name, 0)).status());
  CVT_ASSIGN_OR_RETURN(Page page, Page::Open(tokens, caller, request));
  const int64_t after = page.AfterNumbers(1)[0];
  v1::ListDatasetVersionsResponse response;
  const auto& versions = view.state().datasets().at(name).versions;
  for (auto version = versions.rbegin(); version != versions.rend(); ++version) {
    if (after != 0 && version->first >= after) continue;
    v1::DatasetVersion proto = Summary(version->second);
    if (!page.Take(absl::StrCat(version->first), proto.ByteSizeLong())) break;
    *response.add_versions() = std::move(proto);
  }
  response.set_next_page_token(page.next_token());
  return response;
}

}  // namespace cvtrain::coordinator
