#ifndef CVTRAIN_FORMATS_SHARD_SHARD_READER_H_
#define CVTRAIN_FORMATS_SHARD_SHARD_READER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "common/file_system.h"
#include "cvtrain/storage/v1/annotation.pb.h"
#include "formats/shard/shard_format.h"
#include "formats/shard/shard_layout.h"

namespace cvtrain::formats {

// Reads a shard, and lets no byte of it be used before it is verified.
//
// Opening checks the header (CRC32C), the footer (CRC32C), the index (CRC32C of its blocks), that
// every extent lies where the format says, that annotations keep their rules (annotation_rules.h),
// and that the file has exactly the length it claims. Reads versions 1 and 2. Blocks of data (1
// MiB, CRC32C) are checked when a picture in them is first read.
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

  // Valid as long as the reader.
  const ShardInfo& info() const { return info_; }

  // `record` is in [0, info().records), in these and in Read(): CVT_CHECKed.
  ShardRecord record(int64_t record) const;
  // Name of the picture, unique in its split. Valid as long as the reader.
  absl::string_view key(int64_t record) const;
  // SHA-256 of the file that the picture was made from; 32 bytes. Valid as long as the reader.
  absl::string_view source_digest(int64_t record) const;
  // Boxes and masks of the picture; empty if it has none.
  storage::v1::Annotation annotation(int64_t record) const;
  // The same as it is stored; empty if there are none. Valid as long as the reader.
  absl::string_view annotation_bytes(int64_t record) const;

  // The bytes of a rung, or of the source if `rung` is info().rungs.size(). The answer points into
  // the memory that was opened or into `*scratch`, and is valid as long as both.
  //
  // Returns DATA_LOSS (SHARD_BAD), naming shard, block and offset, if a block is damaged;
  // NOT_FOUND (SHARD_NOT_FOUND) if the record has no such rung; the errors of the file system.
  absl::StatusOr<absl::string_view> Read(int64_t record, int rung, std::string* scratch);

  // Reads and checks every block, padding included, and the SHA-256 of the index. Errors as of
  // Read().
  absl::Status VerifyAll();

 private:
  ShardReader(absl::string_view name, absl::string_view memory,
              std::unique_ptr<RandomAccessFile> file, int64_t file_bytes);

  absl::Status Load();
  absl::Status LoadIndex(absl::string_view uuid_bytes);
  bool AreSound(absl::string_view blocks) const;
  absl::Status CheckIndexDigest() const;
  absl::Status CheckRecords(const internal::ShardCounts& counts) const;
  // What is wrong with the picture, or with what is none; empty if nothing is.
  std::string ProblemOfSource(const ShardRecord& record) const;
  std::string ProblemOfAnnotation(int64_t record, const ShardRecord& entry) const;

  // Bytes that are not verified yet.
  absl::StatusOr<absl::string_view> Fetch(int64_t offset, int64_t length,
                                          std::string* scratch) const;
  absl::Status CheckBlock(int64_t block, absl::string_view bytes) const;
  // Verifies what [offset, offset + length) touches of the memory.
  absl::Status CheckMemory(int64_t offset, int64_t length);
  // Reads [offset, offset + length) of the file through the kept block.
  absl::StatusOr<absl::string_view> ReadFromFile(int64_t offset, int64_t length,
                                                 std::string* scratch) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Bad(absl::string_view part, int64_t offset, absl::string_view problem) const;

  // Constant after opening.
  const std::string name_;
  const absl::string_view memory_;  // empty if there is a file
  const std::unique_ptr<RandomAccessFile> file_;
  const int64_t file_bytes_;
  ShardInfo info_;
  internal::ShardPlan plan_;
  std::string index_digest_;    // SHA-256, as the header says
  std::string index_copy_;      // of a file
  absl::string_view index_;     // record table, keys, source digests, annotations
  std::vector<uint32_t> crcs_;  // of each block

  // Of memory: whether a block has been found good.
  std::unique_ptr<std::atomic<bool>[]> checked_;

  absl::Mutex mu_;
  // Of a file: the block read last, found good; -1: none.
  int64_t kept_block_ ABSL_GUARDED_BY(mu_) = -1;
  std::string kept_bytes_ ABSL_GUARDED_BY(mu_);
};

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_SHARD_SHARD_READER_H_
