#ifndef CVTRAIN_COORDINATOR_SCHEDULER_REASONS_H_
#define CVTRAIN_COORDINATOR_SCHEDULER_REASONS_H_

#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "coordinator/scheduler/plan.h"

// Decisions in words. Pure; thread-safe.
namespace cvtrain::coordinator {

// "SLOTS", "RESERVATION": for a column.
absl::string_view WaitReasonName(WaitReason reason);
// "TAIL", "FAIRNESS": for a column.
absl::string_view RankRuleName(RankRule rule);

// What `name_of` makes of an id is how people know the job: "trial/3.1".
using JobNameFunction = absl::FunctionRef<std::string(int64_t id)>;

// Why `waiting`, which is in `plan.waiting`, does not run now:
//   waiting behind trial/3.1
//   waiting for 4 slots: 1 of 8 free
//   waiting for 4 slots of 9.5 GiB: 0 of 2 free
//   waiting: free slots are kept for trial/3.1
//   waiting for 16 slots: all workers together have 8
//   waiting: its experiment runs 2 of at most 2 trials
//   waiting: shares of the time are given out anew later
std::string WaitText(const PlanInput& input, const Plan& plan, const WaitingJob& waiting,
                     JobNameFunction name_of);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_SCHEDULER_REASONS_H_
