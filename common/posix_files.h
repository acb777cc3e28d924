#ifndef CVTRAIN_COMMON_POSIX_FILES_H_
#define CVTRAIN_COMMON_POSIX_FILES_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/file_system.h"
#include "common/unique_fd.h"

// The open files of PosixFileSystem(); used by posix_file_system.cc alone.
namespace cvtrain::internal {

// `fd` is open for writing at the place where the next byte goes, `size_bytes` from the start.
absl::StatusOr<std::unique_ptr<WritableFile>> MakePosixWritableFile(
    UniqueFd fd, std::string path, uint64_t size_bytes, const WritableFileOptions& options);

std::unique_ptr<ReadWriteFile> MakePosixReadWriteFile(UniqueFd fd, std::string path);

}  // namespace cvtrain::internal

#endif  // CVTRAIN_COMMON_POSIX_FILES_H_
