#ifndef CVTRAIN_WORKER_TRAINER_DATA_BATCH_JOB_H_
#define CVTRAIN_WORKER_TRAINER_DATA_BATCH_JOB_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "plan/curriculum/keys.h"
#include "worker/trainer/data/batch_source.h"

namespace cvtrain::trainer {

// One picture of a batch.
struct BatchItem {
  int64_t sample = 0;   // position within the split
  plan::SampleKey key;  // of what is drawn for it; unused in evaluation
};

// A batch on its way. Decoding threads fill disjoint parts of `pixels` and
// `labels`; who may touch what is BatchQueue's business.
struct BatchJob {
  int32_t height = 0;
  int32_t width = 0;
  int32_t resize = 0;  // evaluation: short side after resizing; 0 in training
  std::vector<BatchItem> items;
  std::vector<uint8_t> pixels;
  std::vector<int64_t> labels;
  std::vector<int64_t> samples;

  size_t picture_bytes() const {
    return static_cast<size_t>(height) * static_cast<size_t>(width) * 3;
  }

  // Of BatchQueue.
  size_t handed_out = 0;
  size_t finished = 0;
};

// Jobs whose batches were used, so that their memory is used again. Thread-safe.
class JobPool {
 public:
  std::unique_ptr<BatchJob> Take() ABSL_LOCKS_EXCLUDED(mu_);
  void Return(std::unique_ptr<BatchJob> job) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  static constexpr size_t kKeptMax = 8;

  absl::Mutex mu_;
  std::vector<std::unique_ptr<BatchJob>> jobs_ ABSL_GUARDED_BY(mu_);
};

// A finished job as a batch, which gives its memory back to `pool` in the end.
// The pool is shared because a batch may outlive its source.
Batch MakeBatch(std::unique_ptr<BatchJob> job, std::shared_ptr<JobPool> pool);

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_DATA_BATCH_JOB_H_
