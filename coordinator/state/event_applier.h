#ifndef CVTRAIN_COORDINATOR_STATE_EVENT_APPLIER_H_
#define CVTRAIN_COORDINATOR_STATE_EVENT_APPLIER_H_

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "coordinator/state/cluster_state.h"
#include "cvtrain/storage/v1/event.pb.h"

namespace cvtrain::coordinator {

// Applies one event to a state; private to ClusterState::Apply(). Errors are as there.
class EventApplier {
 public:
  EventApplier(ClusterState& state, const storage::v1::Event& event)
      : state_(state), event_(event) {}

  absl::Status Run();

 private:
  using Experiment = ClusterState::Experiment;
  using Trial = ClusterState::Trial;

  absl::Status ApplyKind();
  absl::Status Created(const storage::v1::ExperimentCreated& event);
  absl::Status Registered(const storage::v1::WorkerRegistered& event);
  absl::Status Lost(const storage::v1::WorkerLost& event);
  absl::Status Cordoned(const storage::v1::WorkerCordoned& event);
  absl::Status Allocated(const storage::v1::AttemptAllocated& event);
  absl::Status Facts(const storage::v1::FactsReported& event);
  // What the end of a part says of its worker.
  absl::Status NoteEnd(const storage::v1::FactsReported& event,
                       const storage::v1::PartEnded& ended);
  void MarkDamaged(const Trial& trial, const std::string& checkpoint);
  absl::Status Committed(const storage::v1::CheckpointCommitted& event);
  absl::Status Imported(const storage::v1::CheckpointImported& event);
  absl::Status Deleted(const storage::v1::CheckpointDeleted& event);
  absl::Status Committed(const storage::v1::DatasetCommitted& event);

  absl::Status Follow(const storage::v1::Consequences& consequences);
  absl::Status Stop(const storage::v1::AttemptStop& stop);
  absl::Status Move(const storage::v1::TrialTransition& transition);
  absl::Status Search(const storage::v1::SearchStep& step);
  absl::Status Create(Experiment& experiment, const storage::v1::NewTrial& created);
  absl::Status End(const storage::v1::ExperimentEnd& end);

  // A new record of a checkpoint, with its name.
  absl::StatusOr<storage::v1::CheckpointRecord*> NewCheckpoint(const std::string& text);
  // The trial that made a checkpoint.
  absl::StatusOr<Trial*> FindMaker(const std::string& checkpoint);
  // Deletes a checkpoint of `trial`.
  absl::Status DeleteFrom(Trial& trial, const std::string& text);
  absl::StatusOr<Experiment*> FindExperiment(absl::string_view name);
  absl::StatusOr<ClusterState::Worker*> FindWorker(const std::string& text);
  // Changes a trial and keeps the indices in step.
  absl::Status ChangeTrial(const TrialName& name, absl::FunctionRef<absl::Status(Trial&)> change);
  absl::Status LoseParts(const google::protobuf::RepeatedPtrField<std::string>& attempts,
                         const std::string& worker);
  absl::Status FreeSlots(const std::string& worker, const AttemptName& attempt);
  absl::Status Damaged(absl::string_view what) const;

  ClusterState& state_;
  const storage::v1::Event& event_;
};

// The indices of one trial; both are no-ops to the record.
void IndexTrial(ClusterState::Experiment& experiment, ClusterState::Trial& trial);
void UnindexTrial(ClusterState::Experiment& experiment, const ClusterState::Trial& trial);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STATE_EVENT_APPLIER_H_
