#ifndef CVTRAIN_COMMON_POSIX_ERROR_H_
#define CVTRAIN_COMMON_POSIX_ERROR_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace cvtrain {

// The error that a failed system call means, with a message such as
// "opening /a/b: No such file or directory". The table is in file_system.h; what is
// not there is UNAVAILABLE (STORAGE_FAILED). `error` is a value of errno.
absl::Status ErrnoToStatus(int error, absl::string_view doing, absl::string_view what = {});

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_POSIX_ERROR_H_
