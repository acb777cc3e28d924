#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "coordinator/state/canonical_bytes.h"
#include "coordinator/state/cluster_state.h"
#include "coordinator/state/event_applier.h"
#include "coordinator/state/proto_time.h"
#include "coordinator/state/retention.h"
#include "coordinator/state/trial_record.h"

namespace cvtrain::coordinator {
namespace {

absl::Status Damaged(absl::string_view what) {
  return DataLoss(Reason::kJournalDamaged, absl::StrCat("snapshot: ", what));
}

}  // namespace

storage::v1::Snapshot ClusterState::ToSnapshot() const {
  storage::v1::Snapshot snapshot;
  snapshot.set_revision(revision_);
  *snapshot.mutable_time() = ToTimestamp(time_);
  for (const auto& [number, experiment] : experiments_) {
    *snapshot.add_experiments() = experiment.record;
    for (const auto& [trial_number, trial] : experiment.trials) {
      *snapshot.add_trials() = trial.record;
    }
  }
  for (const auto& [name, worker] : workers_) *snapshot.add_workers() = worker.record;
  for (const auto& [name, checkpoint] : checkpoints_) *snapshot.add_checkpoints() = checkpoint;
  for (const auto& [name, dataset] : datasets_) {
    for (const auto& [number, version] : dataset.versions) {
      *snapshot.add_dataset_versions() = version;
    }
  }
  for (const auto& [revision, request] : requests_.by_revision()) {
    *snapshot.add_requests() = request;
  }
  return snapshot;
}

std::string ClusterState::Fingerprint() const { return Sha256Hex(CanonicalBytes(ToSnapshot())); }

absl::StatusOr<ClusterState> ClusterState::FromSnapshot(storage::v1::Snapshot snapshot) {
  ClusterState state;
  state.revision_ = snapshot.revision();
  state.time_ = FromTimestamp(snapshot.time());
  for (auto& record : *snapshot.mutable_experiments()) {
    Experiment& experiment = state.experiments_[record.number()];
    experiment.name = ExperimentName(record.number());
    experiment.record = std::move(record);
    const auto& spec = experiment.record.spec();
    state.labels_[{spec.project(), spec.name()}] = experiment.name.number();
  }
  for (auto& record : *snapshot.mutable_workers()) {
    CVT_ASSIGN_OR_RETURN(WorkerName name, WorkerName::Parse(record.name()));
    Worker& worker = state.workers_[name];
    worker.name = std::move(name);
    worker.record = std::move(record);
  }
  for (auto& record : *snapshot.mutable_trials()) {
    const auto found = state.experiments_.find(record.experiment());
    if (found == state.experiments_.end()) return Damaged("a trial has no experiment");
    CVT_RETURN_IF_ERROR(state.RestoreTrial(found->second, std::move(record)));
  }
  for (auto& record : *snapshot.mutable_checkpoints()) {
    CVT_RETURN_IF_ERROR(state.RestoreCheckpoint(std::move(record)));
  }
  for (auto& version : *snapshot.mutable_dataset_versions()) {
    CVT_ASSIGN_OR_RETURN(const DatasetVersionName name, DatasetVersionName::Parse(version.name()));
    state.datasets_[name.dataset()].versions[name.number()] = std::move(version);
  }
  for (auto& [number, experiment] : state.experiments_) {
    for (auto& [trial_number, trial] : experiment.trials) state.SortCheckpoints(trial);
    state.IndexExperiment(experiment);
  }
  for (auto& request : *snapshot.mutable_requests()) {
    CVT_RETURN_IF_ERROR(state.requests_.Add(std::move(request)));
  }
  return state;
}

absl::Status ClusterState::RestoreTrial(Experiment& experiment, storage::v1::TrialRecord record) {
  Trial& trial = experiment.trials[record.number()];
  trial.name = NameOf(record);
  trial.record = std::move(record);
  IndexTrial(experiment, trial);
  const storage::v1::AttemptRecord* open = OpenAttempt(trial.record);
  if (open == nullptr) return absl::OkStatus();
  for (const storage::v1::RankPlacement& rank : open->ranks()) {
    const storage::v1::AttemptPart* part = FindPart(*open, rank.worker());
    if (part == nullptr) return Damaged("a rank has no part");
    if (part->ended()) continue;
    CVT_ASSIGN_OR_RETURN(const WorkerName name, WorkerName::Parse(rank.worker()));
    const auto worker = workers_.find(name);
    if (worker == workers_.end()) return Damaged("a rank has no worker");
    if (!worker->second.busy.emplace(rank.slot(), NameOf(trial.record, *open)).second) {
      return Damaged(absl::StrCat("slot ", rank.slot(), " of ", rank.worker(), " is given twice"));
    }
  }
  return absl::OkStatus();
}

absl::Status ClusterState::RestoreCheckpoint(storage::v1::CheckpointRecord record) {
  CVT_ASSIGN_OR_RETURN(const CheckpointName name, CheckpointName::Parse(record.name()));
  if (record.attempt().empty() && !record.label().empty()) {
    imported_.insert(name);
    checkpoints_[name] = std::move(record);
    return absl::OkStatus();
  }
  CVT_ASSIGN_OR_RETURN(const AttemptName attempt, AttemptName::Parse(record.attempt()));
  const auto experiment = experiments_.find(attempt.trial().experiment().number());
  if (experiment == experiments_.end()) return Damaged("a checkpoint has no experiment");
  const auto trial = experiment->second.trials.find(attempt.trial().number());
  if (trial == experiment->second.trials.end()) return Damaged("a checkpoint has no trial");
  trial->second.checkpoints.push_back(name);
  checkpoints_[name] = std::move(record);
  return absl::OkStatus();
}

void ClusterState::SortCheckpoints(Trial& trial) const {
  std::sort(trial.checkpoints.begin(), trial.checkpoints.end(),
            [this](const CheckpointName& a, const CheckpointName& b) {
              return IsOlder(checkpoints_.at(a), checkpoints_.at(b));
            });
}

}  // namespace cvtrain::coordinator
