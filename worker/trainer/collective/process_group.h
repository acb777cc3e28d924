#ifndef CVTRAIN_WORKER_TRAINER_COLLECTIVE_PROCESS_GROUP_H_
#define CVTRAIN_WORKER_TRAINER_COLLECTIVE_PROCESS_GROUP_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "worker/trainer/collective/store_transport.h"

namespace cvtrain::trainer {

// Averages gradients over the ranks while the backward pass still runs.
//
// Gradients are views into buckets that are laid out once, in reverse order of the parameters,
// and never rebuilt: sums are made in one order for the life of the attempt, and in the same order
// after a resume. Thread-compatible. Throws c10::Error.
class GradientReducer {
 public:
  virtual ~GradientReducer() = default;

  // The backward pass that follows reduces: when it returns, each gradient is the mean over the
  // ranks of what they have accumulated. Backward passes without this call before them accumulate
  // locally.
  virtual void ReduceInNextBackward() = 0;
};

// The ranks of one attempt, and what they do together.
//
// A world of one rank has no collective: nothing is connected, and all functions return at once.
// Time-outs are a day: a collective that hangs is ended by the agent, which kills the process.
// Functions throw c10::Error; see train/guard.h. Every rank calls the same ones in the same order,
// on one thread.
class ProcessGroup {
 public:
  struct Options {
    int32_t rank = 0;
    int32_t world_size = 1;
    // Address that this rank listens on for its peers; loopback unless configured.
    std::string address = "127.0.0.1";
    // Longest wait for a peer. Long on purpose, see above.
    absl::Duration timeout = absl::Hours(24);
  };

  // Meets the other ranks; waits for all of them. `transport` must outlive the group and is used
  // only here and while the group is in use. Throws c10::Error if the store fails.
  static std::unique_ptr<ProcessGroup> Create(const Options& options, StoreTransport& transport);

  virtual ~ProcessGroup() = default;

  virtual int32_t rank() const = 0;
  virtual int32_t world_size() const = 0;

  // Replaces `tensor` on every rank by the sum, or maximum, over the ranks.
  virtual void SumOverRanks(at::Tensor& tensor) = 0;
  virtual void MaxOverRanks(at::Tensor& tensor) = 0;

  // Replaces `tensors` on every rank by those of rank 0.
  virtual void BroadcastFromFirst(const std::vector<at::Tensor>& tensors) = 0;

  // Null in a world of one. `parameters`: leaves that require gradients, all of which take part in
  // every backward pass that reduces.
  virtual std::unique_ptr<GradientReducer> NewReducer(std::vector<at::Tensor> parameters) = 0;
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_COLLECTIVE_PROCESS_GROUP_H_
