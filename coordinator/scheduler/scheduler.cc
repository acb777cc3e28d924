#include "coordinator/scheduler/scheduler.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/text.h"

namespace cvtrain::coordinator {
namespace {

using Workers = std::vector<WorkerSlots*>;

bool Fits(const QueuedTrials& trials, const WorkerSlots& worker) {
  return worker.memory_bytes == 0 || trials.memory_bytes <= worker.memory_bytes;
}

// Workers whose slots are large enough for `trials`, by kind, the preferred kind first.
std::map<int, Workers, std::greater<>> ByKind(const QueuedTrials& trials,
                                              std::vector<WorkerSlots>& workers) {
  std::map<int, Workers, std::greater<>> kinds;
  for (WorkerSlots& worker : workers) {
    if (Fits(trials, worker)) kinds[worker.kind].push_back(&worker);
  }
  return kinds;
}

size_t FreeIn(const Workers& workers) {
  size_t free = 0;
  for (const WorkerSlots* worker : workers) free += worker->free.size();
  return free;
}

// The largest number of slots of one kind that are large enough, free ones or all.
int32_t LargestKind(const QueuedTrials& trials, absl::Span<const WorkerSlots> workers, bool free) {
  std::map<int, int32_t> kinds;
  int32_t largest = 0;
  for (const WorkerSlots& worker : workers) {
    if (!Fits(trials, worker)) continue;
    const int32_t slots = free ? static_cast<int32_t>(worker.free.size()) : worker.total;
    largest = std::max(largest, kinds[worker.kind] += slots);
  }
  return largest;
}

// The worker with the fewest free slots that has at least `slots`; nullptr if none has.
WorkerSlots* BestFit(const Workers& workers, size_t slots) {
  WorkerSlots* best = nullptr;
  for (WorkerSlots* worker : workers) {
    if (worker->free.size() < slots) continue;
    if (best == nullptr || worker->free.size() < best->free.size()) best = worker;
  }
  return best;
}

void Take(WorkerSlots& worker, size_t slots, std::vector<RankSlot>& ranks) {
  const auto end = worker.free.begin() + static_cast<std::ptrdiff_t>(slots);
  for (auto slot = worker.free.begin(); slot != end; ++slot) {
    ranks.push_back({worker.worker, *slot});
  }
  worker.free.erase(worker.free.begin(), end);
}

// Whole workers, the largest first, until the rest fits one: the fewest that can do it.
std::vector<RankSlot> Gang(const Workers& workers, size_t slots) {
  std::vector<RankSlot> ranks;
  while (ranks.size() < slots) {
    const size_t left = slots - ranks.size();
    WorkerSlots* worker = BestFit(workers, left);
    if (worker != nullptr) {
      Take(*worker, left, ranks);
      break;
    }
    worker = *std::max_element(
        workers.begin(), workers.end(),
        [](const WorkerSlots* a, const WorkerSlots* b) { return a->free.size() < b->free.size(); });
    Take(*worker, worker->free.size(), ranks);
  }
  return ranks;
}

bool IsTooLarge(const QueuedTrials& trials, absl::Span<const WorkerSlots> workers) {
  return trials.slots > LargestKind(trials, workers, /*free=*/false);
}

// "2 slots", and of which size where some are too small.
std::string Slots(const QueuedTrials& trials, absl::Span<const WorkerSlots> workers) {
  std::string text = absl::StrCat(trials.slots, trials.slots == 1 ? " slot" : " slots");
  const bool all_fit = std::all_of(workers.begin(), workers.end(),
                                   [&](const WorkerSlots& worker) { return Fits(trials, worker); });
  if (!all_fit)
    absl::StrAppend(&text, " of ", FormatBytes(static_cast<uint64_t>(trials.memory_bytes)));
  return text;
}

std::string Shortage(const QueuedTrials& trials, absl::Span<const WorkerSlots> workers) {
  return absl::StrCat(Slots(trials, workers), ": ", LargestKind(trials, workers, /*free=*/true),
                      " of ", LargestKind(trials, workers, /*free=*/false), " free");
}

}  // namespace

std::vector<TrialPlacement> PlaceTrials(absl::Span<const QueuedTrials> queue,
                                        std::vector<WorkerSlots> workers) {
  std::vector<TrialPlacement> placements;
  for (const QueuedTrials& waiting : queue) {
    if (IsTooLarge(waiting, workers)) continue;
    const auto kinds = ByKind(waiting, workers);
    const size_t slots = static_cast<size_t>(waiting.slots);
    int32_t running = waiting.running;
    for (int64_t number : waiting.trials) {
      if (running >= waiting.running_max) break;
      const auto kind = std::find_if(kinds.begin(), kinds.end(), [slots](const auto& entry) {
        return FreeIn(entry.second) >= slots;
      });
      if (kind == kinds.end()) {
        // What is free and large enough waits for it.
        for (WorkerSlots& worker : workers) {
          if (Fits(waiting, worker)) worker.free.clear();
        }
        break;
      }
      placements.push_back({TrialName(waiting.experiment, number), Gang(kind->second, slots)});
      ++running;
    }
  }
  return placements;
}

std::string ExplainWait(absl::Span<const QueuedTrials> queue, absl::Span<const WorkerSlots> workers,
                        const TrialName& trial) {
  const auto own = std::find_if(queue.begin(), queue.end(), [&](const QueuedTrials& waiting) {
    return waiting.experiment == trial.experiment();
  });
  if (own == queue.end()) return "";
  if (workers.empty()) {
    return absl::StrCat("waiting for ", Slots(*own, workers), ": no worker is ready");
  }
  if (IsTooLarge(*own, workers)) {
    const int32_t largest = LargestKind(*own, workers, /*free=*/false);
    return absl::StrCat("waiting for ", Slots(*own, workers), ": all workers together have ",
                        largest, largest == 0 ? "; a smaller model or size needs less" : "");
  }
  if (own->running >= own->running_max) {
    return absl::StrCat("waiting: its experiment runs ", own->running, " of at most ",
                        own->running_max, own->running_max == 1 ? " trial" : " trials");
  }
  std::vector<WorkerSlots> left(workers.begin(), workers.end());
  for (const QueuedTrials& waiting : queue) {
    if (IsTooLarge(waiting, workers) || waiting.running >= waiting.running_max ||
        waiting.trials.empty()) {
      continue;
    }
    const TrialName first(waiting.experiment, waiting.trials.front());
    if (first == trial) break;
    if (waiting.slots > LargestKind(waiting, left, /*free=*/true)) {
      for (WorkerSlots& worker : left) {
        if (Fits(waiting, worker)) worker.free.clear();
      }
      if (own->slots > LargestKind(*own, left, /*free=*/true)) {
        return absl::StrCat("waiting behind ", FormatShort(first), ", which needs ",
                            Shortage(waiting, workers));
      }
    }
    if (waiting.experiment == trial.experiment()) break;
  }
  return absl::StrCat("waiting for ", Shortage(*own, workers));
}

}  // namespace cvtrain::coordinator
