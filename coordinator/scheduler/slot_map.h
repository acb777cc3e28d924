#ifndef CVTRAIN_COORDINATOR_SCHEDULER_SLOT_MAP_H_
#define CVTRAIN_COORDINATOR_SCHEDULER_SLOT_MAP_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "coordinator/scheduler/plan.h"

namespace cvtrain::coordinator {

// What a gang asks of the slots.
struct GangShape {
  int32_t slots = 1;
  int64_t memory_bytes = 0;
  bool packed = false;

  friend bool operator==(const GangShape&, const GangShape&) = default;

  explicit GangShape(const PlanJob& job)
      : slots(job.slots()), memory_bytes(job.stages.front().memory_bytes), packed(job.packed) {}

  // Wherever this fits, `other` does too.
  bool Covers(const GangShape& other) const {
    return slots >= other.slots && memory_bytes >= other.memory_bytes && packed == other.packed;
  }
};

// Free slots, worker by worker. Thread-compatible.
class SlotMap {
 public:
  // All of `workers` are free, but for those that are closed: they have no slots here. They must
  // outlive this.
  explicit SlotMap(absl::Span<const PlanWorker> workers);

  void Take(const SlotShares& shares);
  void Give(const SlotShares& shares);

  int64_t free_total() const { return free_total_; }
  absl::Span<const int32_t> free() const { return free_; }

  // Where a gang fits what is free, by the rules of MakePlan(); nullopt if nowhere.
  std::optional<SlotShares> Find(const GangShape& gang) const { return FindIn(gang, free_); }
  // The same, with no more than `most[w]` of worker w.
  std::optional<SlotShares> FindWithin(const GangShape& gang, absl::Span<const int32_t> most) const;

  // Whether the gang could fit after `shares` were given back to what did not hold it before:
  // cheap, and right when it says no.
  bool MayHold(const GangShape& gang, const SlotShares& shares) const;

  // Whether it would fit if all of them were free.
  bool EverFits(const GangShape& gang) const { return FindIn(gang, total_).has_value(); }

  // The most slots that are free, or that there are, in workers of one kind with enough memory.
  int32_t LargestFree(const GangShape& gang) const { return Largest(gang, free_); }
  int32_t LargestTotal(const GangShape& gang) const { return Largest(gang, total_); }

 private:
  void Change(const SlotShare& share, int32_t slots);
  bool HasMemory(const GangShape& gang, size_t worker) const {
    return workers_[worker].memory_bytes == 0 || gang.memory_bytes <= workers_[worker].memory_bytes;
  }
  int32_t Largest(const GangShape& gang, absl::Span<const int32_t> slots) const;
  std::optional<SlotShares> FindIn(const GangShape& gang, absl::Span<const int32_t> free) const;
  std::optional<SlotShares> FindPacked(const GangShape& gang, int kind,
                                       absl::Span<const int32_t> free) const;
  std::optional<SlotShares> FindAnywhere(const GangShape& gang, int kind,
                                         absl::Span<const int32_t> free) const;
  // The fullest worker of a kind that holds `slots`; -1 if none does.
  int32_t BestFit(const GangShape& gang, int kind, int32_t slots,
                  absl::Span<const int32_t> free) const;

  const absl::Span<const PlanWorker> workers_;
  std::vector<int> kinds_;  // the highest first
  std::vector<int32_t> total_;
  std::vector<int32_t> free_;
  int64_t free_total_ = 0;
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_SCHEDULER_SLOT_MAP_H_
