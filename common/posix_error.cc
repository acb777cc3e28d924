#include "common/posix_error.h"

#include <cerrno>
#include <string>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/errors.h"

namespace cvtrain {

absl::Status ErrnoToStatus(int error, absl::string_view doing, absl::string_view what) {
  // std::generic_category() is thread-safe where strerror() is not.
  const std::string message = absl::StrCat(doing, what.empty() ? "" : " ", what, ": ",
                                           std::generic_category().message(error));
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return NotFound(Reason::kFileNotFound, message);
    case EEXIST:
      return AlreadyExists(Reason::kFileExists, message);
    case EACCES:
    case EPERM:
    case EROFS:
    case ELOOP:
    case EXDEV:
      return PermissionDenied(Reason::kFileForbidden, message);
    case EINVAL:
    case ENAMETOOLONG:
      return InvalidArgument(Reason::kFieldInvalid, message);
    case EISDIR:
    case ENOTEMPTY:
    case EBADF:
    case EBUSY:
    case ETXTBSY:
      return FailedPrecondition(Reason::kWrongState, message);
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return ResourceExhausted(Reason::kDiskFull, message);
    case EMFILE:
    case ENFILE:
      return LimitExceeded("open file descriptors", message);
    case ENOMEM:
      return LimitExceeded("memory", message);
    case EAGAIN:
      return LimitExceeded("processes", message);
    default:
      return Unavailable(Reason::kStorageFailed, message);
  }
}

}  // namespace cvtrain
