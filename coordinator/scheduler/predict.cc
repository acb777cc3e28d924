#include <algorithm>
#include <cstddef>
#include <functional>
#include <queue>
#include <utility>

#include "coordinator/scheduler/plan.h"

namespace cvtrain::coordinator {
namespace {

// Slots as one pool, and when those that are taken come back, in seconds from now: plain numbers,
// since most of the time goes into keeping them in order.
class SlotPool {
 public:
  explicit SlotPool(int64_t total) : total_(total), free_(total) {}

  bool Has(int64_t slots) const { return slots <= total_; }

  // Until `end`, which is not before what was waited for last.
  void Take(int64_t slots, double end) {
    free_ -= slots;
    ends_.emplace(end, slots);
  }

  // When `slots`, of which there are so many, are free, at or after `from`; those that come back
  // until then have come back.
  double WaitFor(int64_t slots, double from) {
    while (free_ < slots || (!ends_.empty() && ends_.top().first <= from)) {
      from = std::max(from, ends_.top().first);
      free_ += ends_.top().second;
      ends_.pop();
    }
    return from;
  }

 private:
  using End = std::pair<double, int64_t>;

  const int64_t total_;
  int64_t free_;
  std::priority_queue<End, std::vector<End>, std::greater<>> ends_;
};

// What `job` holds, or will, of slots that others may get after it.
int64_t OpenSlots(const PlanInput& input, const PlanJob& job) {
  if (!job.runs()) return job.slots();
  int64_t slots = 0;
  for (const SlotShare& share : job.shares) {
    if (input.workers[static_cast<size_t>(share.worker)].open) slots += share.slots;
  }
  return slots;
}

}  // namespace

std::vector<absl::Time> PredictStarts(const PlanInput& input, const Plan& plan) {
  int64_t total = 0;
  for (const PlanWorker& worker : input.workers) total += worker.open ? worker.slots : 0;
  SlotPool pool(total);
  std::vector<bool> runs(input.jobs.size());
  for (size_t i = 0; i < input.jobs.size(); ++i) runs[i] = input.jobs[i].runs();
  for (const PreemptedJob& one : plan.preempted) runs[static_cast<size_t>(one.job)] = false;
  for (const StartedJob& one : plan.started) runs[static_cast<size_t>(one.job)] = true;
  for (size_t i = 0; i < input.jobs.size(); ++i) {
    const PlanJob& job = input.jobs[i];
    if (runs[i]) pool.Take(OpenSlots(input, job), absl::ToDoubleSeconds(job.left()));
  }
  std::vector<absl::Time> starts;
  starts.reserve(plan.waiting.size());
  double start = 0;
  for (const WaitingJob& one : plan.waiting) {
    const PlanJob& job = input.jobs[static_cast<size_t>(one.job)];
    if (one.reason == WaitReason::kTooLarge || !pool.Has(job.slots())) {
      starts.push_back(absl::InfiniteFuture());
      continue;
    }
    start = pool.WaitFor(job.slots(), start);
    starts.push_back(input.now + absl::Seconds(start));
    pool.Take(job.slots(), start + absl::ToDoubleSeconds(job.left()));
  }
  return starts;
}

}  // namespace cvtrain::coordinator
