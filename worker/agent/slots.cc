#include "worker/agent/slots.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/errors.h"

namespace cvtrain::worker {
namespace {

// Of the machine: agent, coordinator, page cache.
constexpr uint64_t kMemoryReserveMin = uint64_t{512} << 20;
// Of a GPU: CUDA's context, and what cuBLAS, cuDNN and NCCL take without LibTorch's allocator.
constexpr int64_t kGpuReserve = int64_t{1} << 30;

// What the machine has but a tenth, evenly: an out-of-memory is then a cause that a trainer
// reports, not the kernel's choice of a victim.
uint64_t MemoryOfCpuSlot(const Options& options, const Machine& machine, int slots) {
  if (options.slot_memory > 0) return options.slot_memory;
  const uint64_t reserve = std::max(kMemoryReserveMin, machine.memory_bytes / 10);
  return machine.memory_bytes > reserve
             ? (machine.memory_bytes - reserve) / static_cast<uint64_t>(slots)
             : 0;
}

}  // namespace

absl::StatusOr<SlotPlan> PlanSlots(const Options& options, const Machine& machine) {
  const int found = static_cast<int>(machine.gpus.size());
  const int gpus = options.gpus < 0 ? found : options.gpus;
  if (gpus > found) {
    return FailedPrecondition(
        Reason::kWrongState,
        absl::StrCat("--gpus: ", gpus, " are wanted, this machine has ", found,
                     found == 0 ? absl::StrCat(" (", machine.why_no_gpus, ")") : ""));
  }
  SlotPlan plan;
  const auto add = [&](v1::Slot::Kind kind, int64_t memory, const std::string& device,
                       const std::string& uuid) {
    v1::Slot& slot = plan.slots.emplace_back();
    slot.set_index(static_cast<int32_t>(plan.slots.size()) - 1);
    slot.set_kind(kind);
    slot.set_memory_bytes(memory);
    slot.set_threads(options.threads_per_slot);
    slot.set_device(device);
    plan.gpus.push_back(uuid);
  };
  for (int i = 0; i < gpus; ++i) {
    const Gpu& gpu = machine.gpus[static_cast<size_t>(i)];
    add(v1::Slot::KIND_GPU, std::max<int64_t>(gpu.memory_bytes - kGpuReserve, 0), gpu.model,
        gpu.uuid);
  }
  const int cpu_slots = options.slots > 0 ? options.slots : gpus > 0 ? 0 : machine.cores;
  for (int i = 0; i < cpu_slots; ++i) {
    add(v1::Slot::KIND_CPU, static_cast<int64_t>(MemoryOfCpuSlot(options, machine, cpu_slots)),
        machine.instruction_set, "");
  }
  return plan;
}

}  // namespace cvtrain::worker
