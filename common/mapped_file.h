#ifndef CVTRAIN_COMMON_MAPPED_FILE_H_
#define CVTRAIN_COMMON_MAPPED_FILE_H_

#include <cstddef>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/unique_fd.h"

namespace cvtrain {

// An immutable file, mapped for reading. The pages stay readable when the file
// is removed. Nobody may shorten it meanwhile: that is for the owner of the
// file to promise, as caches do that only ever add and remove whole files.
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

 private:
  MappedFile() = default;

  const char* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_MAPPED_FILE_H_
