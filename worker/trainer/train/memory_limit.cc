#include "worker/trainer/train/memory_limit.h"

#include <malloc.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <atomic>

#include "c10/core/CPUAllocator.h"
#include "c10/core/impl/alloc_cpu.h"

namespace cvtrain::trainer {
namespace {

// Above the default allocator, which registers with 0.
constexpr uint8_t kPriority = 1;

// Counts what it gives out. Memory is from the same functions as the default allocator's, so that
// either may free what the other one gave.
class LimitedAllocator final : public c10::Allocator {
 public:
  at::DataPtr allocate(size_t size) override {
    if (size == 0) return {nullptr, nullptr, &Free, at::Device(at::DeviceType::CPU)};
    const int64_t limit = limit_bytes_.load(std::memory_order_relaxed);
    const int64_t wanted = held_bytes_.load(std::memory_order_relaxed) + static_cast<int64_t>(size);
    TORCH_CHECK_WITH(OutOfMemoryError, limit == 0 || wanted <= limit, "a tensor of ", size,
                     " bytes, with those that exist, needs ", wanted, " of the slot's ", limit,
                     " bytes");
    void* data = c10::alloc_cpu(size);
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
  int64_t TakePeak() { return peak_bytes_.exchange(held_bytes(), std::memory_order_relaxed); }

  static LimitedAllocator& Get() {
    static LimitedAllocator* const allocator = new LimitedAllocator;  // outlives every tensor
    return *allocator;
  }

 private:
  static int64_t Usable(void* data) { return static_cast<int64_t>(malloc_usable_size(data)); }

  static void Free(void* data) {
    if (data == nullptr) return;
    Get().held_bytes_.fetch_sub(Usable(data), std::memory_order_relaxed);
    c10::free_cpu(data);
  }

  void NotePeak(int64_t held) {
    int64_t peak = peak_bytes_.load(std::memory_order_relaxed);
    while (held > peak &&
           !peak_bytes_.compare_exchange_weak(peak, held, std::memory_order_relaxed)) {
    }
  }

  std::atomic<int64_t> limit_bytes_{0};
  std::atomic<int64_t> held_bytes_{0};
  std::atomic<int64_t> peak_bytes_{0};
};

}  // namespace

void InstallMemoryLimit() { c10::SetCPUAllocator(&LimitedAllocator::Get(), kPriority); }

void SetMemoryLimit(int64_t limit_bytes) { LimitedAllocator::Get().set_limit(limit_bytes); }

int64_t TensorMemoryBytes() { return LimitedAllocator::Get().held_bytes(); }

int64_t TakePeakTensorMemoryBytes() { return LimitedAllocator::Get().TakePeak(); }

}  // namespace cvtrain::trainer
