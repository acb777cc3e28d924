#ifndef CVTRAIN_TESTS_UNIT_COORDINATOR_SCHEDULER_PLAN_FIXTURE_H_
#define CVTRAIN_TESTS_UNIT_COORDINATOR_SCHEDULER_PLAN_FIXTURE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "coordinator/scheduler/plan.h"
#include "coordinator/scheduler/policy.h"

// Short words for small clusters.
namespace cvtrain::coordinator {

inline absl::Time Second(double seconds) { return absl::UnixEpoch() + absl::Seconds(seconds); }

// A job that came at second `id`, needs `slots` for so many seconds, and never stops by itself.
inline PlanJob Waits(int64_t id, int32_t slots, double seconds) {
  PlanJob job;
  job.id = id;
  job.arrival = Second(static_cast<double>(id));
  job.stages.push_back({.slots = slots, .left = absl::Seconds(seconds)});
  return job;
}

// The same, running on `shares`, and not to be stopped.
inline PlanJob Runs(int64_t id, SlotShares shares, double seconds) {
  int32_t slots = 0;
  for (const SlotShare& share : shares) slots += share.slots;
  PlanJob job = Waits(id, slots, seconds);
  job.shares = std::move(shares);
  return job;
}

inline PlanJob Preemptible(PlanJob job, double at = 0, double cost = 0) {
  job.preemptible_at = Second(at);
  job.preemptible_after = absl::ZeroDuration();
  job.restart_cost = absl::Seconds(cost);
  return job;
}

inline PlanJob Packed(PlanJob job) {
  job.packed = true;
  return job;
}

inline std::vector<PlanWorker> Workers(std::vector<int32_t> slots) {
  std::vector<PlanWorker> workers;
  for (const int32_t count : slots) workers.push_back({.slots = count});
  return workers;
}

// "2@w0+w1x3": 2 starts on a slot of worker 0 and three of worker 1; "-5>7": 5 makes way for 7.
inline std::string Summary(const std::vector<PlanJob>& jobs, const Plan& plan) {
  std::vector<std::string> parts;
  for (const PreemptedJob& one : plan.preempted) {
    parts.push_back(absl::StrCat("-", jobs[static_cast<size_t>(one.job)].id, ">", one.by));
  }
  for (const StartedJob& one : plan.started) {
    const std::string where =
        absl::StrJoin(one.shares, "+", [](std::string* out, const SlotShare& share) {
          absl::StrAppend(out, "w", share.worker);
          if (share.slots != 1) absl::StrAppend(out, "x", share.slots);
        });
    parts.push_back(absl::StrCat(jobs[static_cast<size_t>(one.job)].id, "@", where));
  }
  return absl::StrJoin(parts, " ");
}

inline Plan PlanOf(const std::string& policy, const std::vector<PlanJob>& jobs,
                   const std::vector<PlanWorker>& workers, double now = 1000) {
  const std::unique_ptr<Policy> made = MakePolicy(policy);
  return MakePlan(*made, {Second(now), jobs, workers});
}

inline std::string Planned(const std::string& policy, const std::vector<PlanJob>& jobs,
                           const std::vector<PlanWorker>& workers, double now = 1000) {
  return Summary(jobs, PlanOf(policy, jobs, workers, now));
}

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_TESTS_UNIT_COORDINATOR_SCHEDULER_PLAN_FIXTURE_H_
