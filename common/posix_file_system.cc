#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/errors.h"
#include "common/file_system.h"
#include "common/posix_error.h"
#include "common/posix_files.h"
#include "common/status_macros.h"

namespace cvtrain {
namespace {

absl::StatusOr<UniqueFd> Open(const std::string& path, int flags, uint32_t permissions) {
  if (path.find('\0') != std::string::npos) return ErrnoToStatus(EINVAL, "opening", path.c_str());
  while (true) {
    UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, static_cast<mode_t>(permissions)));
    if (fd.valid()) return fd;
    if (errno != EINTR) return ErrnoToStatus(errno, "opening", path);
  }
}

// Refuses directories, pipes and devices, on which reading would fail or wait.
absl::Status CheckIsFile(const UniqueFd& fd, absl::string_view path) {
  struct stat info = {};
  if (::fstat(fd.get(), &info) != 0) return ErrnoToStatus(errno, "opening", path);
  if (S_ISREG(info.st_mode)) return absl::OkStatus();
  return FailedPrecondition(Reason::kWrongState,
                            absl::StrCat("opening ", path, ": it is not a regular file"));
}

UniqueFd OpenAt2(int directory, const std::string& name) {
  open_how how = {};
  // O_NONBLOCK: a pipe must not stop us before it is recognized as one.
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return UniqueFd(
      static_cast<int>(::syscall(SYS_openat2, directory, name.c_str(), &how, sizeof(how))));
}

