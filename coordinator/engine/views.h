#ifndef CVTRAIN_COORDINATOR_ENGINE_VIEWS_H_
#define CVTRAIN_COORDINATOR_ENGINE_VIEWS_H_

#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/engine/page_token.h"
#include "coordinator/engine/throughput.h"
#include "coordinator/engine/view.h"
#include "cvtrain/storage/v1/snapshot.pb.h"
#include "cvtrain/v1/checkpoint.pb.h"
#include "cvtrain/v1/cluster.pb.h"
#include "cvtrain/v1/dataset.pb.h"
#include "cvtrain/v1/experiment.pb.h"
#include "cvtrain/v1/trial.pb.h"
#include "cvtrain/v1/worker.pb.h"
#include "plan/curriculum/forecast.h"

// State as the wire shows it. Pure functions of a View; thread-compatible.
//
// Not filled in here: stages (see StagesToPlan), and of
// Cluster what only the process knows (start_time, versions, build, protocol range).
namespace cvtrain::coordinator {

enum class Detail { kSummary, kFull };  // as in List, as in Get

// Says why trials wait; looks at the queue once, when first asked. Thread-compatible; the view must
// outlive it.
class WaitExplainer {
 public:
  explicit WaitExplainer(const View& view);
  std::string Explain(const ClusterState::Trial& trial);

 private:
  const View& view_;
  bool ready_ = false;
  absl::btree_map<TrialName, std::string> texts_;
};

v1::Experiment ToProto(const ClusterState::Experiment& experiment);
v1::Trial ToProto(const View& view, const ClusterState::Experiment& experiment,
                  const ClusterState::Trial& trial, Detail detail, WaitExplainer& explainer);
v1::Trial ToProto(const View& view, const ClusterState::Experiment& experiment,
                  const ClusterState::Trial& trial, Detail detail);
v1::Worker ToProto(const View& view, const ClusterState::Worker& worker);
v1::Checkpoint ToProto(const View& view, const CheckpointName& name,
                       const storage::v1::CheckpointRecord& record);
v1::Dataset ToProto(const DatasetName& name, const ClusterState::Dataset& dataset);
// Without shards.
v1::DatasetVersion Summary(const v1::DatasetVersion& version);
v1::Cluster ClusterToProto(const View& view);

// Each finds what a request names and answers it. Errors: INVALID_ARGUMENT (BAD_RESOURCE_NAME),
// NOT_FOUND; of lists INVALID_ARGUMENT (FIELD_INVALID) for a negative page size or a bad filter and
// (BAD_PAGE_TOKEN). `caller` is who asks: page tokens are bound to it.
absl::StatusOr<v1::GetExperimentResponse> GetExperiment(const View& view,
                                                        const v1::GetExperimentRequest& request);
absl::StatusOr<v1::ListExperimentsResponse> ListExperiments(
    const View& view, const PageTokens& tokens, absl::string_view caller,
    const v1::ListExperimentsRequest& request);
absl::StatusOr<v1::GetTrialResponse> GetTrial(const View& view, const v1::GetTrialRequest& request);
absl::StatusOr<v1::ListTrialsResponse> ListTrials(const View& view, const PageTokens& tokens,
                                                  absl::string_view caller,
                                                  const v1::ListTrialsRequest& request);
absl::StatusOr<v1::GetWorkerResponse> GetWorker(const View& view,
                                                const v1::GetWorkerRequest& request);
absl::StatusOr<v1::ListWorkersResponse> ListWorkers(const View& view, const PageTokens& tokens,
                                                    absl::string_view caller,
                                                    const v1::ListWorkersRequest& request);
absl::StatusOr<v1::GetCheckpointResponse> GetCheckpoint(const View& view,
                                                        const v1::GetCheckpointRequest& request);
absl::StatusOr<v1::ListCheckpointsResponse> ListCheckpoints(
    const View& view, const PageTokens& tokens, absl::string_view caller,
    const v1::ListCheckpointsRequest& request);
absl::StatusOr<v1::GetDatasetResponse> GetDataset(const View& view,
                                                  const v1::GetDatasetRequest& request);
absl::StatusOr<v1::ListDatasetsResponse> ListDatasets(const View& view, const PageTokens& tokens,
                                                      absl::string_view caller,
                                                      const v1::ListDatasetsRequest& request);
absl::StatusOr<v1::GetDatasetVersionResponse> GetDatasetVersion(
    const View& view, const v1::GetDatasetVersionRequest& request);
absl::StatusOr<v1::ListDatasetVersionsResponse> ListDatasetVersions(
    const View& view, const PageTokens& tokens, absl::string_view caller,
    const v1::ListDatasetVersionsRequest& request);

// What plan::PlannedStages() needs. Planning costs up to a second for the longest trials, so
// whoever answers does it after the view is gone, on a thread of its own.
struct StagesToPlan {
  v1::Recipe recipe;
  plan::TrialFacts facts;
  // For PredictDurations().
  int32_t slots = 1;
  Throughput throughput;
};

// NOT_FOUND (TRIAL_NOT_FOUND).
absl::StatusOr<StagesToPlan> StagesOfTrial(const View& view, const TrialName& name);

// Says what CreateExperiment would do, but for the stages, which `stages` leads to. Errors of
// ResolveSpec(); EXPERIMENT_EXISTS is not checked.
absl::StatusOr<v1::PreviewExperimentResponse> PreviewExperiment(
    const View& view, const v1::PreviewExperimentRequest& request, StagesToPlan& stages);

// From `from_step` on (steps count from 0) the points of `attempt` count, up to the next segment's.
struct LineageSegment {
  int64_t attempt = 0;
  int64_t from_step = 0;
};

// Which attempts' points count, for the metrics store; from_step strictly increases.
std::vector<LineageSegment> LineageOf(const ClusterState::Trial& trial);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_ENGINE_VIEWS_H_
