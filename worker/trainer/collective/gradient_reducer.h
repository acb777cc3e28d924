#ifndef CVTRAIN_WORKER_TRAINER_COLLECTIVE_GRADIENT_REDUCER_H_
#define CVTRAIN_WORKER_TRAINER_COLLECTIVE_GRADIENT_REDUCER_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "worker/trainer/collective/process_group.h"

namespace cvtrain::trainer {

// Sums gradients over the ranks while the backward pass still runs.
//
// Gradients become views into buckets that are laid out once, in reverse order of the parameters,
// and never rebuilt: sums are made in one order for the life of the attempt, and in the same order
// after a resume. What c10d::Reducer does, and in the same way, but that it asks nothing of the
// group's threads and takes buckets that lie where the group wants them
// (docs/decisions/0012-gradients-in-shared-memory.md). Thread-compatible. Throws c10::Error.
class GradientReducer {
 public:
  // `parameters`: leaves that require gradients, float32, all of which take part in every backward
  // pass that reduces; the same on all ranks. `group` must outlive this.
  GradientReducer(ProcessGroup& group, std::vector<at::Tensor> parameters);
  GradientReducer(const GradientReducer&) = delete;
  GradientReducer& operator=(const GradientReducer&) = delete;
  ~GradientReducer();

  // The backward passes that follow reduce: when all parameters have had a gradient from them, each
  // is the sum over the ranks of what they have accumulated. Passes without this call before them
  // accumulate locally.
  void ReduceInNextBackward();

  // Sums what has been accumulated, now.
  void Reduce();

 private:
  struct Bucket {
    at::Tensor tensor;
    size_t parameters = 0;
    size_t missing = 0;  // gradients that the backward pass under way has yet to make
    std::unique_ptr<PendingSum> sum;
  };
  struct Hook;

  void LayOut(const std::vector<at::Tensor>& parameters);
  void NoteReady(size_t bucket);
  void StartReady();
  void Finish();

  ProcessGroup& group_;
  std::vector<Bucket> buckets_;  // in the order in which the backward pass fills them
  std::vector<Hook> hooks_;      // one for each parameter
  bool armed_ = false;
  size_t started_ = 0;  // buckets of the backward pass under way
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_COLLECTIVE_GRADIENT_REDUCER_H_
