#include "common/wake_fd.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <utility>

#include "common/posix_error.h"

namespace cvtrain {

absl::StatusOr<WakeFd> WakeFd::Create() {
  UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd.valid()) return ErrnoToStatus(errno, "creating an eventfd");
  return WakeFd(std::move(fd));
}

void WakeFd::Notify() const {
  const uint64_t one = 1;
  // A full counter is as good as a notification.
  [[maybe_unused]] const ssize_t written = ::write(fd_.get(), &one, sizeof(one));
}

void WakeFd::Drain() const {
  uint64_t count = 0;
  // An empty counter is what was wanted.
  [[maybe_unused]] const ssize_t got = ::read(fd_.get(), &count, sizeof(count));
}

}  // namespace cvtrain
