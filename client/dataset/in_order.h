#ifndef CVTRAIN_CLIENT_DATASET_IN_ORDER_H_
#define CVTRAIN_CLIENT_DATASET_IN_ORDER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/thread.h"

namespace cvtrain::client {

// Work on many threads whose results come out in order on one: item 0, 1, 2, ... At most `window`
// items are begun and not yet taken, so memory is bounded whatever the speeds are.
//
// Thread-compatible: one thread takes; the workers are its own.
template <typename Result>
class InOrder {
 public:
  // `make_worker` is called once for each thread, on it, and answers a function from an item's
  // number to its result; it must outlive this.
  template <typename MakeWorker>
  InOrder(int64_t items, int threads, int64_t window, const MakeWorker& make_worker)
      : items_(items), slots_(static_cast<size_t>(window)) {
    for (int i = 0; i < threads; ++i) {
      threads_.push_back(std::make_unique<Thread>(
          absl::StrCat("dataset-", i), [this, &make_worker](const StopToken&) {
            auto work = make_worker();
            while (const std::optional<int64_t> item = Begin()) Put(*item, work(*item));
          }));
    }
  }

  // Lets items that are begun come to their end, and begins no more.
  ~InOrder() {
    {
      absl::MutexLock lock(&mu_);
      ended_ = true;
      changed_.SignalAll();
    }
    threads_.clear();  // joins
  }

  // The result of the next item; waits for it. Nothing after the last.
  std::optional<Result> Next() ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    if (taken_ == items_) return std::nullopt;
    std::optional<Result>& slot = slots_[static_cast<size_t>(taken_) % slots_.size()];
    while (!slot.has_value()) changed_.Wait(&mu_);
    std::optional<Result> result = std::exchange(slot, std::nullopt);
    ++taken_;
    changed_.SignalAll();
    return result;
  }

 private:
  // Number of an item to work on; waits for room. Nothing at the end.
  std::optional<int64_t> Begin() ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    while (!ended_ && begun_ < items_ && begun_ - taken_ >= static_cast<int64_t>(slots_.size())) {
      changed_.Wait(&mu_);
    }
    if (ended_ || begun_ == items_) return std::nullopt;
    return begun_++;
  }

  void Put(int64_t item, Result result) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    slots_[static_cast<size_t>(item) % slots_.size()] = std::move(result);
    changed_.SignalAll();
  }

  const int64_t items_;

  absl::Mutex mu_;
  absl::CondVar changed_;
  // Result of item i at i modulo the window.
  std::vector<std::optional<Result>> slots_ ABSL_GUARDED_BY(mu_);
  int64_t begun_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t taken_ ABSL_GUARDED_BY(mu_) = 0;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;

  std::vector<std::unique_ptr<Thread>> threads_;
};

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_DATASET_IN_ORDER_H_
