#include "worker/trainer/data/batch_job.h"

#include <utility>

namespace cvtrain::trainer {
namespace {

// What a batch's memory is.
struct Held {
  std::unique_ptr<BatchJob> job;
  std::shared_ptr<JobPool> pool;
};

}  // namespace

std::unique_ptr<BatchJob> JobPool::Take() {
  absl::MutexLock lock(&mu_);
  if (jobs_.empty()) return std::make_unique<BatchJob>();
  std::unique_ptr<BatchJob> job = std::move(jobs_.back());
  jobs_.pop_back();
  return job;
}

void JobPool::Return(std::unique_ptr<BatchJob> job) {
  job->items.clear();
  job->handed_out = 0;
  job->finished = 0;
  absl::MutexLock lock(&mu_);
  if (jobs_.size() < kKeptMax) jobs_.push_back(std::move(job));
}

Batch MakeBatch(std::unique_ptr<BatchJob> job, std::shared_ptr<JobPool> pool) {
  Batch batch;
  batch.count = static_cast<int64_t>(job->items.size());
  batch.height = job->height;
  batch.width = job->width;
  batch.pixels = absl::MakeConstSpan(job->pixels.data(), job->items.size() * job->picture_bytes());
  batch.labels = absl::MakeConstSpan(job->labels.data(), job->items.size());
  batch.samples = absl::MakeConstSpan(job->samples.data(), job->items.size());
  batch.memory = {new Held{std::move(job), std::move(pool)}, [](void* memory) {
                    auto* held = static_cast<Held*>(memory);
                    held->pool->Return(std::move(held->job));
                    delete held;
                  }};
  return batch;
}

}  // namespace cvtrain::trainer
