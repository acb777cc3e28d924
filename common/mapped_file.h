#ifndef CVTRAIN_COMMON_MAPPED_FILE_H_
#define CVTRAIN_COMMON_MAPPED_FILE_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/unique_fd.h"

namespace cvtrain {

// A file, mapped for reading. The pages stay readable when the file is removed, and
// show what is written to it meanwhile. Nobody may shorten it: that is for the owner
// of the file to promise, as caches do whose files only ever grow more complete.
// Movable. Thread-safe once made.
class MappedFile {
 public:
  // Returns INVALID_ARGUMENT (FIELD_INVALID) if `fd` is no regular file, and
  // the errors of ErrnoToStatus(). An empty file has no bytes.
  static absl::StatusOr<MappedFile> Map(UniqueFd fd);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  absl::string_view bytes() const { return {data_, size_}; }
  // Whether `fd` is open on the file that is mapped; it is that very file, not one with the same
  // content.
  bool IsOf(const UniqueFd& fd) const;

 private:
  MappedFile() = default;

  const char* data_ = nullptr;
  size_t size_ = 0;
  // What the file system calls it.
  uint64_t device_ = 0;
  uint64_t inode_ = 0;
};

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_MAPPED_FILE_H_
