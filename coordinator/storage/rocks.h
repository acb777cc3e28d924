#ifndef CVTRAIN_COORDINATOR_STORAGE_ROCKS_H_
#define CVTRAIN_COORDINATOR_STORAGE_ROCKS_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "common/file_system.h"
#include "common/telemetry.h"
#include "coordinator/storage/database.h"
#include "rocksdb/db.h"
#include "rocksdb/env.h"
#include "rocksdb/options.h"
#include "rocksdb/slice.h"
#include "rocksdb/write_batch.h"

// For coordinator/storage and the folders inside it only: the one header that shows RocksDB.
namespace cvtrain::coordinator {

// The column families, in the order in which they are opened.
enum class Family { kMeta, kJournal, kMetrics, kCheckpoints, kCatalogue, kLogs };
inline constexpr size_t kFamilyCount = 6;

inline rocksdb::Slice ToSlice(absl::string_view text) { return {text.data(), text.size()}; }
inline absl::string_view ToView(const rocksdb::Slice& slice) {
  return {slice.data(), slice.size()};
}

// Translates an error of RocksDB: corruption to DATA_LOSS (JOURNAL_DAMAGED), a full disk to
// RESOURCE_EXHAUSTED (DISK_FULL), all other I/O to UNAVAILABLE (STORAGE_FAILED).
absl::Status ToStatus(const rocksdb::Status& status, absl::string_view doing);

// Options that promises depend on; checked against what the open database says it uses. Returns
// INTERNAL, naming the option, if one differs.
absl::Status CheckLiveOptions(const rocksdb::DBOptions& options);

// RocksDB, opened with our options: handles, synced writes, and the memory of the first failure.
// Thread-safe.
class Rocks {
 public:
  // Opens the database in `path`, and makes it if `create`. See Database::Open().
  static absl::StatusOr<std::unique_ptr<Rocks>> Open(const DatabaseOptions& options,
                                                     FileSystem& files, const std::string& path,
                                                     bool create, const Clock& clock,
                                                     TelemetryRegistry& telemetry);
  ~Rocks();

  rocksdb::DB& db() { return *db_; }
  rocksdb::ColumnFamilyHandle* handle(Family family) const {
    return handles_[static_cast<size_t>(family)];
  }

  // Writes `batch` in whole, durable on return. The first error stays: see Database::health().
  absl::Status Write(rocksdb::WriteBatch& batch);
  // Adds the tables in `paths` in whole, durable on return, and moves them away.
  absl::Status Ingest(Family family, const std::vector<std::string>& paths);
  // nullopt if there is no such row.
  absl::StatusOr<std::optional<std::string>> Get(Family family, absl::string_view key);

  // Options of tables that Ingest() takes.
  rocksdb::Options TableOptions(Family family) const;

  absl::Status health() const ABSL_LOCKS_EXCLUDED(mu_);
  void Fail(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mu_);

  // A sequence number that is durable: no row that was written before the call has a higher one,
  // except while tables are ingested, when an older number is returned.
  int64_t DurableSequence();

 private:
  class Listener;
  class KeepingFileSystem;

  Rocks() = default;

  std::unique_ptr<rocksdb::Env> env_;
  std::shared_ptr<Listener> listener_;
  rocksdb::DBOptions db_options_;
  std::vector<rocksdb::ColumnFamilyDescriptor> families_;
  std::vector<rocksdb::ColumnFamilyHandle*> handles_;
  std::unique_ptr<rocksdb::DB> db_;
  const Clock* clock_ = nullptr;
  Histogram* write_seconds_ = nullptr;

  // Ingestion takes a sequence number before its manifest is synced: numbers read meanwhile do not
  // count.
  std::atomic<int> ingesting_ = 0;
  std::atomic<int64_t> ingestions_ = 0;
  std::atomic<int64_t> sequence_ = 0;

  mutable absl::Mutex mu_;
  absl::Status health_ ABSL_GUARDED_BY(mu_);
};

// Walks over the rows whose keys begin with a prefix, in order of keys, as they were when it was
// made. `rocks` must outlive it. Thread-compatible.
class RowCursor {
 public:
  struct Options {
    bool backwards = false;
    bool fill_cache = true;
  };

  RowCursor(Rocks& rocks, Family family, std::string prefix, Options options);
  RowCursor(Rocks& rocks, Family family, std::string prefix)
      : RowCursor(rocks, family, std::move(prefix), Options()) {}

  // Goes to the first row with a key >= `key` (the last with a key <= `key` if backwards).
  void Seek(absl::string_view key);
  bool Valid() const;
  void Next();
  absl::string_view key() const { return ToView(iterator_->key()); }
  // The key without the prefix.
  absl::string_view suffix() const { return key().substr(prefix_.size()); }
  absl::string_view value() const { return ToView(iterator_->value()); }
  // Why it ended: OK at the end of the rows. DATA_LOSS if a block is damaged.
  absl::Status status() const;

 private:
  const std::string prefix_;
  const std::string end_;
  const Options options_;
  rocksdb::Slice end_slice_;
  std::unique_ptr<rocksdb::Iterator> iterator_;
};

// Rows that a commit of the Committer adds; see committer.h.
class CommitBatch {
 public:
  explicit CommitBatch(Rocks& rocks) : rocks_(rocks) {}

  void Put(Family family, absl::string_view key, absl::string_view value);
  void Delete(Family family, absl::string_view key);
  // Deletes all rows whose keys begin with `prefix`.
  void DeletePrefix(Family family, absl::string_view prefix);
  void DeleteRange(Family family, absl::string_view begin, absl::string_view end);

  Rocks& rocks() { return rocks_; }
  rocksdb::WriteBatch& rows() { return rows_; }

 private:
  Rocks& rocks_;
  rocksdb::WriteBatch rows_;
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STORAGE_ROCKS_H_
