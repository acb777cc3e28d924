#include "coordinator/scheduler/reasons.h"

#include <cstddef>

#include "absl/strings/str_cat.h"
#include "common/text.h"
#include "coordinator/scheduler/slot_map.h"

namespace cvtrain::coordinator {
namespace {

// What is free once the plan has been carried out.
SlotMap FreeAfter(const PlanInput& input, const Plan& plan) {
  SlotMap slots(input.workers);
  for (const PlanJob& job : input.jobs) {
    if (job.runs()) slots.Take(job.shares);
  }
  for (const PreemptedJob& one : plan.preempted) {
    slots.Give(input.jobs[static_cast<size_t>(one.job)].shares);
  }
  for (const StartedJob& one : plan.started) slots.Take(one.shares);
  return slots;
}

std::string SlotsOf(const GangShape& gang) {
  std::string text = absl::StrCat(gang.slots, gang.slots == 1 ? " slot" : " slots");
  if (gang.memory_bytes > 0) {
    absl::StrAppend(&text, " of ", FormatBytes(static_cast<uint64_t>(gang.memory_bytes)));
  }
  return text;
}

}  // namespace

absl::string_view WaitReasonName(WaitReason reason) {
  switch (reason) {
    case WaitReason::kOrder:
      return "ORDER";
    case WaitReason::kSlots:
      return "SLOTS";
    case WaitReason::kReservation:
      return "RESERVATION";
    case WaitReason::kTooLarge:
      return "TOO_LARGE";
    case WaitReason::kGroupLimit:
      return "GROUP_LIMIT";
    case WaitReason::kShareTaken:
      return "SHARE_TAKEN";
  }
  return "";
}

absl::string_view RankRuleName(RankRule rule) {
  switch (rule) {
    case RankRule::kArrival:
      return "ARRIVAL";
    case RankRule::kShortest:
      return "SHORTEST";
    case RankRule::kShare:
      return "SHARE";
    case RankRule::kTail:
      return "TAIL";
    case RankRule::kFairness:
      return "FAIRNESS";
    case RankRule::kProbe:
      return "PROBE";
  }
  return "";
}

std::string WaitText(const PlanInput& input, const Plan& plan, const WaitingJob& waiting,
                     JobNameFunction name_of) {
  const PlanJob& job = input.jobs[static_cast<size_t>(waiting.job)];
  const GangShape gang(job);
  switch (waiting.reason) {
    case WaitReason::kOrder:
      if (waiting.behind == 0) return "waiting: those that run come first";
      return absl::StrCat("waiting behind ", name_of(waiting.behind));
    case WaitReason::kSlots: {
      const SlotMap slots = FreeAfter(input, plan);
      return absl::StrCat(
          "waiting for ", SlotsOf(gang), ": ", slots.LargestFree(gang), " of ",
          slots.LargestTotal(gang), " free",
          gang.packed && slots.LargestFree(gang) >= gang.slots ? ", but not on one worker" : "");
    }
    case WaitReason::kReservation:
      return absl::StrCat("waiting: free slots are kept for ", name_of(waiting.behind));
    case WaitReason::kTooLarge:
      return absl::StrCat("waiting for ", SlotsOf(gang), ": all workers together have ",
                          SlotMap(input.workers).LargestTotal(gang));
    case WaitReason::kGroupLimit:
      return absl::StrCat("waiting: its experiment runs ", job.group_running_max, " of at most ",
                          job.group_running_max, job.group_running_max == 1 ? " trial" : " trials");
    case WaitReason::kShareTaken:
      return "waiting: shares of the time are given out anew later";
  }
  return "";
}

}  // namespace cvtrain::coordinator
