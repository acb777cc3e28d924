#include "common/unique_fd.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "common/posix_error.h"

namespace cvtrain {

void UniqueFd::Reset(int fd) {
  // close() must not be repeated after EINTR: Linux has freed the number by then.
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

absl::StatusOr<UniqueFd> UniqueFd::Duplicate() const {
  UniqueFd copy(::fcntl(fd_, F_DUPFD_CLOEXEC, 0));
  if (!copy.valid()) return ErrnoToStatus(errno, "duplicating a descriptor");
  return copy;
}

}  // namespace cvtrain
