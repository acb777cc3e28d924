#ifndef CVTRAIN_COORDINATOR_STATE_CLUSTER_STATE_H_
#define CVTRAIN_COORDINATOR_STATE_CLUSTER_STATE_H_

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/ids.h"
#include "coordinator/search/searcher.h"
#include "coordinator/state/requests.h"
#include "cvtrain/storage/v1/snapshot.pb.h"

namespace cvtrain::coordinator {

// What the coordinator knows, as a function of the events applied so far.
//
// ClusterState has no clock, no random numbers, no threads and no I/O, and keeps its maps ordered:
// two processes that apply the same events agree byte for byte, and so does one that restored a
// snapshot in between. It never refuses an event for policy reasons; policy is in decide_*.h, and
// runs before an event exists. What workers report live (renewals, progress) is not here.
//
// Records are those of snapshot.proto; what stands beside a record is an index, rebuilt from it.
//
// Thread-compatible: the owner synchronizes.
class ClusterState {
 public:
  struct Trial {
    TrialName name;
    storage::v1::TrialRecord record;
    // Indices.
    std::optional<double> objective;          // as the experiment defines it
    std::vector<double> rungs;                // RungValues() of its search
    std::vector<CheckpointName> checkpoints;  // the newest last: see IsOlder()

    // It has a place in the ranking: an objective, and nothing that takes it out.
    bool IsRanked() const {
      return objective.has_value() && !record.discarded() && record.pruned_at_epoch() == 0 &&
             record.state() != v1::Trial::STATE_FAILED &&
             record.state() != v1::Trial::STATE_CANCELLED;
    }
  };

  struct Experiment {
    ExperimentName name;
    storage::v1::ExperimentRecord record;
    // Dense from 1. Not a btree_map: its trials stay where they are, and `results` points at them.
    std::map<int64_t, Trial> trials;
    // Indices. Trials by state (number of v1::Trial::State); those that wait; those that have an
    // objective and count, best first: (objective, negated if it is to be maximized; number).
    std::array<int32_t, 8> trials_by_state = {};
    absl::btree_set<int64_t> queued;
    absl::btree_set<std::pair<double, int64_t>> ranking;
    // What its search is told of each trial, by number from 1.
    std::vector<TrialResult> results;
    // Bytes that a rank of its trials is predicted to need at least; 0 if that cannot be said.
    // Known once a trial has been queued.
    std::optional<int64_t> rank_memory_bytes;
  };

  struct Worker {
    WorkerName name;
    storage::v1::WorkerRecord record;
    // Index: slot -> unfinished attempt whose rank has it.
    absl::btree_map<int32_t, AttemptName> busy;
  };

  struct Dataset {
    // By number, dense from 1.
    absl::btree_map<int64_t, v1::DatasetVersion> versions;
  };

  ClusterState() = default;
  ClusterState(ClusterState&&) = default;
  ClusterState& operator=(ClusterState&&) = default;

  // Applies the next event of the journal.
  //
  // Returns DATA_LOSS (JOURNAL_DAMAGED) if `event` is not the successor of the last one, names
  // what does not exist, or contradicts the state (a slot given twice, a trial that ends twice):
  // the journal is damaged, or the program has a bug. The state may then be half changed: the
  // caller must stop serving.
  absl::Status Apply(const storage::v1::Event& event);

  // All records, in order. Costs a copy of the state.
  storage::v1::Snapshot ToSnapshot() const;

  // Returns DATA_LOSS (JOURNAL_DAMAGED) if the records contradict each other.
  static absl::StatusOr<ClusterState> FromSnapshot(storage::v1::Snapshot snapshot);

  // SHA-256 of the snapshot's canonical bytes, hex: equal for equal states.
  std::string Fingerprint() const;

  // Of the last event applied; 0 before the first.
  int64_t revision() const { return revision_; }
  absl::Time time() const { return time_; }

  // Return NOT_FOUND (EXPERIMENT_NOT_FOUND, TRIAL_NOT_FOUND, ...) if there is none of this name.
  // Pointers are valid until the next Apply().
  absl::StatusOr<const Experiment*> FindExperiment(const ExperimentName& name) const;
  absl::StatusOr<const Trial*> FindTrial(const TrialName& name) const;
  absl::StatusOr<const storage::v1::AttemptRecord*> FindAttempt(const AttemptName& name) const;
  absl::StatusOr<const Worker*> FindWorker(const WorkerName& name) const;
  absl::StatusOr<const storage::v1::CheckpointRecord*> FindCheckpoint(
      const CheckpointName& name) const;
  // Number 0 means the newest version. NOT_FOUND (DATASET_NOT_FOUND) lists near names.
  absl::StatusOr<const v1::DatasetVersion*> FindDatasetVersion(
      const DatasetVersionName& name) const;

  const absl::btree_map<int64_t, Experiment>& experiments() const { return experiments_; }
  const absl::btree_map<WorkerName, Worker>& workers() const { return workers_; }
  const absl::btree_map<CheckpointName, storage::v1::CheckpointRecord>& checkpoints() const {
    return checkpoints_;
  }
  // Those of them that were imported.
  const absl::btree_set<CheckpointName>& imported() const { return imported_; }
  const absl::btree_map<DatasetName, Dataset>& datasets() const { return datasets_; }
  const RememberedRequests& requests() const { return requests_; }

  // Experiments with queued trials: (-priority, number), so in the order in which they are served.
  const absl::btree_set<std::pair<int32_t, int64_t>>& queue() const { return queue_; }

  // Experiments that have not ended, by number.
  const absl::btree_set<int64_t>& active() const { return active_; }

  // The experiment of a project with this label; nullopt if there is none.
  std::optional<int64_t> ExperimentLabelled(absl::string_view project,
                                            absl::string_view label) const;

  // Attempts whose workers have something new to hear, since the last call.
  std::vector<AttemptName> TakeTouchedAttempts();
  // Checkpoints that an event deleted, since the last call.
  std::vector<CheckpointName> TakeDeletedCheckpoints();

 private:
  friend class EventApplier;

  void IndexExperiment(Experiment& experiment);
  absl::Status RestoreTrial(Experiment& experiment, storage::v1::TrialRecord record);
  absl::Status RestoreCheckpoint(storage::v1::CheckpointRecord record);
  void SortCheckpoints(Trial& trial) const;

  int64_t revision_ = 0;
  absl::Time time_ = absl::UnixEpoch();
  absl::btree_map<int64_t, Experiment> experiments_;
  absl::btree_map<WorkerName, Worker> workers_;
  absl::btree_map<CheckpointName, storage::v1::CheckpointRecord> checkpoints_;
  absl::btree_map<DatasetName, Dataset> datasets_;
  RememberedRequests requests_;

  // Indices.
  absl::btree_set<CheckpointName> imported_;
  absl::btree_set<std::pair<int32_t, int64_t>> queue_;
  absl::btree_set<int64_t> active_;
  absl::btree_map<std::pair<std::string, std::string>, int64_t> labels_;

  // For the engine; no part of the state.
  std::vector<AttemptName> touched_attempts_;
  std::vector<CheckpointName> deleted_checkpoints_;
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STATE_CLUSTER_STATE_H_
