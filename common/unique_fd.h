#ifndef CVTRAIN_COMMON_UNIQUE_FD_H_
#define CVTRAIN_COMMON_UNIQUE_FD_H_

#include <utility>

#include "absl/status/statusor.h"

namespace cvtrain {

// Owns a file descriptor and closes it. Thread-compatible.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}  // takes ownership; -1 means none
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) Reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~UniqueFd() { Reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int Release() { return std::exchange(fd_, -1); }
  void Reset(int fd = -1);

  // A second descriptor for the same open file, close-on-exec.
  // Returns RESOURCE_EXHAUSTED if the process has no descriptors left.
  absl::StatusOr<UniqueFd> Duplicate() const;

 private:
  int fd_ = -1;
};

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_UNIQUE_FD_H_
