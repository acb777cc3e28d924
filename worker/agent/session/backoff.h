#ifndef CVTRAIN_WORKER_AGENT_SESSION_BACKOFF_H_
#define CVTRAIN_WORKER_AGENT_SESSION_BACKOFF_H_

#include <algorithm>

#include "absl/time/time.h"
#include "common/random.h"

namespace cvtrain::worker {

// How long to wait before the next try: full jitter, which is uniform in
// [0, limit), with a limit that doubles from `first` up to `max`. Full, because
// thousands of workers lose the same coordinator at the same moment.
//
// Thread-compatible.
class Backoff {
 public:
  // `random` must outlive this.
  Backoff(absl::Duration first, absl::Duration max, Random& random)
      : first_(first), max_(max), limit_(first), random_(random) {}

  absl::Duration Next() {
    const absl::Duration delay = limit_ * random_.Uniform01();
    limit_ = std::min(max_, limit_ * 2);
    return delay;
  }

  // After a success.
  void Reset() { limit_ = first_; }

 private:
  const absl::Duration first_;
  const absl::Duration max_;
  absl::Duration limit_;
  Random& random_;
};

}  // namespace cvtrain::worker

#endif  // CVTRAIN_WORKER_AGENT_SESSION_BACKOFF_H_
