#include "coordinator/state/cluster_state.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/text.h"
#include "coordinator/state/event_applier.h"
#include "coordinator/state/memory_demand.h"

namespace cvtrain::coordinator {

absl::Status ClusterState::Apply(const storage::v1::Event& event) {
  absl::Status status = EventApplier(*this, event).Run();
  // A name that does not parse is damage too: nothing but names that parsed was ever written.
  if (!status.ok() && ReasonOf(status) != Reason::kJournalDamaged) {
    status = DataLoss(Reason::kJournalDamaged,
                      absl::StrCat("event ", event.revision(), ": ", status.message()));
  }
  return status;
}

void ClusterState::IndexExperiment(Experiment& experiment) {
  const std::pair<int32_t, int64_t> key(-experiment.record.spec().priority(),
                                        experiment.name.number());
  if (experiment.queued.empty()) {
    queue_.erase(key);
  } else {
    queue_.insert(key);
    if (!experiment.rank_memory_bytes.has_value()) {
      experiment.rank_memory_bytes = PredictRankMemory(*this, experiment.record.spec());
    }
  }
  if (experiment.record.state() == v1::Experiment::STATE_ACTIVE) {
    active_.insert(key.second);
  } else {
    active_.erase(key.second);
  }
}

absl::StatusOr<const ClusterState::Experiment*> ClusterState::FindExperiment(
    const ExperimentName& name) const {
  const auto found = experiments_.find(name.number());
  if (found == experiments_.end()) {
    return NotFound(Reason::kExperimentNotFound,
                    absl::StrCat(name.ToString(), ": there is no such experiment"));
  }
  return &found->second;
}

absl::StatusOr<const ClusterState::Trial*> ClusterState::FindTrial(const TrialName& name) const {
  const auto experiment = experiments_.find(name.experiment().number());
  if (experiment != experiments_.end()) {
    const auto found = experiment->second.trials.find(name.number());
    if (found != experiment->second.trials.end()) return &found->second;
  }
  return NotFound(Reason::kTrialNotFound,
                  absl::StrCat(name.ToString(), ": there is no such trial"));
}

absl::StatusOr<const storage::v1::AttemptRecord*> ClusterState::FindAttempt(
    const AttemptName& name) const {
  const absl::StatusOr<const Trial*> trial = FindTrial(name.trial());
  if (!trial.ok()) return trial.status();
  const storage::v1::TrialRecord& record = (*trial)->record;
  if (name.number() < 1 || name.number() > record.attempts_size()) {
    return NotFound(Reason::kAttemptNotFound,
                    absl::StrCat(name.ToString(), ": there is no such attempt"));
  }
  return &record.attempts(static_cast<int>(name.number() - 1));
}

absl::StatusOr<const ClusterState::Worker*> ClusterState::FindWorker(const WorkerName& name) const {
  const auto found = workers_.find(name);
  if (found == workers_.end()) {
    return NotFound(Reason::kWorkerNotFound,
                    absl::StrCat(name.ToString(), ": there is no such worker"));
  }
  return &found->second;
}

absl::StatusOr<const storage::v1::CheckpointRecord*> ClusterState::FindCheckpoint(
    const CheckpointName& name) const {
  const auto found = checkpoints_.find(name);
  if (found == checkpoints_.end()) {
    return NotFound(
        Reason::kCheckpointNotFound,
        absl::StrCat(name.ToString(), ": there is no such checkpoint, or it was not kept"));
  }
  return &found->second;
}

absl::StatusOr<const v1::DatasetVersion*> ClusterState::FindDatasetVersion(
    const DatasetVersionName& name) const {
  const auto dataset = datasets_.find(name.dataset());
  if (dataset == datasets_.end()) {
    std::vector<std::string> labels;
    for (const auto& [other, unused] : datasets_) labels.push_back(other.label());
    return NotFound(Reason::kDatasetNotFound,
                    absl::StrCat(name.dataset().ToString(), ": there is no such data set",
                                 DidYouMean(NearestNames(name.dataset().label(), labels))));
  }
  const auto& versions = dataset->second.versions;
  const auto version =
      name.number() == 0 ? std::prev(versions.end()) : versions.find(name.number());
  if (version == versions.end()) {
    return NotFound(Reason::kDatasetNotFound,
                    absl::StrCat(name.ToString(), ": there is no such version; the newest is ",
                                 versions.rbegin()->first));
  }
  return &version->second;
}

std::optional<int64_t> ClusterState::ExperimentLabelled(absl::string_view project,
                                                        absl::string_view label) const {
  const auto found = labels_.find(std::make_pair(std::string(project), std::string(label)));
  if (found == labels_.end()) return std::nullopt;
  return found->second;
}

std::vector<AttemptName> ClusterState::TakeTouchedAttempts() {
  return std::exchange(touched_attempts_, {});
}

std::vector<CheckpointName> ClusterState::TakeDeletedCheckpoints() {
  return std::exchange(deleted_checkpoints_, {});
}

}  // namespace cvtrain::coordinator
