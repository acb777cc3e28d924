#include "common/posix_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "common/errors.h"
#include "common/posix_error.h"
#include "common/status_macros.h"

namespace cvtrain {
namespace {

constexpr size_t kBufferSizeBytes = 64 << 10;
// Large enough that a disk reaches its own speed without the page cache.
constexpr size_t kDirectBufferSizeBytes = 1 << 20;
// What every disk accepts as alignment of direct transfers.
constexpr size_t kDirectAlignment = 4096;

absl::Status Closed(const std::string& path) {
  return FailedPrecondition(Reason::kWrongState, path + ": the file is closed");
}

absl::StatusOr<size_t> ReadAll(int fd, const std::string& path, uint64_t offset,
                               absl::Span<char> buffer) {
  size_t done = 0;
  while (done < buffer.size()) {
    const ssize_t got =
        ::pread(fd, buffer.data() + done, buffer.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoToStatus(errno, "reading", path);
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

absl::StatusOr<uint64_t> SizeOf(int fd, const std::string& path) {
  struct stat info = {};
  if (::fstat(fd, &info) != 0) return ErrnoToStatus(errno, "measuring", path);
  return static_cast<uint64_t>(info.st_size);
}

// Collects bytes in a buffer that direct I/O accepts. With direct I/O on, whole blocks
// go out past the page cache; the first end that is not a block's ends direct I/O for
// this file, since what follows can no longer be aligned.
class PosixWritableFile : public WritableFile {
 public:
  PosixWritableFile(UniqueFd fd, std::string path, uint64_t size, bool direct, bool preallocated)
      : path_(std::move(path)),
        preallocated_(preallocated),
        capacity_(direct ? kDirectBufferSizeBytes : kBufferSizeBytes),
        buffer_(static_cast<char*>(std::aligned_alloc(kDirectAlignment, capacity_)), &std::free),
        fd_(std::move(fd)),
        size_(size),
        direct_(direct) {
    CVT_CHECK(buffer_ != nullptr);
  }

  absl::Status Append(absl::string_view data) override {
    if (!fd_.valid()) return Closed(path_);
    size_ += data.size();
    while (!data.empty()) {
      if (filled_ == 0 && !direct_ && data.size() >= capacity_) return WriteAll(data);
      const size_t take = std::min(data.size(), capacity_ - filled_);
      std::memcpy(buffer_.get() + filled_, data.data(), take);
      filled_ += take;
      data.remove_prefix(take);
      if (filled_ == capacity_) CVT_RETURN_IF_ERROR(WriteBuffer());
    }
    return absl::OkStatus();
  }

  absl::Status Flush() override {
    if (!fd_.valid()) return Closed(path_);
    if (filled_ == 0) return absl::OkStatus();
    if (direct_ && filled_ % kDirectAlignment != 0) {
      const int flags = ::fcntl(fd_.get(), F_GETFL);
      if (flags < 0 || ::fcntl(fd_.get(), F_SETFL, flags & ~O_DIRECT) != 0) {
        return ErrnoToStatus(errno, "ending direct writes to", path_);
      }
      direct_ = false;
    }
    return WriteBuffer();
  }

  absl::Status Sync() override {
    CVT_RETURN_IF_ERROR(Flush());
    if (::fdatasync(fd_.get()) != 0) return Fail("syncing");
    return absl::OkStatus();
  }

  absl::Status Close() override {
    CVT_RETURN_IF_ERROR(Flush());
    if (preallocated_ && ::ftruncate(fd_.get(), static_cast<off_t>(size_)) != 0) {
      return ErrnoToStatus(errno, "cutting", path_);
    }
    if (::close(fd_.Release()) != 0) return ErrnoToStatus(errno, "closing", path_);
    return absl::OkStatus();
  }

  uint64_t size() const override { return size_; }
  int descriptor() const override { return fd_.get(); }

 private:
  absl::Status WriteBuffer() {
    return WriteAll(absl::string_view(buffer_.get(), std::exchange(filled_, 0)));
  }

  // After a failure nothing more is written: it would follow a hole.
  absl::Status WriteAll(absl::string_view data) {
    while (failure_.ok() && !data.empty()) {
      const ssize_t written = ::write(fd_.get(), data.data(), data.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return Fail("writing");
      data.remove_prefix(static_cast<size_t>(written));
    }
    return failure_;
  }

  // The first failure stays: what is on disk after it is unknown, also to a sync that succeeds.
  absl::Status Fail(absl::string_view what) {
    failure_.Update(ErrnoToStatus(errno, what, path_));
    return failure_;
  }

  const std::string path_;
  const bool preallocated_;
  const size_t capacity_;
  const std::unique_ptr<char, decltype(&std::free)> buffer_;
  UniqueFd fd_;
  uint64_t size_;
  bool direct_;
  size_t filled_ = 0;  // bytes in buffer_
  absl::Status failure_;
};

class PosixRandomAccessFile : public RandomAccessFile {
 public:
  PosixRandomAccessFile(UniqueFd fd, std::string path)
      : fd_(std::move(fd)), path_(std::move(path)) {}

  absl::StatusOr<size_t> Read(uint64_t offset, absl::Span<char> buffer) const override {
    return ReadAll(fd_.get(), path_, offset, buffer);
  }
  absl::StatusOr<uint64_t> Size() const override { return SizeOf(fd_.get(), path_); }
  int descriptor() const override { return fd_.get(); }

 private:
  const UniqueFd fd_;
  const std::string path_;
};

class PosixReadWriteFile : public ReadWriteFile {
 public:
  PosixReadWriteFile(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  absl::StatusOr<size_t> ReadAt(uint64_t offset, absl::Span<char> buffer) const override {
    if (!fd_.valid()) return Closed(path_);
    return ReadAll(fd_.get(), path_, offset, buffer);
  }

  absl::Status WriteAt(uint64_t offset, absl::string_view data) override {
    if (!fd_.valid()) return Closed(path_);
    while (!data.empty()) {
      const ssize_t written =
          ::pwrite(fd_.get(), data.data(), data.size(), static_cast<off_t>(offset));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return ErrnoToStatus(errno, "writing", path_);
      data.remove_prefix(static_cast<size_t>(written));
      offset += static_cast<uint64_t>(written);
    }
    return absl::OkStatus();
  }

  absl::Status Allocate(uint64_t size_bytes) override {
    if (!fd_.valid()) return Closed(path_);
    const auto size = static_cast<off_t>(size_bytes);
    if (::ftruncate(fd_.get(), size) != 0) return ErrnoToStatus(errno, "resizing", path_);
    const int error = size == 0 ? 0 : ::posix_fallocate(fd_.get(), 0, size);
    if (error != 0) return ErrnoToStatus(error, "allocating", path_);
    return absl::OkStatus();
  }

  absl::Status Sync() override {
    if (!fd_.valid()) return Closed(path_);
    if (::fdatasync(fd_.get()) != 0) return ErrnoToStatus(errno, "syncing", path_);
    return absl::OkStatus();
  }

  absl::StatusOr<uint64_t> Size() const override {
    if (!fd_.valid()) return Closed(path_);
    return SizeOf(fd_.get(), path_);
  }

  absl::Status Close() override {
    if (!fd_.valid()) return Closed(path_);
    if (::close(fd_.Release()) != 0) return ErrnoToStatus(errno, "closing", path_);
    return absl::OkStatus();
  }

 private:
  UniqueFd fd_;
  const std::string path_;
};

}  // namespace

std::unique_ptr<RandomAccessFile> RandomAccessFileFromDescriptor(UniqueFd fd, std::string label) {
  return std::make_unique<PosixRandomAccessFile>(std::move(fd), std::move(label));
}

namespace internal {

absl::StatusOr<std::unique_ptr<WritableFile>> MakePosixWritableFile(
    UniqueFd fd, std::string path, uint64_t size_bytes, const WritableFileOptions& options) {
  bool preallocated = false;
  if (options.preallocate_bytes > 0) {
    preallocated = ::fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, 0,
                               static_cast<off_t>(options.preallocate_bytes)) == 0;
    if (!preallocated && errno != EOPNOTSUPP) return ErrnoToStatus(errno, "allocating", path);
  }
  bool direct = false;
  if (options.direct_io && size_bytes % kDirectAlignment == 0) {
    const int flags = ::fcntl(fd.get(), F_GETFL);
    // Some file systems have no direct I/O; theirs is the speed that they have.
    direct = flags >= 0 && ::fcntl(fd.get(), F_SETFL, flags | O_DIRECT) == 0;
  }
  return std::make_unique<PosixWritableFile>(std::move(fd), std::move(path), size_bytes, direct,
                                             preallocated);
}

std::unique_ptr<ReadWriteFile> MakePosixReadWriteFile(UniqueFd fd, std::string path) {
  return std::make_unique<PosixReadWriteFile>(std::move(fd), std::move(path));
}

}  // namespace internal
}  // namespace cvtrain
