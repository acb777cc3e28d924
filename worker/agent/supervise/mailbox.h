#ifndef CVTRAIN_WORKER_AGENT_SUPERVISE_MAILBOX_H_
#define CVTRAIN_WORKER_AGENT_SUPERVISE_MAILBOX_H_

#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace cvtrain::worker {

// Hands work to the one thread that owns something: others post closures, the owner
// takes and runs them. `wake` tells the owner that there is something; it is called
// without the lock, on the posting thread.
//
// Post() is never refused: it is for answers, of which there are as many as questions.
// TryPost() is for what a trainer may produce without end. Thread-safe.
class Mailbox {
 public:
  using Work = std::function<void()>;

  Mailbox(size_t capacity, std::function<void()> wake)
      : capacity_(capacity), wake_(std::move(wake)) {}

  void Post(Work work) ABSL_LOCKS_EXCLUDED(mu_) {
    {
      absl::MutexLock lock(&mu_);
      work_.push_back(std::move(work));
    }
    wake_();
  }

  // False, and nothing is posted, if `capacity` pieces of work wait.
  bool TryPost(Work work) ABSL_LOCKS_EXCLUDED(mu_) {
    {
      absl::MutexLock lock(&mu_);
      if (work_.size() >= capacity_) return false;
      work_.push_back(std::move(work));
    }
    wake_();
    return true;
  }

  // For the owner: everything posted so far, in order.
  std::vector<Work> Take() ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return std::exchange(work_, {});
  }

 private:
  const size_t capacity_;
  const std::function<void()> wake_;

  absl::Mutex mu_;
  std::vector<Work> work_ ABSL_GUARDED_BY(mu_);
};

}  // namespace cvtrain::worker

#endif  // CVTRAIN_WORKER_AGENT_SUPERVISE_MAILBOX_H_
