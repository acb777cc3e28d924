#ifndef CVTRAIN_COORDINATOR_STORAGE_DATABASE_H_
#define CVTRAIN_COORDINATOR_STORAGE_DATABASE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/file_system.h"
#include "common/random.h"
#include "common/telemetry.h"
#include "coordinator/storage/committer.h"
#include "coordinator/storage/head_file.h"

namespace cvtrain::coordinator {

// The handles of RocksDB; rocks.h, for this folder and those inside it only.
class Rocks;

struct DatabaseOptions {
  // The state directory, made with mode 0700 if it does not exist. In it:
  //   lock       held while a coordinator runs
  //   HEAD       how far the journal is known to have come; head_file.h
  //   db/        the database
  //   staging/   checkpoints on their way in
  //   shards/    files of data sets, and uploads/ those on their way in
  std::string directory;

  // Least time between two writes of HEAD. After a crash, a log that lost no more than what was
  // written in this time goes unnoticed; each write costs a sync of its own.
  absl::Duration head_interval = absl::Milliseconds(100);

  // While the disk has less free space than this, CheckSpace() refuses: room for the journal to end
  // well, and for people to clean up.
  int64_t space_reserved_bytes = int64_t{64} << 20;

  // Memory for blocks read from tables, and for rows of metrics that are not in tables yet.
  int64_t cache_bytes = int64_t{64} << 20;
  int64_t metrics_buffer_bytes = int64_t{16} << 20;

  CommitterOptions committer = {};
};

// The one database of a coordinator, and the lock on its state directory.
//
// It opens, checks and closes; what the rows mean is the business of the stores in the folders
// below: journal/, metrics/, checkpoints/, catalogue/ and logs/. Each has a column family.
//
// A failed write has an unknown outcome, so the first one ends all writing: it stays in health(),
// and every later write of any store fails with it. The process must then stop.
//
// Thread-safe. Stores hold references: destroy them first.
class Database {
 public:
  // Locks the directory, opens the database and compares it with HEAD. RocksDB reads and writes
  // through its own files if `files` is PosixFileSystem(), else through `files` as well. All
  // references must outlive the database.
  //
  // Returns
  //   FAILED_PRECONDITION (STATE_DIR_BUSY)  another process holds the lock, and its id
  //   DATA_LOSS (JOURNAL_DAMAGED)           bytes of the database or of HEAD are wrong: the file
  //                                         and, for the log, the offset
  //   DATA_LOSS (JOURNAL_BEHIND)            the database is gone or older than HEAD says
  //   RESOURCE_EXHAUSTED (DISK_FULL), UNAVAILABLE (STORAGE_FAILED), PERMISSION_DENIED
  // and has then changed nothing that was durable. It never repairs.
  static absl::StatusOr<std::unique_ptr<Database>> Open(
      const DatabaseOptions& options, FileSystem& files, const Clock& clock = RealClock(),
      Random& random = SystemRandom(), TelemetryRegistry& telemetry = NullTelemetry());

  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  // Writes HEAD, closes the database, releases the lock.
  ~Database();

  // A UUID made with the database.
  const std::string& cluster_id() const { return cluster_id_; }
  const DatabaseOptions& options() const { return options_; }
  FileSystem& files() const { return files_; }
  const Clock& clock() const { return clock_; }

  // What makes metrics and logs durable, many in one sync. Somebody must run it: see committer.h.
  Committer& committer() { return *committer_; }

  // OK, or the first failed write.
  absl::Status health() const;

  // Returns RESOURCE_EXHAUSTED (DISK_FULL) while the reserve is not free; the outcome is known:
  // nothing was written. Asks the system at most once a second.
  absl::Status CheckSpace() const;

  // --- For the folders below ------------------------------------------------

  Rocks& rocks() const { return *rocks_; }
  // A file or folder of the state directory.
  std::string PathOf(absl::string_view name) const { return JoinPath(options_.directory, name); }
  // HEAD as it was when the database was opened.
  const HeadMark& head_at_open() const { return head_at_open_; }

  enum class WriteHead { kWhenDue, kNow };
  // Says that the journal is durable up to `revision`, and writes HEAD if that is due. An error
  // stays in health().
  absl::Status AdvanceHead(int64_t revision, const ChainHash& chain, WriteHead when)
      ABSL_LOCKS_EXCLUDED(head_mu_);

 private:
  Database(const DatabaseOptions& options, FileSystem& files, const Clock& clock);
  absl::Status OpenAll(Random& random, TelemetryRegistry& telemetry);
  absl::StatusOr<bool> OpenHead(Random& random);
  absl::Status CompareWithHead();
  absl::Status WriteHeadFile(WriteHead when) ABSL_LOCKS_EXCLUDED(head_mu_);
  bool HeadIsIdle() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(head_mu_) { return !head_busy_; }

  // Constant after Open(); the last one that is made is destroyed first.
  const DatabaseOptions options_;
  FileSystem& files_;
  const Clock& clock_;
  std::string cluster_id_;
  HeadMark head_at_open_;
  std::unique_ptr<FileLock> lock_;
  std::unique_ptr<Rocks> rocks_;
  std::unique_ptr<Committer> committer_;

  mutable absl::Mutex head_mu_;
  // Whoever sets head_busy_ may use head_, without the lock, until it is false again.
  std::unique_ptr<HeadFile> head_;
  bool head_busy_ ABSL_GUARDED_BY(head_mu_) = false;
  absl::Duration head_written_ ABSL_GUARDED_BY(head_mu_) = -absl::InfiniteDuration();
  int64_t revision_ ABSL_GUARDED_BY(head_mu_) = 0;
  ChainHash chain_ ABSL_GUARDED_BY(head_mu_) = {};

  mutable absl::Mutex space_mu_;
  mutable absl::Duration space_asked_ ABSL_GUARDED_BY(space_mu_) = -absl::InfiniteDuration();
  mutable absl::Status space_ ABSL_GUARDED_BY(space_mu_);
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STORAGE_DATABASE_H_
