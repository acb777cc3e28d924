#include "common/mapped_file.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <utility>

#include "common/errors.h"
#include "common/posix_error.h"

namespace cvtrain {

absl::StatusOr<MappedFile> MappedFile::Map(UniqueFd fd) {
  struct stat facts = {};
  if (::fstat(fd.get(), &facts) != 0) return ErrnoToStatus(errno, "looking at a file to map");
  if (!S_ISREG(facts.st_mode)) {
    return InvalidArgument(Reason::kFieldInvalid, "only a regular file can be mapped");
  }
  MappedFile file;
  file.device_ = facts.st_dev;
  file.inode_ = facts.st_ino;
  if (facts.st_size == 0) return file;
  const auto size = static_cast<size_t>(facts.st_size);
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (data == MAP_FAILED) return ErrnoToStatus(errno, "mapping a file");
  file.data_ = static_cast<const char*>(data);
  file.size_ = size;
  return file;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      device_(other.device_),
      inode_(other.inode_) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(device_, other.device_);
  std::swap(inode_, other.inode_);
  return *this;
}

bool MappedFile::IsOf(const UniqueFd& fd) const {
  struct stat facts = {};
  return ::fstat(fd.get(), &facts) == 0 && facts.st_dev == device_ && facts.st_ino == inode_;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<char*>(data_), size_);
}

}  // namespace cvtrain
