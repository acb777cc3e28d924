#ifndef CVTRAIN_COORDINATOR_STORAGE_CHECKPOINTS_TABLE_WRITER_H_
#define CVTRAIN_COORDINATOR_STORAGE_CHECKPOINTS_TABLE_WRITER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/bounded_queue.h"
#include "common/thread.h"
#include "common/uuid.h"
#include "coordinator/storage/database.h"

namespace rocksdb {
class SstFileWriter;
}  // namespace rocksdb

namespace cvtrain::coordinator {

// Writes the rows of one checkpoint into tables in the folder `staging`, on a thread of its own:
// the disk works while the next rows come and are hashed. Thread-compatible.
class TableWriter {
 public:
  struct Row {
    uint32_t index = 0;  // ascending
    std::string key;
    std::string value;
  };

  // A table ends when it has `table_size_bytes`. `database` must outlive this.
  TableWriter(Database& database, const Uuid& id, int64_t table_size_bytes);
  TableWriter(const TableWriter&) = delete;
  TableWriter& operator=(const TableWriter&) = delete;
  // Removes what was not moved away.
  ~TableWriter();

  // Takes a row; waits while several wait for the disk. Returns the error of an earlier one:
  // RESOURCE_EXHAUSTED (DISK_FULL), UNAVAILABLE (STORAGE_FAILED).
  absl::Status Put(Row row);
  // Writes what is left, and syncs. Errors as of Put(). The last call.
  absl::Status Finish();

  // After Finish(): the tables, and the first and the last row of each.
  const std::vector<std::string>& paths() const { return paths_; }
  const std::vector<uint32_t>& ends() const { return ends_; }

 private:
  void Run();
  absl::Status Write(const Row& row);
  absl::Status NextTable();
  absl::Status status() const ABSL_LOCKS_EXCLUDED(mu_);

  Database& database_;
  const Uuid id_;
  const int64_t table_size_bytes_;

  // The thread's, until it has ended.
  std::vector<std::string> paths_;
  std::vector<std::unique_ptr<rocksdb::SstFileWriter>> tables_;  // the last one is open
  std::vector<uint32_t> ends_;
  uint32_t last_row_ = 0;

  mutable absl::Mutex mu_;
  absl::Status status_ ABSL_GUARDED_BY(mu_);  // the first error

  BoundedQueue<Row> rows_;
  Thread thread_;  // last: it uses the members above
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STORAGE_CHECKPOINTS_TABLE_WRITER_H_
