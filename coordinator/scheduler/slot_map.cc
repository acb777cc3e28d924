#include "coordinator/scheduler/slot_map.h"

#include <algorithm>
#include <cstddef>
#include <functional>

namespace cvtrain::coordinator {

SlotMap::SlotMap(absl::Span<const PlanWorker> workers) : workers_(workers) {
  for (const PlanWorker& worker : workers) {
    if (kinds_.empty() || kinds_.back() != worker.kind) kinds_.push_back(worker.kind);
    total_.push_back(worker.open ? worker.slots : 0);
    free_total_ += total_.back();
  }
  std::sort(kinds_.begin(), kinds_.end(), std::greater<>());
  kinds_.erase(std::unique(kinds_.begin(), kinds_.end()), kinds_.end());
  free_ = total_;
}

void SlotMap::Take(const SlotShares& shares) {
  for (const SlotShare& share : shares) Change(share, -share.slots);
}

void SlotMap::Give(const SlotShares& shares) {
  for (const SlotShare& share : shares) Change(share, share.slots);
}

void SlotMap::Change(const SlotShare& share, int32_t slots) {
  const auto worker = static_cast<size_t>(share.worker);
  if (!workers_[worker].open) return;
  free_[worker] += slots;
  free_total_ += slots;
}

std::optional<SlotShares> SlotMap::FindWithin(const GangShape& gang,
                                              absl::Span<const int32_t> most) const {
  std::vector<int32_t> free(free_);
  for (size_t w = 0; w < free.size(); ++w) free[w] = std::min(free[w], std::max(most[w], 0));
  return FindIn(gang, free);
}

bool SlotMap::MayHold(const GangShape& gang, const SlotShares& shares) const {
  if (free_total_ < gang.slots) return false;
  if (!gang.packed) return true;
  for (const SlotShare& share : shares) {
    const auto w = static_cast<size_t>(share.worker);
    // Of a larger gang a part may lie here.
    if (gang.slots > total_[w] || free_[w] >= gang.slots) return true;
  }
  return false;
}

int32_t SlotMap::Largest(const GangShape& gang, absl::Span<const int32_t> slots) const {
  int32_t largest = 0;
  for (const int kind : kinds_) {
    int32_t sum = 0;
    for (size_t w = 0; w < slots.size(); ++w) {
      if (workers_[w].kind == kind && HasMemory(gang, w)) sum += slots[w];
    }
    largest = std::max(largest, sum);
  }
  return largest;
}

std::optional<SlotShares> SlotMap::FindIn(const GangShape& gang,
                                          absl::Span<const int32_t> free) const {
  for (const int kind : kinds_) {
    std::optional<SlotShares> shares =
        gang.packed ? FindPacked(gang, kind, free) : FindAnywhere(gang, kind, free);
    if (shares.has_value()) return shares;
  }
  return std::nullopt;
}

int32_t SlotMap::BestFit(const GangShape& gang, int kind, int32_t slots,
                         absl::Span<const int32_t> free) const {
  int32_t best = -1;
  int32_t best_free = 0;
  for (size_t w = 0; w < free.size(); ++w) {
    if (free[w] < slots || (best >= 0 && free[w] >= best_free)) continue;
    if (workers_[w].kind != kind || !HasMemory(gang, w)) continue;
    best = static_cast<int32_t>(w);
    best_free = free[w];
    if (best_free == slots) break;
  }
  return best;
}

std::optional<SlotShares> SlotMap::FindPacked(const GangShape& gang, int kind,
                                              absl::Span<const int32_t> free) const {
  int32_t largest = 0;
  for (size_t w = 0; w < free.size(); ++w) {
    if (workers_[w].kind == kind && HasMemory(gang, w)) largest = std::max(largest, total_[w]);
  }
  if (gang.slots <= largest) {
    const int32_t worker = BestFit(gang, kind, gang.slots, free);
    if (worker < 0) return std::nullopt;
    return SlotShares{{worker, gang.slots}};
  }
  if (largest == 0) return std::nullopt;
  SlotShares shares;
  int32_t left = gang.slots;
  std::vector<int32_t> rest(free.begin(), free.end());
  for (size_t w = 0; w < free.size() && left >= largest; ++w) {
    if (workers_[w].kind != kind || !HasMemory(gang, w)) continue;
    if (total_[w] != largest || free[w] != largest) continue;
    shares.push_back({static_cast<int32_t>(w), largest});
    left -= largest;
    rest[w] = 0;
  }
  if (left >= largest) return std::nullopt;
  if (left > 0) {
    const int32_t worker = BestFit(gang, kind, left, rest);
    if (worker < 0) return std::nullopt;
    shares.push_back({worker, left});
  }
  return shares;
}

std::optional<SlotShares> SlotMap::FindAnywhere(const GangShape& gang, int kind,
                                                absl::Span<const int32_t> free) const {
  const int32_t whole = BestFit(gang, kind, gang.slots, free);
  if (whole >= 0) return SlotShares{{whole, gang.slots}};
  std::vector<int32_t> usable;
  int64_t sum = 0;
  for (size_t w = 0; w < free.size(); ++w) {
    if (free[w] <= 0 || workers_[w].kind != kind || !HasMemory(gang, w)) continue;
    usable.push_back(static_cast<int32_t>(w));
    sum += free[w];
  }
  if (sum < gang.slots) return std::nullopt;
  // The largest first, until the rest fits one: the fewest workers that can do it.
  std::stable_sort(usable.begin(), usable.end(), [&](int32_t a, int32_t b) {
    return free[static_cast<size_t>(a)] > free[static_cast<size_t>(b)];
  });
  SlotShares shares;
  std::vector<int32_t> rest(free.begin(), free.end());
  int32_t left = gang.slots;
  for (const int32_t worker : usable) {
    const int32_t last = BestFit(gang, kind, left, rest);
    if (last >= 0) {
      shares.push_back({last, left});
      break;
    }
    int32_t& here = rest[static_cast<size_t>(worker)];
    shares.push_back({worker, here});
    left -= here;
    here = 0;
  }
  return shares;
}

}  // namespace cvtrain::coordinator
