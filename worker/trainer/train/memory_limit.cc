#include "worker/trainer/train/memory_limit.h"

#include <malloc.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <atomic>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/synchronization/mutex.h"
#include "c10/core/CPUAllocator.h"
#include "c10/core/impl/alloc_cpu.h"

namespace cvtrain::trainer {
namespace {

// Above the default allocator, which registers with 0.
constexpr uint8_t kPriority = 1;

// Blocks that were freed, for the next tensor of their size: every step asks for the sizes of the
// one before, and getting a block from the heap, touching its pages and giving it back costs a
// tenth of a small network's step. Thread-safe.
class FreedBlocks {
 public:
  // Smaller ones the heap has at hand.
  static constexpr size_t kSizeMin = 4096;
  // What a block may be larger than was asked for.
  static constexpr size_t kHeapAddsMax = 128;

  // One of `size` bytes, but for what the heap adds; nullptr if there is none.
  void* Take(size_t size) {
    absl::MutexLock lock(&mu_);
    const auto block = blocks_.lower_bound(size);
    if (block == blocks_.end() || block->first > size + kHeapAddsMax) return nullptr;
    void* data = block->second;
    bytes_ -= block->first;
    blocks_.erase(block);
    return data;
  }

  // Keeps a block of `usable` bytes. Of other sizes than before if all that is kept would be more
  // than `most` bytes: those are of an earlier size of pictures, and go.
  void Put(void* data, size_t usable, size_t most) {
    if (usable > most) return c10::free_cpu(data);
    absl::MutexLock lock(&mu_);
    if (bytes_ + usable > most) ClearLocked();
    blocks_.emplace(usable, data);
    bytes_ += usable;
  }

  void Clear() {
    absl::MutexLock lock(&mu_);
    ClearLocked();
  }

  size_t bytes() {
    absl::MutexLock lock(&mu_);
    return bytes_;
  }

 private:
  void ClearLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    for (const auto& [size, data] : blocks_) c10::free_cpu(data);
    blocks_.clear();
    bytes_ = 0;
  }

  absl::Mutex mu_;
  absl::btree_multimap<size_t, void*> blocks_ ABSL_GUARDED_BY(mu_);
  size_t bytes_ ABSL_GUARDED_BY(mu_) = 0;
};

// Counts what it gives out. Memory is from the same functions as the default allocator's, so that
// either may free what the other one gave. What is kept for later and what tensors hold are
// together never more than tensors have held before, nor than the limit.
class LimitedAllocator final : public c10::Allocator {
 public:
  at::DataPtr allocate(size_t size) override {
    if (size == 0) return {nullptr, nullptr, &Free, at::Device(at::DeviceType::CPU)};
    const int64_t limit = limit_bytes_.load(std::memory_order_relaxed);
    const int64_t wanted = held_bytes_.load(std::memory_order_relaxed) + static_cast<int64_t>(size);
    TORCH_CHECK_WITH(OutOfMemoryError, limit == 0 || wanted <= limit, "a tensor of ", size,
                     " bytes, with those that exist, needs ", wanted, " of the slot's ", limit,
                     " bytes");
    void* data = size < FreedBlocks::kSizeMin ? nullptr : freed_.Take(size);
    if (data == nullptr) {
      if (limit > 0 && wanted + static_cast<int64_t>(freed_.bytes()) > limit) freed_.Clear();
      data = c10::alloc_cpu(size);
    }
    const int64_t usable = Usable(data);
    NotePeak(held_bytes_.fetch_add(usable, std::memory_order_relaxed) + usable);
    return {data, data, &Free, at::Device(at::DeviceType::CPU)};
  }

  at::DeleterFnPtr raw_deleter() const override { return &Free; }

  void copy_data(void* to, const void* from, std::size_t size) const override {
    default_copy_data(to, from, size);
  }

  void set_limit(int64_t bytes) { limit_bytes_.store(bytes, std::memory_order_relaxed); }
  int64_t held_bytes() const { return held_bytes_.load(std::memory_order_relaxed); }
  void Drop() {
    freed_.Clear();
    most_bytes_.store(held_bytes(), std::memory_order_relaxed);
  }
  int64_t TakePeak() { return peak_bytes_.exchange(held_bytes(), std::memory_order_relaxed); }

  static LimitedAllocator& Get() {
    static LimitedAllocator* const allocator = new LimitedAllocator;  // outlives every tensor
    return *allocator;
  }

 private:
  static int64_t Usable(void* data) { return static_cast<int64_t>(malloc_usable_size(data)); }

  static void Free(void* data) {
    if (data == nullptr) return;
    LimitedAllocator& own = Get();
    const int64_t usable = Usable(data);
    const int64_t held = own.held_bytes_.fetch_sub(usable, std::memory_order_relaxed) - usable;
    if (static_cast<size_t>(usable) < FreedBlocks::kSizeMin) return c10::free_cpu(data);
    const int64_t most = own.most_bytes_.load(std::memory_order_relaxed) - held;
    own.freed_.Put(data, static_cast<size_t>(usable),
                   static_cast<size_t>(std::max<int64_t>(most, 0)));
  }

  void NotePeak(int64_t held) {
    Raise(peak_bytes_, held);
    Raise(most_bytes_, held);
  }
  static void Raise(std::atomic<int64_t>& most, int64_t value) {
    int64_t before = most.load(std::memory_order_relaxed);
    while (value > before &&
           !most.compare_exchange_weak(before, value, std::memory_order_relaxed)) {
    }
  }

  std::atomic<int64_t> limit_bytes_{0};
  std::atomic<int64_t> held_bytes_{0};
  std::atomic<int64_t> peak_bytes_{0};  // since it was taken
  std::atomic<int64_t> most_bytes_{0};  // ever
  FreedBlocks freed_;
};

}  // namespace

void InstallMemoryLimit() { c10::SetCPUAllocator(&LimitedAllocator::Get(), kPriority); }

void SetMemoryLimit(int64_t limit_bytes) { LimitedAllocator::Get().set_limit(limit_bytes); }

void DropFreedMemory() { LimitedAllocator::Get().Drop(); }

int64_t TensorMemoryBytes() { return LimitedAllocator::Get().held_bytes(); }

int64_t TakePeakTensorMemoryBytes() { return LimitedAllocator::Get().TakePeak(); }

}  // namespace cvtrain::trainer
