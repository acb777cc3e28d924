#ifndef CVTRAIN_CLIENT_DATASET_SOURCE_FILES_H_
#define CVTRAIN_CLIENT_DATASET_SOURCE_FILES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/dataset/dataset_reader.h"
#include "common/file_system.h"

// Files, as the readers of data sets look at them.
namespace cvtrain::client {

// What a file holds, as far as its first bytes, or else the end of its name, say.
enum class SourceKind { kOther, kPicture, kSound };
SourceKind KindOfSource(absl::string_view name, absl::string_view first_bytes);
// By the end of the name alone.
SourceKind KindOfName(absl::string_view name);
v1::DatasetVersion::Media MediaOf(SourceKind kind);

// How many of the first files in the folders of `root` (names that begin with a dot are left out)
// are what; at most `files_max` are opened, up to four folders deep.
struct KindCounts {
  int pictures = 0;
  int sounds = 0;
  int others = 0;
};
KindCounts LookAround(FileSystem& files, const std::string& root, int files_max = 24);

// Names in a folder, sorted; empty if it is none.
std::vector<std::string> NamesIn(FileSystem& files, const std::string& folder);
bool IsFolder(FileSystem& files, const std::string& path);
bool IsFile(FileSystem& files, const std::string& path);

// A number that changes when the file does.
uint64_t StampOf(const FileInfo& info);

// A name of a split: 1 to 63 of a-z, 0-9, '.', '_', '-'.
bool IsSplitName(absl::string_view name);
// Whether a class's name can be stored and printed as it is: 1 to 1,024 bytes of UTF-8 without
// control characters.
bool IsClassName(absl::string_view name);
bool IsSampleKey(absl::string_view key);

// INVALID_ARGUMENT (FIELD_INVALID): "FORMAT PATH: PROBLEM".
absl::Status BadSource(absl::string_view format, absl::string_view path, absl::string_view problem);

// The bytes of a file that `name`, which came from outside, names below `root`; at most
// `size_bytes_max`. Errors as of FileSystem::OpenBeneath(), and LIMIT_EXCEEDED.
absl::StatusOr<std::string> ReadBeneath(FileSystem& files, const std::string& root,
                                        absl::string_view name, uint64_t size_bytes_max);
// Bytes [offset, offset + length) of a file; UNAVAILABLE (STORAGE_FAILED) if it ends before.
absl::StatusOr<std::string> ReadRange(const RandomAccessFile& file, uint64_t offset,
                                      uint64_t length);

// The bytes of a gzip file, unpacked; they are at most `size_bytes_max`.
// Returns INVALID_ARGUMENT (DATA_BAD) if they are damaged; LIMIT_EXCEEDED.
absl::StatusOr<std::string> Gunzip(absl::string_view bytes, uint64_t size_bytes_max);
bool IsGzip(absl::string_view bytes);

// One with its own digest.
SourceBytes WithDigest(std::string bytes);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_DATASET_SOURCE_FILES_H_
