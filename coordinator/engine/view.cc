#include "coordinator/engine/view.h"

#include <map>
#include <utility>

#include "coordinator/state/conclude.h"
#include "coordinator/state/trial_record.h"

namespace cvtrain::coordinator {

std::vector<WorkerSlots> SchedulableSlots(const ClusterState& state, const LiveState& live) {
  std::vector<WorkerSlots> slots;
  for (const auto& [name, worker] : state.workers()) {
    const auto found = live.workers.find(name);
    if (worker.record.lost() || found == live.workers.end() || !found->second.connected ||
        found->second.state != v1::Worker::STATE_READY) {
      continue;
    }
    std::map<int, WorkerSlots> kinds;
    for (const v1::Slot& slot : worker.record.slots()) {
      WorkerSlots& kind = kinds[slot.kind()];
      kind.worker = name;
      kind.kind = slot.kind();
      if (kind.total == 0 || slot.memory_bytes() < kind.memory_bytes) {
        kind.memory_bytes = slot.memory_bytes();
      }
      ++kind.total;
      if (!worker.busy.contains(slot.index())) kind.free.push_back(slot.index());
    }
    for (auto& [number, kind] : kinds) slots.push_back(std::move(kind));
  }
  return slots;
}

std::vector<QueuedTrials> Queue(const ClusterState& state, absl::Time now) {
  std::vector<QueuedTrials> queue;
  for (const auto& [priority, number] : state.queue()) {
    const ClusterState::Experiment& experiment = state.experiments().at(number);
    const v1::ExperimentSpec& spec = experiment.record.spec();
    QueuedTrials& waiting = queue.emplace_back();
    waiting.experiment = experiment.name;
    waiting.priority = -priority;
    waiting.slots = spec.resources().slots();
    waiting.running = experiment.trials_by_state[v1::Trial::STATE_RUNNING];
    waiting.running_max = RunningTrialsMax(spec);
    waiting.memory_bytes = experiment.rank_memory_bytes.value_or(0);
    for (const int64_t trial : experiment.queued) {
      const absl::Duration delay = DelayOf(experiment.trials.at(trial).record, now);
      if (delay == absl::ZeroDuration()) waiting.trials.push_back(trial);
    }
  }
  return queue;
}

}  // namespace cvtrain::coordinator
