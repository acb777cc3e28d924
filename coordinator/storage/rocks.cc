#include "coordinator/storage/rocks.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/errors.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "coordinator/storage/coding.h"
#include "coordinator/storage/log_damage.h"
#include "coordinator/storage/rocks_file_system.h"
#include "rocksdb/cache.h"
#include "rocksdb/file_system.h"
#include "rocksdb/filter_policy.h"
#include "rocksdb/listener.h"
#include "rocksdb/table.h"

namespace cvtrain::coordinator {
namespace {

constexpr std::array<const char*, kFamilyCount> kFamilyNames = {
    "default", "journal", "metrics", "checkpoints", "catalogue", "logs"};

// Whether tables in `directory` can be written past the page cache.
bool SupportsDirectIo(rocksdb::Env& env, const std::string& directory) {
  const std::string path = directory + "/direct-io-probe";
  rocksdb::EnvOptions options;
  options.use_direct_writes = true;
  std::unique_ptr<rocksdb::WritableFile> file;
  const bool supported = env.NewWritableFile(path, &file, options).ok();
  file.reset();
  env.DeleteFile(path).PermitUncheckedError();  // left-overs of this name are overwritten
  return supported;
}

rocksdb::DBOptions MakeDbOptions(bool create) {
  rocksdb::DBOptions options;
  options.create_if_missing = create;
  options.create_missing_column_families = create;
  // What the promises need; CheckLiveOptions() repeats them.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  options.paranoid_checks = true;
  options.recycle_log_file_num = 0;
  options.track_and_verify_wals_in_manifest = true;
  // After a failure of the disk nothing is tried again: the process ends.
  options.max_bgerror_resume_count = 0;
  // Costs and bounds.
  options.bytes_per_sync = 1 << 20;
  options.wal_bytes_per_sync = 1 << 20;
  options.max_total_wal_size = uint64_t{256} << 20;
  options.max_background_jobs = 2;
  // There are hundreds of tables, not hundreds of thousands: starting 16 threads takes longer.
  options.max_file_opening_threads = 1;
  options.avoid_flush_during_shutdown = false;
  options.keep_log_file_num = 4;
  options.max_log_file_size = 4 << 20;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  return options;
}

rocksdb::ColumnFamilyOptions MakeFamilyOptions(Family family, const DatabaseOptions& options,
                                               const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  rocksdb::ColumnFamilyOptions result;
  result.compression = rocksdb::kNoCompression;
  result.write_buffer_size = 8 << 20;
  switch (family) {
    case Family::kMeta:
    case Family::kCatalogue:
      table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
      result.write_buffer_size = 4 << 20;
      break;
    case Family::kJournal:
      break;
    case Family::kMetrics:
      // Values are packed already; rows of a chunk are rewritten once, so merging late is cheap.
      result.compaction_style = rocksdb::kCompactionStyleUniversal;
      result.write_buffer_size = static_cast<size_t>(options.metrics_buffer_bytes);
      result.max_write_buffer_number = 3;
      break;
    case Family::kCheckpoints:
      // Tables come in whole and leave in whole: their bytes are never rewritten.
      result.disable_auto_compactions = true;
      table.block_size = 64 << 10;
      break;
    case Family::kLogs:
      result.compression = rocksdb::kLZ4Compression;
      table.block_size = 16 << 10;
      break;
  }
  result.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return result;
}

}  // namespace

absl::Status ToStatus(const rocksdb::Status& status, absl::string_view doing) {
  if (status.ok()) {
    return absl::OkStatus();
  }
  const std::string message = absl::StrCat(doing, ": ", status.ToString());
  if (status.IsNoSpace() || status.subcode() == rocksdb::Status::SubCode::kNoSpace) {
    return ResourceExhausted(Reason::kDiskFull, message);
  }
  if (status.IsCorruption()) {
    return DataLoss(Reason::kJournalDamaged, message);
  }
  // What RocksDB says, in words only, when a lock is held or a file may not be opened.
  if (absl::StrContains(status.ToString(), "Permission denied")) {
    return PermissionDenied(Reason::kFileForbidden, message);
  }
  if (status.IsInvalidArgument() || status.IsNotSupported()) {
    return Internal(Reason::kInternal, message);
  }
  return Unavailable(Reason::kStorageFailed, message);
}

absl::Status CheckLiveOptions(const rocksdb::DBOptions& options) {
  const char* wrong = nullptr;
  if (options.wal_recovery_mode != rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords) {
    wrong = "wal_recovery_mode must be kTolerateCorruptedTailRecords";
  } else if (!options.paranoid_checks) {
    wrong = "paranoid_checks must be on";
  } else if (options.recycle_log_file_num != 0) {
    wrong = "recycle_log_file_num must be 0";
  } else if (options.allow_2pc || options.unordered_write || options.two_write_queues ||
             options.enable_pipelined_write || options.manual_wal_flush) {
    wrong = "a write must be in the log, in order, before it is visible";
  }
  return wrong == nullptr ? absl::OkStatus()
                          : Internal(Reason::kInternal, absl::StrCat("RocksDB: ", wrong));
}

// A failed flush or compaction does not fail a write at once: RocksDB says so here.
class Rocks::Listener : public rocksdb::EventListener {
 public:
  explicit Listener(Rocks& rocks) : rocks_(rocks) {}
  void OnBackgroundError(rocksdb::BackgroundErrorReason, rocksdb::Status* status) override {
    rocks_.Fail(ToStatus(*status, "writing the database"));
  }

