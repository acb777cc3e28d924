#include <algorithm>
#include <cstddef>
#include <functional>
#include <queue>
#include <utility>

#include "coordinator/scheduler/plan.h"

namespace cvtrain::coordinator {
namespace {

// Slots as one pool, and when those that are taken come back.
class SlotPool {
 public:
  explicit SlotPool(int64_t total) : total_(total), free_(total) {}

  // From `begin` on, which is not before what was given out last.
  void Take(int64_t slots, absl::Time end) {
    free_ -= slots;
    ends_.emplace(end, slots);
  }

  // When `slots` are free, at or after `from`; those that come back until then have come back.
  absl::Time WaitFor(int64_t slots, absl::Time from) {
    if (slots > total_) return absl::InfiniteFuture();
    while (!ends_.empty() && (free_ < slots || ends_.top().first <= from)) {
      from = std::max(from, ends_.top().first);
      free_ += ends_.top().second;
      ends_.pop();
    }
    return from;
  }

 private:
  using End = std::pair<absl::Time, int64_t>;

  const int64_t total_;
  int64_t free_;
  std::priority_queue<End, std::vector<End>, std::greater<>> ends_;
};

}  // namespace

std::vector<absl::Time> PredictStarts(const PlanInput& input, const Plan& plan) {
  int64_t total = 0;
  for (const PlanWorker& worker : input.workers) total += worker.slots;
  SlotPool pool(total);
  std::vector<bool> runs(input.jobs.size());
  for (size_t i = 0; i < input.jobs.size(); ++i) runs[i] = input.jobs[i].runs();
  for (const PreemptedJob& one : plan.preempted) runs[static_cast<size_t>(one.job)] = false;
  for (const StartedJob& one : plan.started) runs[static_cast<size_t>(one.job)] = true;
  for (size_t i = 0; i < input.jobs.size(); ++i) {
    const PlanJob& job = input.jobs[i];
    if (runs[i]) pool.Take(job.slots(), input.now + job.left());
  }
  std::vector<absl::Time> starts;
  absl::Time start = input.now;
  for (const WaitingJob& one : plan.waiting) {
    const PlanJob& job = input.jobs[static_cast<size_t>(one.job)];
    const absl::Time at = one.reason == WaitReason::kTooLarge ? absl::InfiniteFuture()
                                                              : pool.WaitFor(job.slots(), start);
    starts.push_back(at);
    if (at == absl::InfiniteFuture()) continue;
    start = at;
    pool.Take(job.slots(), start + job.left());
  }
  return starts;
}

}  // namespace cvtrain::coordinator
