#ifndef CVTRAIN_FORMATS_SHARD_SHARD_READER_H_
#define CVTRAIN_FORMATS_SHARD_SHARD_READER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/file_system.h"
#include "formats/shard/shard_format.h"

namespace cvtrain::formats {

// Reads a shard, and lets no byte of it be used before it is verified.
//
// Opening checks the header (CRC32C), the footer (CRC32C), the whole index (SHA-256), that every
// extent lies where the format says, and that the file has exactly the length it claims. Blocks of
// data (1 MiB, CRC32C) are checked when a picture in them is first read.
//
// Thread-safe.
class ShardReader {
 public:
  // Reads from memory, such as a mapped file; `bytes` must outlive the reader and not change.
  // `name` is what errors call the shard. Each block is checked once.
  //
  // Returns DATA_LOSS (SHARD_BAD), naming shard, part and offset, if anything is wrong.
  static absl::StatusOr<std::unique_ptr<ShardReader>> Open(absl::string_view bytes,
                                                           absl::string_view name);

  // Reads from a file, a block at a time; the block read last is kept. Returns also the errors of
  // the file system.
  static absl::StatusOr<std::unique_ptr<ShardReader>> Open(std::unique_ptr<RandomAccessFile> file,
                                                           absl::string_view name);

  virtual ~ShardReader() = default;

  // Valid as long as the reader.
  virtual const ShardInfo& info() const = 0;

  // `record` is in [0, info().records); these three are CVT_CHECKed.
  virtual ShardRecord record(int64_t record) const = 0;
  // Name of the picture, unique in its split. Valid as long as the reader.
  virtual absl::string_view key(int64_t record) const = 0;
  // SHA-256 of the file that the picture was made from; 32 bytes.
  virtual absl::string_view source_digest(int64_t record) const = 0;

  // The bytes of a rung, or of the source if `rung` is info().rungs.size(). The answer points into
  // the memory that was opened or into `*scratch`, and is valid as long as both.
  //
  // Returns DATA_LOSS (SHARD_BAD), naming shard, block and offset, if a block is damaged;
  // NOT_FOUND if the record has no such rung; the errors of the file system.
  virtual absl::StatusOr<absl::string_view> Read(int64_t record, int rung,
                                                 std::string* scratch) = 0;

  // Reads and checks every block, padding included. DATA_LOSS (SHARD_BAD) as Read().
  virtual absl::Status VerifyAll() = 0;
};

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_SHARD_SHARD_READER_H_
