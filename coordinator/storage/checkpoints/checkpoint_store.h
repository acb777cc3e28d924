#ifndef CVTRAIN_COORDINATOR_STORAGE_CHECKPOINTS_CHECKPOINT_STORE_H_
#define CVTRAIN_COORDINATOR_STORAGE_CHECKPOINTS_CHECKPOINT_STORE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "common/limits.h"
#include "common/uuid.h"
#include "coordinator/storage/database.h"

namespace cvtrain::coordinator {

class CheckpointStore;

struct CheckpointStoreOptions {
  // Bytes of all checkpoints together, those on their way in included.
  int64_t quota_bytes = int64_t{256} << 30;
  // Bytes of one table; a checkpoint is cut into several, so that none takes long to check.
  int64_t table_size_bytes = int64_t{1} << 30;
};

// What is known of a stored checkpoint without reading it.
struct CheckpointInfo {
  int64_t size_bytes = 0;
  std::string digest;  // BlockDigest of the whole, lower-case hex
};

// A part of a checkpoint.
struct CheckpointChunk {
  int64_t offset = 0;
  std::string bytes;    // at most 1 MiB
  uint32_t crc32c = 0;  // of `bytes`
};

// One checkpoint on its way in. What is not finished is dropped by the destructor, and by the next
// start after a crash. Thread-compatible. The store must outlive it.
class CheckpointWriter {
 public:
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;
  ~CheckpointWriter();

  // Appends the next chunk: limits::kChunkSizeBytes bytes, the last one fewer.
  //
  // Returns DATA_LOSS (CHECKPOINT_BAD) if `crc32c` is not that of `bytes`, INVALID_ARGUMENT
  // (FIELD_INVALID) for a chunk of the wrong size or behind the end, RESOURCE_EXHAUSTED
  // (DISK_FULL), UNAVAILABLE (STORAGE_FAILED). The upload then has failed and must begin again.
  absl::Status Append(absl::string_view bytes, uint32_t crc32c);

  // Writes the bytes at `offset`, as many as `to` has, to `to`.
  using ReadFunction = absl::FunctionRef<absl::Status(int64_t offset, absl::Span<char> to)>;
  // Appends the next chunk, whose bytes `read` reads. Errors of `read`, and as of Append().
  absl::Status AppendFrom(ReadFunction read);

  // Makes the checkpoint durable, whole, if it is complete and has the digest `digest_hex`. It is
  // garbage, all the same, until the caller has committed the event that names it.
  //
  // Returns DATA_LOSS (CHECKPOINT_BAD) if the digest differs or bytes are missing, and the errors
  // of Append().
  absl::Status Finish(absl::string_view digest_hex);

  // Takes back what Finish() made durable, whose event was refused. OK if there is nothing.
  //
  // Returns UNAVAILABLE (STORAGE_FAILED); then the next start removes it.
  absl::Status Discard();

  int64_t offset() const;
  // Whether all bytes have come.
  bool complete() const;

 private:
  friend class CheckpointStore;
  class State;
  explicit CheckpointWriter(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

// The bytes of checkpoints, complete and verified or absent. Which of them exist is the journal's
// word: a checkpoint without its event is garbage, an event without its bytes is DATA_LOSS.
//
// Bytes go to disk once: they are written into tables of their own, past the page cache where the
// disk can, and the tables are then ingested. Deleting removes the tables; nothing is rewritten.
//
// Thread-safe.
class CheckpointStore {
 public:
  // Removes what unfinished uploads left in the staging folder. `database` must outlive the store.
  static absl::StatusOr<std::unique_ptr<CheckpointStore>> Open(
      Database& database, const CheckpointStoreOptions& options = {});

  // Begins the upload of a checkpoint of `size_bytes` bytes, 1 to limits::kCheckpointSizeBytesMax.
  //
  // Returns ALREADY_EXISTS (WRONG_STATE) if `id` is stored (compare the digest of Find() and go on
  // with the event), ABORTED (WRONG_STATE) while another call uploads it, INVALID_ARGUMENT
  // (FIELD_INVALID) for an impossible size, RESOURCE_EXHAUSTED (LIMIT_EXCEEDED, of
  // checkpoint_quota_bytes) or (DISK_FULL).
  absl::StatusOr<std::unique_ptr<CheckpointWriter>> Begin(const Uuid& id, int64_t size_bytes)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Returns NOT_FOUND (CHECKPOINT_NOT_FOUND) if there are no bytes of `id`.
  absl::StatusOr<CheckpointInfo> Find(const Uuid& id) const;

  // Reads the chunk that holds the byte at `offset`, from there to its end; empty bytes at the end
  // of the checkpoint.
  //
  // Returns NOT_FOUND (CHECKPOINT_NOT_FOUND), DATA_LOSS (CHECKPOINT_BAD) with the offset if the
  // chunk is missing or damaged, INVALID_ARGUMENT (FIELD_INVALID) for an offset behind the end.
  absl::StatusOr<CheckpointChunk> Read(const Uuid& id, int64_t offset) const;

  // Reads every byte and compares with all checksums and the digest. Errors as Read().
  absl::StatusOr<CheckpointInfo> Verify(const Uuid& id) const;

  // Removes the bytes of `id`; OK if there are none. A reader of it may fail from now on.
  absl::Status Delete(const Uuid& id) ABSL_LOCKS_EXCLUDED(mu_);

  // Deletes every stored checkpoint that is not in `live`, the ids that the replayed state names:
  // garbage of a crash between Finish() and the event. Call it before the first upload begins.
  // Returns how many there were.
  absl::StatusOr<int> Collect(const std::set<Uuid>& live) ABSL_LOCKS_EXCLUDED(mu_);

  // The ids of `live` that have no bytes, or not all: each is DATA_LOSS (CHECKPOINT_BAD) to whoever
  // reads it, since its event came after its bytes. For the start, to say so at once.
  absl::StatusOr<std::vector<Uuid>> FindMissing(const std::set<Uuid>& live) const;

  // Bytes of stored checkpoints and of uploads under way.
  int64_t used_bytes() const ABSL_LOCKS_EXCLUDED(mu_);
  int64_t quota_bytes() const { return options_.quota_bytes; }

 private:
  friend class CheckpointWriter;

  CheckpointStore(Database& database, const CheckpointStoreOptions& options)
      : database_(database), options_(options) {}
  // Ids and sizes of all that is stored; size 0 if the last row is missing.
  absl::StatusOr<std::map<Uuid, int64_t>> List() const;
  // An upload ended; `stored` says whether its bytes count from now on.
  void EndUpload(const Uuid& id, int64_t size_bytes, bool stored) ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<bool> HasRow(const Uuid& id, uint32_t index) const;
  absl::Status DeleteRows(const Uuid& id);

  Database& database_;
  const CheckpointStoreOptions options_;

  mutable absl::Mutex mu_;
  // Of what is stored; with that of uploads under way it adds up to used_bytes_.
  std::map<Uuid, int64_t> sizes_ ABSL_GUARDED_BY(mu_);
  int64_t used_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  std::set<Uuid> uploads_ ABSL_GUARDED_BY(mu_);
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STORAGE_CHECKPOINTS_CHECKPOINT_STORE_H_
