#ifndef CVTRAIN_WORKER_TRAINER_COLLECTIVE_PROCESS_GROUP_H_
#define CVTRAIN_WORKER_TRAINER_COLLECTIVE_PROCESS_GROUP_H_

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace cvtrain::trainer {

class StoreTransport;

// A sum that is under way. Destroying it without waiting is allowed only when the group goes too.
class PendingSum {
 public:
  virtual ~PendingSum() = default;
  // Returns when the tensor is the sum. Throws c10::Error if a rank is gone.
  virtual void Wait() = 0;
};

// The ranks of one attempt, and what they do together.
//
// A world of one rank has no collective: nothing is connected, and all functions return at once.
// Time-outs are a day: a collective that hangs is ended by the agent, which kills the process. A
// rank that ends makes the functions of all others throw, within a second on one machine.
// Functions throw c10::Error; see train/guard.h. Every rank calls the same ones in the same order,
// on one thread.
class ProcessGroup {
 public:
  // How the ranks reach each other.
  enum class Backend {
    // NCCL on GPUs; else shared memory if all of them run on this machine; else Gloo
    kAutomatic,
    kSharedMemory,  // or an error
    kGloo,
  };
  struct Options {
    int32_t rank = 0;
    int32_t world_size = 1;
    Backend backend = Backend::kAutomatic;
    // Where the tensors of this rank live, the same kind on all ranks. Numbers in host memory may
    // be summed with every backend.
    at::Device place = at::Device(at::DeviceType::CPU);
    // Address that this rank listens on for its peers, with Gloo; loopback unless configured.
    std::string address = "127.0.0.1";
    // Longest wait for a peer, with Gloo and for the store. Long on purpose, see above.
    absl::Duration timeout = absl::Hours(24);
  };

  // Meets the other ranks; waits for all of them. `transport` must outlive the group and is used
  // only here, by NewBuckets() and, with Gloo, while the group is in use. Throws c10::Error if the
  // store fails.
  static std::unique_ptr<ProcessGroup> Create(const Options& options, StoreTransport& transport);

  virtual ~ProcessGroup() = default;

  virtual int32_t rank() const = 0;
  virtual int32_t world_size() const = 0;
  // Of the backend, for people: "shared memory".
  virtual std::string backend_name() const = 0;

  // Replaces `tensor`, of float32, float64 or int64, on every rank by the sum, or maximum, over the
  // ranks: the same to the bit on all of them.
  virtual void SumOverRanks(at::Tensor& tensor) = 0;
  virtual void MaxOverRanks(at::Tensor& tensor) = 0;

  // Replaces `tensors` on every rank by those of rank 0.
  virtual void BroadcastFromFirst(const std::vector<at::Tensor>& tensors) = 0;

  // Zeroed float32 tensors of so many elements, where StartSum() is fastest. Their memory lives as
  // long as they do.
  virtual std::vector<at::Tensor> NewBuckets(const std::vector<int64_t>& sizes);

  // Begins to replace `bucket`, contiguous float32, by the sum over the ranks. Nobody may touch it
  // until the sum has been waited for. Any number may be under way; no other function is called
  // meanwhile, and they are waited for in the order in which they were begun.
  virtual std::unique_ptr<PendingSum> StartSum(const at::Tensor& bucket) = 0;
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_COLLECTIVE_PROCESS_GROUP_H_
