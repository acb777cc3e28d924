#ifndef CVTRAIN_COORDINATOR_STORAGE_CATALOGUE_SHARD_STORE_H_
#define CVTRAIN_COORDINATOR_STORAGE_CATALOGUE_SHARD_STORE_H_

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/file_system.h"
#include "common/uuid.h"
#include "coordinator/storage/database.h"

namespace cvtrain::coordinator {

class ShardStore;

// One shard on its way in. What is not finished stays on disk for a day, so that an upload can go
// on where it ended. Thread-compatible. The store must outlive it.
class ShardWriter {
 public:
  ShardWriter(const ShardWriter&) = delete;
  ShardWriter& operator=(const ShardWriter&) = delete;
  ~ShardWriter();

  // Returns INVALID_ARGUMENT (FIELD_INVALID) for bytes behind the end, RESOURCE_EXHAUSTED
  // (DISK_FULL), UNAVAILABLE (STORAGE_FAILED).
  absl::Status Append(absl::string_view bytes);

  // Makes the shard durable and readable if it is complete and has its digest.
  //
  // Returns DATA_LOSS (SHARD_BAD) if not, and what was uploaded is gone; errors of Append().
  absl::Status Finish();

  // Where the next byte goes.
  int64_t offset() const;

 private:
  friend class ShardStore;
  class State;
  explicit ShardWriter(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

// The files of data sets, by digest, and which of them have arrived for which unfinished version.
// Committed versions are events; the journal knows them.
//
// A digest is the SHA-256 of the whole file in lower-case hex; anything else is INVALID_ARGUMENT
// (FIELD_INVALID), so no text of a request becomes a path.
//
// Thread-safe.
class ShardStore {
 public:
  // How long an unfinished version, an unfinished upload and an unreferenced shard are kept.
  static constexpr absl::Duration kKept = absl::Hours(24);

  // `database` must outlive the store.
  static absl::StatusOr<std::unique_ptr<ShardStore>> Open(Database& database);

  // Begins the version that `request_id` names, unless it was; durable on return. Returns the
  // digests that have arrived for it, sorted.
  absl::StatusOr<std::vector<std::string>> Begin(const Uuid& request_id);

  struct UploadOptions {
    std::string digest;
    int64_t size_bytes = 0;  // 1 to limits::kShardSizeBytesMax
    // 0 begins anew; else PartialSize(), to go on.
    int64_t offset = 0;
  };
  // Begins the upload of a shard for a version. If its bytes are here already, from this or another
  // version, returns nullptr: it has arrived, durably.
  //
  // Returns NOT_FOUND (DATASET_NOT_FOUND) if Begin() was not called for `request_id` or a day has
  // passed, ABORTED (WRONG_STATE) while another call uploads this digest, INVALID_ARGUMENT
  // (FIELD_INVALID) for a bad digest, size or offset, RESOURCE_EXHAUSTED (DISK_FULL), UNAVAILABLE
  // (STORAGE_FAILED).
  absl::StatusOr<std::unique_ptr<ShardWriter>> Upload(const Uuid& request_id,
                                                      const UploadOptions& options)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Bytes of an unfinished upload that are here, 0 if there is none.
  absl::StatusOr<int64_t> PartialSize(absl::string_view digest) const;

  // The digests that have arrived for a version, sorted. NOT_FOUND as Upload().
  absl::StatusOr<std::vector<std::string>> Arrived(const Uuid& request_id) const;

  // The size of a shard. Returns NOT_FOUND (SHARD_NOT_FOUND).
  absl::StatusOr<int64_t> Size(absl::string_view digest) const;

  // Opens a shard; it stays readable if it is collected meanwhile. Its blocks carry checksums of
  // their own, which the reader of the format checks.
  //
  // Returns NOT_FOUND (SHARD_NOT_FOUND) if there is no such shard, DATA_LOSS (SHARD_BAD) if its
  // file is missing or has another size.
  absl::StatusOr<std::unique_ptr<RandomAccessFile>> OpenRead(absl::string_view digest) const;

  // Removes, if older than kKept: unfinished versions, unfinished uploads, and shards that are
  // neither in `referenced` (digests of committed versions) nor arrived for an unfinished version.
  // Returns how many shards were removed.
  absl::StatusOr<int> Collect(const std::set<std::string>& referenced) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  friend class ShardWriter;

  explicit ShardStore(Database& database);
  absl::Status CheckBegun(const Uuid& request_id) const;
  absl::Status PutArrived(const Uuid& request_id, const std::string& digest, int64_t size_bytes);
  absl::StatusOr<std::set<std::string>> CollectVersions(absl::Time limit);
  absl::Status CollectFiles(const std::string& directory, absl::Time limit);
  std::string ShardPath(absl::string_view digest) const { return JoinPath(shards_, digest); }
  std::string PartPath(absl::string_view digest) const { return JoinPath(uploads_, digest); }

  Database& database_;
  const std::string shards_;
  const std::string uploads_;

  mutable absl::Mutex mu_;
  // Digests that a writer holds, or that Collect() removes.
  std::set<std::string> busy_ ABSL_GUARDED_BY(mu_);
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STORAGE_CATALOGUE_SHARD_STORE_H_
