#include "coordinator/storage/checkpoints/table_writer.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "coordinator/storage/rocks.h"
#include "rocksdb/sst_file_writer.h"

namespace cvtrain::coordinator {
namespace {

// Of 1 MiB each: enough that neither side waits for the other because of a single slow write.
constexpr size_t kRowsQueuedMax = 8;

absl::Status TableError(const rocksdb::Status& status) {
  return ToStatus(status, "writing a table of a checkpoint");
}

}  // namespace

TableWriter::TableWriter(Database& database, const Uuid& id, int64_t table_size_bytes)
    : database_(database),
      id_(id),
      table_size_bytes_(table_size_bytes),
      rows_(kRowsQueuedMax),
      thread_("cvt-table", [this](StopToken) { Run(); }) {}

TableWriter::~TableWriter() {
  rows_.Close();
  thread_.Join();
  tables_.clear();  // closes files
  for (const std::string& path : paths_) {
    database_.files().Remove(path).IgnoreError();  // moved away, or the next start does it
  }
}

absl::Status TableWriter::Put(Row row) {
  CVT_RETURN_IF_ERROR(status());
  rows_.Push(std::move(row));
  return absl::OkStatus();
}

absl::Status TableWriter::Finish() {
  rows_.Close();
  thread_.Join();
  CVT_RETURN_IF_ERROR(status());
  return tables_.empty() ? absl::OkStatus() : TableError(tables_.back()->Finish());
}

void TableWriter::Run() {
  // After an error rows are taken and dropped: nobody waits for room that never comes.
  while (const std::optional<Row> row = rows_.Pop()) {
    if (!status().ok()) continue;
    const absl::Status written = Write(*row);
    absl::MutexLock lock(&mu_);
    status_ = written;
  }
}

absl::Status TableWriter::Write(const Row& row) {
  if (tables_.empty() || static_cast<int64_t>(tables_.back()->FileSize()) >= table_size_bytes_) {
    CVT_RETURN_IF_ERROR(NextTable());
    ends_.push_back(last_row_);
    ends_.push_back(row.index);
  }
  last_row_ = row.index;
  return TableError(tables_.back()->Put(row.key, row.value));
}

absl::Status TableWriter::NextTable() {
  if (!tables_.empty()) {
    CVT_RETURN_IF_ERROR(TableError(tables_.back()->Finish()));
  }
  Rocks& rocks = database_.rocks();
  const rocksdb::Options options = rocks.TableOptions(Family::kCheckpoints);
  rocksdb::EnvOptions files(options);
  files.use_direct_writes = options.use_direct_io_for_flush_and_compaction;
  paths_.push_back(JoinPath(database_.PathOf("staging"),
                            absl::StrCat(id_.ToString(), "-", paths_.size(), ".sst")));
  tables_.push_back(
      std::make_unique<rocksdb::SstFileWriter>(files, options, rocks.handle(Family::kCheckpoints)));
  return TableError(tables_.back()->Open(paths_.back()));
}

absl::Status TableWriter::status() const {
  absl::MutexLock lock(&mu_);
  return status_;
}

}  // namespace cvtrain::coordinator
