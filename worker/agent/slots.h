#ifndef CVTRAIN_WORKER_AGENT_SLOTS_H_
#define CVTRAIN_WORKER_AGENT_SLOTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cvtrain/v1/worker.pb.h"
#include "worker/agent/gpus/gpus.h"
#include "worker/agent/options.h"

namespace cvtrain::worker {

// What a machine has, as far as slots go.
struct Machine {
  int cores = 1;
  uint64_t memory_bytes = 0;
  std::string instruction_set;
  std::vector<Gpu> gpus;
  std::string why_no_gpus;  // for people; empty if there are some
};

// The slots of a worker: one for each GPU, then those on the CPU.
struct SlotPlan {
  std::vector<v1::Slot> slots;
  // By slot: the UUID of its GPU; empty on the CPU.
  std::vector<std::string> gpus;
};

// Shares `machine` as `options` say, which are valid: all GPUs, or as many as are wanted; and slots
// on the CPU if they are wanted or there is no GPU. The machine's memory without a reserve is
// shared evenly by the slots on the CPU; a GPU's slot has its memory without what CUDA itself
// takes. Pure.
//
// FAILED_PRECONDITION (WRONG_STATE) if more GPUs are wanted than there are.
absl::StatusOr<SlotPlan> PlanSlots(const Options& options, const Machine& machine);

}  // namespace cvtrain::worker

#endif  // CVTRAIN_WORKER_AGENT_SLOTS_H_
