#ifndef CVTRAIN_COMMON_WAKE_FD_H_
#define CVTRAIN_COMMON_WAKE_FD_H_

#include <utility>

#include "absl/status/statusor.h"
#include "common/unique_fd.h"

namespace cvtrain {

// Wakes a thread that sleeps in poll(): the descriptor is readable from
// Notify() until Drain(). Notify() is thread-safe and never blocks.
class WakeFd {
 public:
  // Returns RESOURCE_EXHAUSTED if the process has no descriptors left.
  static absl::StatusOr<WakeFd> Create();

  void Notify() const;
  void Drain() const;
  int fd() const { return fd_.get(); }

 private:
  explicit WakeFd(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_WAKE_FD_H_
