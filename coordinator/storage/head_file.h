#ifndef CVTRAIN_COORDINATOR_STORAGE_HEAD_FILE_H_
#define CVTRAIN_COORDINATOR_STORAGE_HEAD_FILE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/file_system.h"

namespace cvtrain::coordinator {

// Hash of the journal up to a revision; see journal/chain.h.
using ChainHash = std::array<uint8_t, 16>;

// How far the database is known to have come: all of this is durable.
struct HeadMark {
  std::string cluster_id;  // a UUID, 36 characters
  int64_t revision = 0;    // of the journal
  ChainHash chain = {};    // at that revision
  int64_t sequence = 0;    // of the database: grows with every row written by any store

  friend bool operator==(const HeadMark&, const HeadMark&) = default;
};

// The file HEAD: a high-water mark kept apart from the database, because a database whose log was
// deleted opens as if nothing had been there.
//
// It has two slots. A write goes to the older one and is synced, so that a crash in its middle
// leaves the other; reading takes the newer one that has its checksum. docs/formats/journal.md has
// the bytes.
//
// Thread-compatible.
class HeadFile {
 public:
  // Makes the file: after a crash it is there with `mark`, or not there.
  static absl::StatusOr<std::unique_ptr<HeadFile>> Create(FileSystem& files,
                                                          const std::string& path,
                                                          const HeadMark& mark);
  // Returns NOT_FOUND if there is no such file, DATA_LOSS (JOURNAL_DAMAGED) if neither slot has its
  // checksum.
  static absl::StatusOr<std::unique_ptr<HeadFile>> Open(FileSystem& files, const std::string& path);

  // Durable on return. After an error the file may hold the old mark or the new one.
  absl::Status Write(const HeadMark& mark);

  const HeadMark& mark() const { return mark_; }

 private:
  HeadFile(std::unique_ptr<ReadWriteFile> file, const HeadMark& mark, uint64_t generation)
      : file_(std::move(file)), mark_(mark), generation_(generation) {}

  std::unique_ptr<ReadWriteFile> file_;
  HeadMark mark_;
  uint64_t generation_;
};

// Exposed for tests and tools.
std::string EncodeHeadSlot(const HeadMark& mark, uint64_t generation);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STORAGE_HEAD_FILE_H_