 private:
  Rocks& rocks_;
};

// Keeps all files once a write has failed. RocksDB deletes a table whose entry in the manifest it
// could not sync; but the entry may be on disk, and a manifest that names a missing table does not
// open. What is left over is removed at the next start.
class Rocks::KeepingFileSystem : public rocksdb::FileSystemWrapper {
 public:
  KeepingFileSystem(const std::shared_ptr<rocksdb::FileSystem>& base, const Rocks& rocks)
      : FileSystemWrapper(base), rocks_(rocks) {}
  const char* Name() const override { return "cvtrain.keeping"; }
  rocksdb::IOStatus DeleteFile(const std::string& path, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override {
    return rocks_.health().ok() ? FileSystemWrapper::DeleteFile(path, options, debug)
                                : rocksdb::IOStatus::IOError("kept after a failed write", path);
  }

 private:
  const Rocks& rocks_;
};

absl::StatusOr<std::unique_ptr<Rocks>> Rocks::Open(const DatabaseOptions& options,
                                                   FileSystem& files, const std::string& path,
                                                   bool create, const Clock& clock,
                                                   TelemetryRegistry& telemetry) {
  std::unique_ptr<Rocks> rocks(new Rocks);
  rocks->clock_ = &clock;
  rocks->write_seconds_ = &telemetry.NewHistogram(
      {"cvtrain_storage_write_seconds", "Time of a synced write to the database."},
      LatencyBuckets());
  rocks->db_options_ = MakeDbOptions(create);
  rocksdb::DBOptions& db_options = rocks->db_options_;
  const bool own_files = &files == &PosixFileSystem();
  const auto kept = std::make_shared<KeepingFileSystem>(
      own_files ? rocksdb::FileSystem::Default() : NewRocksFileSystem(files), *rocks);
  rocks->env_ = own_files ? rocksdb::NewCompositeEnv(kept) : NewRocksTestEnv(kept);
  db_options.env = rocks->env_.get();
  db_options.use_direct_io_for_flush_and_compaction =
      own_files && SupportsDirectIo(*db_options.env, options.directory);
  rocks->listener_ = std::make_shared<Listener>(*rocks);
  db_options.listeners.push_back(rocks->listener_);

  const std::shared_ptr<rocksdb::Cache> cache =
      rocksdb::NewLRUCache(static_cast<size_t>(options.cache_bytes));
  for (size_t i = 0; i < kFamilyCount; ++i) {
    rocks->families_.emplace_back(kFamilyNames[i],
                                  MakeFamilyOptions(static_cast<Family>(i), options, cache));
  }
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status =
      rocksdb::DB::Open(db_options, path, rocks->families_, &rocks->handles_, &db);
  rocks->db_.reset(db);
  if (!status.ok()) {
    const absl::Status error = ToStatus(status, absl::StrCat("opening the database ", path));
    const std::string place = absl::IsDataLoss(error) ? DescribeLogDamage(files, path) : "";
    return place.empty() ? error : Annotate(error, place);
  }
  CVT_RETURN_IF_ERROR(CheckLiveOptions(rocks->db_->GetDBOptions()));
  rocks->sequence_ = static_cast<int64_t>(rocks->db_->GetLatestSequenceNumber());
  return rocks;
}

Rocks::~Rocks() {
  if (db_ == nullptr) {
    return;
  }
  for (rocksdb::ColumnFamilyHandle* handle : handles_) {
    const rocksdb::Status status = db_->DestroyColumnFamilyHandle(handle);
    CVT_CHECK(status.ok()) << status.ToString();
  }
  // Rows that could not be flushed are in the log, which the next Open() reads.
  db_->Close().PermitUncheckedError();
}

absl::Status Rocks::Write(rocksdb::WriteBatch& batch) {
  CVT_RETURN_IF_ERROR(health());
  const absl::Duration start = clock_->SteadyNow();
  rocksdb::WriteOptions options;
  options.sync = true;
  const absl::Status status = ToStatus(db_->Write(options, &batch), "writing to the log");
  write_seconds_->Observe(absl::ToDoubleSeconds(clock_->SteadyNow() - start));
  if (!status.ok()) {
    Fail(status);
  }
  return status;
}

absl::Status Rocks::Ingest(Family family, const std::vector<std::string>& paths) {
  CVT_RETURN_IF_ERROR(health());
  rocksdb::IngestExternalFileOptions options;
  options.move_files = true;
  options.snapshot_consistency = false;
  options.allow_blocking_flush = false;
  ingesting_.fetch_add(1);
  const absl::Status status =
      ToStatus(db_->IngestExternalFile(handle(family), paths, options), "ingesting tables");
  ingestions_.fetch_add(1);
  ingesting_.fetch_sub(1);
  return status;
}

absl::StatusOr<std::optional<std::string>> Rocks::Get(Family family, absl::string_view key) {
  std::string value;
  const rocksdb::Status status =
      db_->Get(rocksdb::ReadOptions(), handle(family), ToSlice(key), &value);
  if (status.IsNotFound()) {
    return std::nullopt;
  }
  CVT_RETURN_IF_ERROR(ToStatus(status, "reading the database"));
  return value;
}

rocksdb::Options Rocks::TableOptions(Family family) const {
  rocksdb::Options options(db_options_, families_[static_cast<size_t>(family)].options);
  options.writable_file_max_buffer_size = 8 << 20;
  return options;
}

absl::Status Rocks::health() const {
  absl::MutexLock lock(&mu_);
  return health_;
}

void Rocks::Fail(const absl::Status& status) {
  {
    absl::MutexLock lock(&mu_);
    if (status.ok() || !health_.ok()) {
      return;
    }
    health_ = status;
  }
  CVT_LOG(kError, "storage failed, nothing more is acknowledged").Field("error", status);
}

int64_t Rocks::DurableSequence() {
  const int64_t ingestions = ingestions_.load();
  if (ingesting_.load() == 0) {
    const auto sequence = static_cast<int64_t>(db_->GetLatestSequenceNumber());
    if (ingesting_.load() == 0 && ingestions_.load() == ingestions) {
      sequence_.store(sequence);
    }
  }
  return sequence_.load();
}

RowCursor::RowCursor(Rocks& rocks, Family family, std::string prefix, Options options)
    : prefix_(std::move(prefix)),
      end_(PrefixEnd(prefix_)),
      options_(options),
      end_slice_(ToSlice(end_)) {
  rocksdb::ReadOptions read;
  read.fill_cache = options_.fill_cache;
  if (!end_.empty()) {
    read.iterate_upper_bound = &end_slice_;
  }
  iterator_.reset(rocks.db().NewIterator(read, rocks.handle(family)));
  if (options_.backwards) {
    iterator_->SeekToLast();
  } else {
    iterator_->Seek(ToSlice(prefix_));
  }
}

void RowCursor::Seek(absl::string_view key) {
  if (options_.backwards) {
    iterator_->SeekForPrev(ToSlice(key));
  } else {
    iterator_->Seek(ToSlice(std::max(key, absl::string_view(prefix_))));
  }
}

bool RowCursor::Valid() const { return iterator_->Valid() && absl::StartsWith(key(), prefix_); }

void RowCursor::Next() {
  if (options_.backwards) {
    iterator_->Prev();
  } else {
    iterator_->Next();
  }
}

absl::Status RowCursor::status() const {
  return ToStatus(iterator_->status(), "reading the database");
}

namespace {

// A batch in memory takes any row.
void MustAdd(const rocksdb::Status& status) { CVT_CHECK(status.ok()) << status.ToString(); }

}  // namespace

void CommitBatch::Put(Family family, absl::string_view key, absl::string_view value) {
  MustAdd(rows_.Put(rocks_.handle(family), ToSlice(key), ToSlice(value)));
}

void CommitBatch::Delete(Family family, absl::string_view key) {
  MustAdd(rows_.Delete(rocks_.handle(family), ToSlice(key)));
}

void CommitBatch::DeletePrefix(Family family, absl::string_view prefix) {
  DeleteRange(family, prefix, PrefixEnd(prefix));
}

void CommitBatch::DeleteRange(Family family, absl::string_view begin, absl::string_view end) {
  MustAdd(rows_.DeleteRange(rocks_.handle(family), ToSlice(begin), ToSlice(end)));
}

}  // namespace cvtrain::coordinator
