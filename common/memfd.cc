#include "common/memfd.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/posix_error.h"

namespace cvtrain {
namespace {

constexpr int kSizeSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

}  // namespace

absl::StatusOr<SharedMemory> SharedMemory::Create(const std::string& name, size_t size_bytes,
                                                  const Options& options) {
  UniqueFd fd(::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid()) return ErrnoToStatus(errno, "creating shared memory", name);
  if (::ftruncate(fd.get(), static_cast<off_t>(size_bytes)) != 0) {
    return ErrnoToStatus(errno, "sizing shared memory", name);
  }
  if (::fcntl(fd.get(), F_ADD_SEALS, kSizeSeals) != 0) {
    return ErrnoToStatus(errno, "sealing shared memory", name);
  }
  SharedMemory memory;
  if (size_bytes > 0) {
    if (options.prefault && ::fallocate(fd.get(), 0, 0, static_cast<off_t>(size_bytes)) != 0) {
      return LimitExceeded(
          "memory", absl::StrCat("allocating ", size_bytes, " bytes of shared memory for ", name));
    }
    void* const data = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE,
                              MAP_SHARED | (options.prefault ? MAP_POPULATE : 0), fd.get(), 0);
    if (data == MAP_FAILED) return ErrnoToStatus(errno, "mapping shared memory", name);
    memory.data_ = static_cast<char*>(data);
  }
  memory.size_ = size_bytes;
  memory.writable_ = true;
  memory.fd_ = std::move(fd);
  return memory;
}

absl::StatusOr<SharedMemory> SharedMemory::MapReadOnly(UniqueFd fd, size_t size_bytes_max) {
  return Map(std::move(fd), size_bytes_max, /*writable=*/false);
}

absl::StatusOr<SharedMemory> SharedMemory::MapReadWrite(UniqueFd fd, size_t size_bytes_max) {
  return Map(std::move(fd), size_bytes_max, /*writable=*/true);
}

absl::StatusOr<SharedMemory> SharedMemory::Map(UniqueFd fd, size_t size_bytes_max, bool writable) {
  const int seals = ::fcntl(fd.get(), F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) {
    return InvalidArgument(Reason::kFieldInvalid,
                           "shared memory: must be a memfd that is sealed against shrinking");
  }
  struct stat info = {};
  if (::fstat(fd.get(), &info) != 0) return ErrnoToStatus(errno, "measuring shared memory");
  const auto size = static_cast<size_t>(info.st_size);
  if (size > size_bytes_max) {
    return InvalidArgument(
        Reason::kFieldInvalid,
        absl::StrCat("shared memory: must have at most ", size_bytes_max, " bytes, got ", size));
  }
  SharedMemory memory;
  if (size > 0) {
    void* const data = ::mmap(nullptr, size, writable ? PROT_READ | PROT_WRITE : PROT_READ,
                              MAP_SHARED, fd.get(), 0);
    if (data == MAP_FAILED) return ErrnoToStatus(errno, "mapping shared memory");
    memory.data_ = static_cast<char*>(data);
  }
  memory.size_ = size;
  memory.writable_ = writable;
  memory.fd_ = std::move(fd);
  return memory;
}

SharedMemory::SharedMemory(SharedMemory&& other) noexcept { *this = std::move(other); }

SharedMemory& SharedMemory::operator=(SharedMemory&& other) noexcept {
  if (this == &other) return *this;
  Unmap();
  fd_ = std::move(other.fd_);
  data_ = std::exchange(other.data_, nullptr);
  size_ = std::exchange(other.size_, 0);
  writable_ = std::exchange(other.writable_, false);
  return *this;
}

SharedMemory::~SharedMemory() { Unmap(); }

void SharedMemory::Unmap() {
  if (data_ != nullptr) ::munmap(data_, size_);
  data_ = nullptr;
  size_ = 0;
}

}  // namespace cvtrain
