#ifndef CVTRAIN_COMMON_BOUNDED_QUEUE_H_
#define CVTRAIN_COMMON_BOUNDED_QUEUE_H_

#include <cstddef>
#include <deque>
#include <optional>
#include <stop_token>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/thread.h"

namespace cvtrain {

// A first-in, first-out queue between threads that never holds more than
// `capacity` values. Thread-safe.
//
// Close() ends it: nothing more goes in, what is in still comes out, then Pop()
// returns nothing. It knows nothing about metrics: whoever gets a refusal from
// TryPush() counts it.
template <typename T>
class BoundedQueue {
 public:
  explicit BoundedQueue(size_t capacity) : capacity_(capacity) {}

  // Returns false, and leaves `value` as it was, if the queue is full or closed.
  bool TryPush(T&& value) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    if (closed_ || values_.size() >= capacity_) return false;
    values_.push_back(std::move(value));
    changed_.SignalAll();
    return true;
  }

  // Waits for room. Returns false, and leaves `value` as it was, if the queue was
  // closed, a stop requested, or there was no room for `timeout`.
  bool Push(T&& value, const StopToken& stop = {},
            absl::Duration timeout = absl::InfiniteDuration()) ABSL_LOCKS_EXCLUDED(mu_) {
    const absl::Time deadline = absl::Now() + timeout;
    std::stop_callback wake(stop, [this] { Wake(); });
    absl::MutexLock lock(&mu_);
    while (!closed_ && values_.size() >= capacity_) {
      if (stop.stop_requested() || changed_.WaitWithDeadline(&mu_, deadline)) break;
    }
    if (closed_ || stop.stop_requested() || values_.size() >= capacity_) return false;
    values_.push_back(std::move(value));
    changed_.SignalAll();
    return true;
  }

  // Waits for a value. Returns nothing if a stop was requested, if there was none
  // for `timeout`, or if the queue is closed and empty.
  std::optional<T> Pop(const StopToken& stop = {},
                       absl::Duration timeout = absl::InfiniteDuration()) ABSL_LOCKS_EXCLUDED(mu_) {
    const absl::Time deadline = absl::Now() + timeout;
    std::stop_callback wake(stop, [this] { Wake(); });
    absl::MutexLock lock(&mu_);
    while (values_.empty() && !closed_) {
      if (stop.stop_requested() || changed_.WaitWithDeadline(&mu_, deadline)) break;
    }
    if (values_.empty() || stop.stop_requested()) return std::nullopt;
    return TakeFront();
  }

  std::optional<T> TryPop() ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    if (values_.empty()) return std::nullopt;
    return TakeFront();
  }

  // Everything that is in, at most `count_max` values, without waiting.
  std::vector<T> PopAll(size_t count_max) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    std::vector<T> taken;
    while (!values_.empty() && taken.size() < count_max) taken.push_back(TakeFront());
    return taken;
  }

  void Close() ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    closed_ = true;
    changed_.SignalAll();
  }

  size_t size() const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return values_.size();
  }
  size_t capacity() const { return capacity_; }
  // After Close().
  bool closed() const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return closed_;
  }

 private:
  void Wake() ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    changed_.SignalAll();
  }

  T TakeFront() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    T value = std::move(values_.front());
    values_.pop_front();
    changed_.SignalAll();
    return value;
  }

  const size_t capacity_;

  mutable absl::Mutex mu_;
  absl::CondVar changed_;
  std::deque<T> values_ ABSL_GUARDED_BY(mu_);
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_BOUNDED_QUEUE_H_
