#include "common/private_folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/posix_error.h"

namespace cvtrain {

absl::Status CheckPrivateFolder(const std::string& path) {
  struct stat info = {};
  if (::lstat(path.c_str(), &info) != 0) return ErrnoToStatus(errno, "looking at", path);
  const auto forbidden = [&](absl::string_view problem) {
    return PermissionDenied(Reason::kFileForbidden,
                            absl::StrCat(path, ": ", problem,
                                         ", so what is in it may be anybody's; remove it, or use "
                                         "another folder"));
  };
  if (!S_ISDIR(info.st_mode)) return forbidden("is no folder");
  if (info.st_uid != ::geteuid()) return forbidden("belongs to somebody else");
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) return forbidden("others may write to it");
  return absl::OkStatus();
}

}  // namespace cvtrain