// What openat2() does, for kernels and sandboxes without it: one component at a time,
// never through a link. `name` has passed ValidateNameBeneath().
UniqueFd OpenByComponents(int directory, const std::string& name) {
  UniqueFd parent;
  int at = directory;
  const std::vector<std::string> parts = absl::StrSplit(name, '/');
  for (size_t i = 0; i + 1 < parts.size(); ++i) {
    UniqueFd next(::openat(at, parts[i].c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!next.valid()) return next;
    parent = std::move(next);
    at = parent.get();
  }
  const int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
  return UniqueFd(::openat(at, parts.back().c_str(), flags));
}

class PosixFileLock : public FileLock {
 public:
  explicit PosixFileLock(UniqueFd fd) : fd_(std::move(fd)) {}

 private:
  const UniqueFd fd_;  // closing it releases the lock
};

class Posix : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<WritableFile>> NewWritableFile(
      const std::string& path, const WritableFileOptions& options) override {
    int flags = O_WRONLY | O_CREAT;
    switch (options.mode) {
      case WritableFileOptions::Mode::kTruncate:
        flags |= O_TRUNC;
        break;
      case WritableFileOptions::Mode::kCreateNew:
        flags |= O_EXCL;
        break;
      case WritableFileOptions::Mode::kAppend:
        flags |= O_APPEND;
        break;
    }
    CVT_ASSIGN_OR_RETURN(UniqueFd fd, Open(path, flags, options.permissions));
    struct stat info = {};
    if (::fstat(fd.get(), &info) != 0) return ErrnoToStatus(errno, "measuring", path);
    return internal::MakePosixWritableFile(std::move(fd), path, static_cast<uint64_t>(info.st_size),
                                           options);
  }

  absl::StatusOr<std::unique_ptr<RandomAccessFile>> NewRandomAccessFile(
      const std::string& path) override {
    CVT_ASSIGN_OR_RETURN(UniqueFd fd, Open(path, O_RDONLY | O_NONBLOCK, 0));
    CVT_RETURN_IF_ERROR(CheckIsFile(fd, path));
    return RandomAccessFileFromDescriptor(std::move(fd), path);
  }

  absl::StatusOr<std::unique_ptr<ReadWriteFile>> NewReadWriteFile(
      const std::string& path) override {
    CVT_ASSIGN_OR_RETURN(UniqueFd fd, Open(path, O_RDWR | O_CREAT, 0644));
    return internal::MakePosixReadWriteFile(std::move(fd), path);
  }

  absl::StatusOr<std::unique_ptr<RandomAccessFile>> OpenBeneath(const std::string& root,
                                                                absl::string_view name) override {
    CVT_RETURN_IF_ERROR(ValidateNameBeneath(name));
    CVT_ASSIGN_OR_RETURN(const UniqueFd directory, Open(root, O_PATH | O_DIRECTORY, 0));
    const std::string relative(name);
    UniqueFd fd = OpenAt2(directory.get(), relative);
    if (!fd.valid() && (errno == ENOSYS || errno == EPERM)) {
      fd = OpenByComponents(directory.get(), relative);
    }
    const std::string path = JoinPath(root, name);
    if (!fd.valid()) return ErrnoToStatus(errno, "opening", path);
    CVT_RETURN_IF_ERROR(CheckIsFile(fd, path));
    return RandomAccessFileFromDescriptor(std::move(fd), path);
  }

  absl::Status CreateDir(const std::string& path, uint32_t permissions) override {
    for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
      const std::string part = path.substr(0, end);
      if (::mkdir(part.c_str(), static_cast<mode_t>(permissions)) != 0) {
        const int error = errno;
        struct stat info = {};
        const bool is_directory = ::stat(part.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
        if (!is_directory) return ErrnoToStatus(error, "creating directory", part);
      }
      if (end == std::string::npos) return absl::OkStatus();
    }
  }

  absl::StatusOr<std::vector<std::string>> ListDir(const std::string& path) override {
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), &::closedir);
    if (directory == nullptr) return ErrnoToStatus(errno, "listing", path);
    std::vector<std::string> names;
    while (true) {
      errno = 0;
      const dirent* entry = ::readdir(directory.get());
      if (entry == nullptr) break;
      const absl::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
    }
    if (errno != 0) return ErrnoToStatus(errno, "listing", path);
    std::sort(names.begin(), names.end());
    return names;
  }

  absl::StatusOr<FileInfo> Stat(const std::string& path) override {
    struct stat info = {};
    if (::lstat(path.c_str(), &info) != 0) return ErrnoToStatus(errno, "looking at", path);
    FileInfo result;
    result.type = S_ISREG(info.st_mode)   ? FileInfo::Type::kFile
                  : S_ISDIR(info.st_mode) ? FileInfo::Type::kDirectory
                  : S_ISLNK(info.st_mode) ? FileInfo::Type::kSymlink
                                          : FileInfo::Type::kOther;
    result.size_bytes = S_ISREG(info.st_mode) ? static_cast<uint64_t>(info.st_size) : 0;
    result.modified = absl::TimeFromTimespec(info.st_mtim);
    return result;
  }

  absl::Status Remove(const std::string& path) override {
    if (::remove(path.c_str()) != 0) return ErrnoToStatus(errno, "removing", path);
    return absl::OkStatus();
  }

  absl::Status RemoveAll(const std::string& path) override {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    if (error) return ErrnoToStatus(error.value(), "removing", path);
    return absl::OkStatus();
  }

  absl::Status Rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) {
      return ErrnoToStatus(errno, absl::StrCat("renaming ", from, " to"), to);
    }
    return absl::OkStatus();
  }

  absl::Status SyncDir(const std::string& path) override {
    CVT_ASSIGN_OR_RETURN(const UniqueFd fd, Open(path, O_RDONLY | O_DIRECTORY, 0));
    if (::fsync(fd.get()) != 0) return ErrnoToStatus(errno, "syncing directory", path);
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<FileLock>> LockFile(const std::string& path) override {
    CVT_ASSIGN_OR_RETURN(UniqueFd fd, Open(path, O_RDWR | O_CREAT, 0600));
    // flock(), not fcntl(): it also tells two owners within one process apart.
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return ErrnoToStatus(errno, "locking", path);
      char holder[32] = {};
      const ssize_t got = ::pread(fd.get(), holder, sizeof(holder) - 1, 0);
      int64_t pid = 0;
      const bool known = got > 0 && absl::SimpleAtoi(holder, &pid);
      return FailedPrecondition(
          Reason::kStateDirBusy,
          absl::StrCat(path, ": locked by ", known ? absl::StrCat("process ", pid) : "a process",
                       "; stop it, or use another directory"));
    }
    const std::string pid = absl::StrCat(::getpid(), "\n");
    if (::ftruncate(fd.get(), 0) != 0 ||
        ::pwrite(fd.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
      return ErrnoToStatus(errno, "writing", path);
    }
    return std::make_unique<PosixFileLock>(std::move(fd));
  }

  absl::StatusOr<uint64_t> FreeSpace(const std::string& path) override {
    struct statvfs info = {};
    if (::statvfs(path.c_str(), &info) != 0) return ErrnoToStatus(errno, "measuring", path);
    return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
  }
};

}  // namespace

FileSystem& PosixFileSystem() {
  static auto* const files = new Posix;
  return *files;
}

}  // namespace cvtrain
