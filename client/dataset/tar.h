#ifndef CVTRAIN_CLIENT_DATASET_TAR_H_
#define CVTRAIN_CLIENT_DATASET_TAR_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/file_system.h"

namespace cvtrain::client {

struct TarMember {
  enum class Type { kFile, kFolder, kLink, kOther };
  Type type = Type::kFile;
  // As the archive spells it: not checked, see ProblemOfMemberName().
  std::string name;
  // Of its bytes, which lie within the archive.
  uint64_t offset = 0;
  uint64_t size = 0;
};

// Walks through the headers of a tar archive: POSIX.1-1988 (ustar) and -2001 (pax: path, size), and
// GNU's long names and large sizes. Reads no member's bytes.
//
// Thread-compatible.
class TarWalker {
 public:
  // `archive` must outlive this. `name` is what errors call it.
  TarWalker(const RandomAccessFile& archive, absl::string_view name)
      : archive_(archive), name_(name) {}

  // The next member; nothing at the end. INVALID_ARGUMENT (DATA_BAD), naming archive and offset, if
  // a header is damaged or the archive ends within a member; the errors of the file.
  absl::StatusOr<std::optional<TarMember>> Next();

 private:
  struct Block;

  absl::Status Bad(absl::string_view problem) const;
  absl::StatusOr<TarMember> Parse(const Block& block);
  // The bytes of a member that says something about the next one.
  absl::StatusOr<std::string> ReadExtension(const TarMember& member);
  absl::Status TakePax(absl::string_view records);

  const RandomAccessFile& archive_;
  const std::string name_;
  uint64_t at_ = 0;  // of the next header

  // What the headers before it said about the next member.
  std::optional<std::string> next_name_;
  std::optional<uint64_t> next_size_;
};

// Why nothing may be called so: "is absolute", "has ..", ...; empty if it may. A leading "./" is
// removed from `*name`.
std::string ProblemOfMemberName(std::string* name);

// Whether these are the first 512 bytes of a tar archive.
bool IsTar(absl::string_view first_bytes);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_DATASET_TAR_H_
