#ifndef CVTRAIN_COMMON_MEMFD_H_
#define CVTRAIN_COMMON_MEMFD_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/unique_fd.h"

namespace cvtrain {

// Memory that another process can map through its descriptor. Who maps it as well
// and when each may touch it is the protocol's business, not this class's.
// Movable. Thread-compatible; the mapped bytes are the caller's to synchronize.
class SharedMemory {
 public:
  struct Options {
    // Touch every page now, so that a later copy runs at memory speed.
    bool prefault = true;
  };

  // New, zeroed, of fixed size (sealed against shrinking and growing, so a peer
  // cannot make our reads fault). `name` shows up in /proc only.
  // Returns RESOURCE_EXHAUSTED (LIMIT_EXCEEDED) if memory or descriptors run out.
  static absl::StatusOr<SharedMemory> Create(const std::string& name, size_t size_bytes,
                                             const Options& options);
  static absl::StatusOr<SharedMemory> Create(const std::string& name, size_t size_bytes) {
    return Create(name, size_bytes, Options());
  }

  // Maps what another process created, for reading. Refuses a descriptor that is not
  // a memfd sealed in size, or larger than `size_bytes_max`: INVALID_ARGUMENT
  // (FIELD_INVALID).
  static absl::StatusOr<SharedMemory> MapReadOnly(UniqueFd fd, size_t size_bytes_max);

  // The same, for reading and writing.
  static absl::StatusOr<SharedMemory> MapReadWrite(UniqueFd fd, size_t size_bytes_max);

  SharedMemory() = default;  // of size 0, without descriptor
  SharedMemory(SharedMemory&& other) noexcept;
  SharedMemory& operator=(SharedMemory&& other) noexcept;
  ~SharedMemory();

  // Empty if mapped read-only.
  absl::Span<char> mutable_bytes() {
    return absl::MakeSpan(writable_ ? data_ : nullptr, writable_ ? size_ : 0);
  }
  absl::Span<const char> bytes() const { return absl::MakeConstSpan(data_, size_); }
  size_t size() const { return size_; }
  int fd() const { return fd_.get(); }

 private:
  static absl::StatusOr<SharedMemory> Map(UniqueFd fd, size_t size_bytes_max, bool writable);
  void Unmap();

  UniqueFd fd_;
  char* data_ = nullptr;
  size_t size_ = 0;
  bool writable_ = false;
};

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_MEMFD_H_
