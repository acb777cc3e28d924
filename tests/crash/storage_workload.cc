#include "tests/crash/storage_workload.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/block_digest.h"
#include "common/crc32c.h"
#include "common/limits.h"
#include "common/random.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "coordinator/storage/catalogue/shard_store.h"
#include "coordinator/storage/checkpoints/checkpoint_store.h"
#include "coordinator/storage/journal/database_journal.h"
#include "coordinator/storage/logs/log_store.h"
#include "coordinator/storage/metrics/metric_store.h"
#include "coordinator/storage/rocks.h"
#include "tests/crash/eager_doubles.h"

namespace cvtrain::coordinator {
namespace {

const TrialName kTrial(ExperimentName(1), 1);
constexpr int kRounds = 14;
constexpr int64_t kStepsPerBatch = 150;

std::string EventBytes(int64_t revision) {
  return absl::StrCat("event ", revision, " ",
                      std::string(300, static_cast<char>('a' + revision % 26)));
}

std::string SnapshotBytes(int64_t revision) {
  return absl::StrCat("state after ", revision, std::string(2000, 's'));
}

std::string LineText(int64_t number) { return absl::StrCat("line ", number); }

Uuid CheckpointId(int round) {
  std::array<uint8_t, 16> bytes = {};
  bytes[0] = static_cast<uint8_t>(round);
  return Uuid(bytes);
}

std::string Content(int round, size_t size) {
  std::string bytes(size, static_cast<char>('A' + round));
  bytes[size / 2] = '!';
  return bytes;
}

// All stores of one process.
struct Stores {
  std::unique_ptr<Database> database;
  std::unique_ptr<Journal> journal;
  std::unique_ptr<MetricStore> metrics;
  std::unique_ptr<LogStore> logs;
  std::unique_ptr<CheckpointStore> checkpoints;
  std::unique_ptr<ShardStore> shards;
};

absl::StatusOr<Stores> OpenStores(FileSystem& files, testing::FakeClock& clock,
                                  const WorkloadOptions& workload) {
  static SeededRandom random(5);
  DatabaseOptions options;
  if (workload.eager_committer) {
    options.committer.write = WriteWithoutSync;
  }
  options.directory = "/state";
  options.cache_bytes = 1 << 20;
  options.metrics_buffer_bytes = 64 << 10;
  Stores stores;
  CVT_ASSIGN_OR_RETURN(stores.database, Database::Open(options, files, clock, random));
  CVT_ASSIGN_OR_RETURN(stores.journal,
                       DatabaseJournal::Open(*stores.database, {.tail_records = 5}));
  if (workload.eager_journal) {
    stores.journal = std::make_unique<EagerJournal>(std::move(stores.journal));
  }
  stores.metrics = std::make_unique<MetricStore>(*stores.database);
  stores.logs = std::make_unique<LogStore>(*stores.database);
  CVT_ASSIGN_OR_RETURN(stores.checkpoints, CheckpointStore::Open(*stores.database));
  CVT_ASSIGN_OR_RETURN(stores.shards, ShardStore::Open(*stores.database));
  return stores;
}

class Workload {
 public:
  Workload(Stores& stores, const WorkloadOptions& options, StorageOracle& oracle)
      : stores_(stores), options_(options), oracle_(oracle) {}

  absl::Status Run(testing::FakeClock& clock) {
    for (int round = 1; round <= kRounds; ++round) {
      clock.Advance(absl::Milliseconds(60));  // HEAD is due in every second round
      CVT_RETURN_IF_ERROR(AppendRecords(1 + round % 3));
      CVT_RETURN_IF_ERROR(CommitMetricsAndLines(round));
      if (round % 4 == 1) {
        CVT_RETURN_IF_ERROR(UploadCheckpoint(round));
      }
      if (round % 5 == 2) {
        CVT_RETURN_IF_ERROR(UploadShard(round));
      }
      if (round % 6 == 0) {
        CVT_RETURN_IF_ERROR(PutSnapshot());
      }
      if (round % 5 == 0) {
        CVT_RETURN_IF_ERROR(FlushTables());
      }
      if (round == 11) {
        CVT_RETURN_IF_ERROR(DeleteCheckpoint(CheckpointId(1)));
      }
    }
    clock.Advance(absl::Seconds(1));
    CVT_RETURN_IF_ERROR(CommitMetricsAndLines(kRounds + 1));
    options_.at_end();
    return absl::OkStatus();
  }

 private:
  absl::Status AppendRecords(int count) {
    std::vector<JournalRecord> records;
    for (int i = 0; i < count; ++i) {
      ++oracle_.revision_sent;
      records.push_back({oracle_.revision_sent, EventBytes(oracle_.revision_sent)});
    }
    CVT_RETURN_IF_ERROR(stores_.journal->Append(records));
    oracle_.revision_acknowledged = oracle_.revision_sent;
    return absl::OkStatus();
  }

  absl::Status CommitMetricsAndLines(int round) {
    MetricBatch batch{kTrial, 1, "s", round, {{"loss", {}, {}}}};
    for (int64_t i = 0; i < kStepsPerBatch; ++i) {
      batch.columns[0].steps.push_back(oracle_.steps_sent);
      batch.columns[0].values.push_back(static_cast<double>(oracle_.steps_sent) / 2);
      ++oracle_.steps_sent;
    }
    const int64_t steps = oracle_.steps_sent;
    const auto steps_done = [this, steps](const absl::Status& status) {
      oracle_.steps_acknowledged = status.ok() ? steps : oracle_.steps_acknowledged;
    };
    CVT_RETURN_IF_ERROR(stores_.metrics->Stage(batch, steps_done));
    CVT_RETURN_IF_ERROR(stores_.metrics->Stage(batch, steps_done));  // resent
    const int64_t lines = ++oracle_.lines_sent;
    const TrialLogLine line{0, absl::FromUnixSeconds(round), 2, 1, 0, LineText(lines)};
    CVT_RETURN_IF_ERROR(stores_.logs->Stage(
        {kTrial, "s", round, {line}}, [this, lines](const absl::Status& status) {
          oracle_.lines_acknowledged = status.ok() ? lines : oracle_.lines_acknowledged;
        }));
    return stores_.database->committer().Commit();
  }

  absl::Status UploadCheckpoint(int round) {
    const std::string bytes = Content(round, limits::kChunkSizeBytes / 128);
    CVT_ASSIGN_OR_RETURN(auto writer, stores_.checkpoints->Begin(
                                          CheckpointId(round), static_cast<int64_t>(bytes.size())));
    CVT_RETURN_IF_ERROR(writer->Append(bytes, Crc32c(bytes)));
    CVT_RETURN_IF_ERROR(writer->Finish(BlockDigestHex(bytes)));
    // The event, then the answer.
    CVT_RETURN_IF_ERROR(AppendRecords(1));
    oracle_.checkpoints_acknowledged[CheckpointId(round)] = BlockDigestHex(bytes);
    return absl::OkStatus();
  }

  absl::Status DeleteCheckpoint(const Uuid& id) {
    oracle_.checkpoints_deleted.insert(id);
    return stores_.checkpoints->Delete(id);
  }

  absl::Status UploadShard(int round) {
    const std::string bytes = Content(round, 3000);
    CVT_RETURN_IF_ERROR(stores_.shards->Begin(CheckpointId(round)).status());
    CVT_ASSIGN_OR_RETURN(
        auto writer,
        stores_.shards->Upload(CheckpointId(round),
                               {Sha256Hex(bytes), static_cast<int64_t>(bytes.size()), 0}));
    CVT_RETURN_IF_ERROR(writer->Append(bytes));
    CVT_RETURN_IF_ERROR(writer->Finish());
    oracle_.shards_acknowledged.insert(Sha256Hex(bytes));
    return absl::OkStatus();
  }

  absl::Status PutSnapshot() {
    const int64_t revision = oracle_.revision_acknowledged;
    CVT_RETURN_IF_ERROR(stores_.journal->PutSnapshot({revision, SnapshotBytes(revision)}));
    oracle_.snapshot_acknowledged = revision;
    return absl::OkStatus();
  }

  // What the database does by itself when its memory is full.
  absl::Status FlushTables() {
    Rocks& rocks = stores_.database->rocks();
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    for (size_t i = 0; i < kFamilyCount; ++i) {
      handles.push_back(rocks.handle(static_cast<Family>(i)));
    }
    return ToStatus(rocks.db().Flush(rocksdb::FlushOptions(), handles), "flushing");
  }

  Stores& stores_;
  const WorkloadOptions options_;
  StorageOracle& oracle_;
};

// --- Checking -----------------------------------------------------------------

class Checker {
 public:
  Checker(Stores& stores, const StorageOracle& oracle) : stores_(stores), oracle_(oracle) {}

  std::vector<std::string> Run() {
    Refused("journal", CheckJournal());
    Refused("metrics", CheckMetrics());
    Refused("logs", CheckLines());
    for (const auto& [id, digest] : oracle_.checkpoints_acknowledged) {
      Refused("checkpoints", CheckCheckpoint(id, digest));
    }
    for (const std::string& digest : oracle_.shards_acknowledged) {
      Refused("shards", CheckShard(digest));
    }
    return std::move(violations_);
  }

 private:
  void Expect(bool good, const std::string& violation) {
    if (!good) {
      violations_.push_back(violation);
    }
  }
  void Refused(const char* store, const absl::Status& status) {
    Expect(status.ok(), absl::StrCat("refused: ", store, ": ", status.ToString()));
  }

  absl::Status CheckJournal() {
    const int64_t last = stores_.journal->last_revision();
    Expect(last >= oracle_.revision_acknowledged,
           absl::StrCat("lost: the journal ends at ", last, ", acknowledged ",
                        oracle_.revision_acknowledged));
    Expect(last <= oracle_.revision_sent,
           absl::StrCat("journal has ", last, " of ", oracle_.revision_sent, " records sent"));
    CVT_ASSIGN_OR_RETURN(const auto snapshot, stores_.journal->LoadSnapshot());
    const int64_t from = snapshot ? snapshot->revision : 0;
    Expect(from >= oracle_.snapshot_acknowledged,
           absl::StrCat("lost: the snapshot after ", oracle_.snapshot_acknowledged));
    Expect(!snapshot || snapshot->bytes == SnapshotBytes(from), "the snapshot has other bytes");
    return stores_.journal->Replay(from, [this](const JournalRecord& record) {
      Expect(record.bytes == EventBytes(record.revision),
             absl::StrCat("record ", record.revision, " has other bytes"));
      return absl::OkStatus();
    });
  }

  absl::Status CheckMetrics() {
    MetricQuery query;
    query.trial = kTrial;
    query.metric = "loss";
    query.lineage = {{1, 0}};
    CVT_ASSIGN_OR_RETURN(const MetricAnswer answer, stores_.metrics->Query(query));
    const auto count = static_cast<int64_t>(answer.points.size());
    Expect(count >= oracle_.steps_acknowledged,
           absl::StrCat("lost: metrics have ", count, " points, acknowledged ",
                        oracle_.steps_acknowledged));
    Expect(count <= oracle_.steps_sent && count % kStepsPerBatch == 0,
           absl::StrCat("metrics have ", count, " points: not whole batches that were sent"));
    for (int64_t i = 0; i < count; ++i) {
      const MetricPoint& point = answer.points[static_cast<size_t>(i)];
      Expect(point.step == i && point.value == static_cast<double>(i) / 2,
             absl::StrCat("point ", i, " is wrong"));
    }
    return absl::OkStatus();
  }

  absl::Status CheckLines() {
    LogQuery query;
    query.trial = kTrial;
    CVT_ASSIGN_OR_RETURN(const LogAnswer answer, stores_.logs->List(query));
    const auto count = static_cast<int64_t>(answer.lines.size());
    Expect(count >= oracle_.lines_acknowledged,
           absl::StrCat("lost: logs have ", count, " lines, acknowledged ",
                        oracle_.lines_acknowledged));
    Expect(count <= oracle_.lines_sent,
           absl::StrCat("logs have ", count, " lines, sent ", oracle_.lines_sent));
    for (int64_t i = 0; i < count; ++i) {
      const TrialLogLine& line = answer.lines[static_cast<size_t>(i)];
      Expect(line.sequence == i + 1 && line.text == LineText(i + 1),
             absl::StrCat("line ", i + 1, " is wrong"));
    }
    return absl::OkStatus();
  }

  absl::Status CheckCheckpoint(const Uuid& id, const std::string& digest) {
    const auto info = stores_.checkpoints->Verify(id);
    if (oracle_.checkpoints_deleted.contains(id)) {
      Expect(info.ok() || absl::IsNotFound(info.status()),
             absl::StrCat("a checkpoint is half deleted: ", info.status().ToString()));
      return absl::OkStatus();
    }
    if (absl::IsNotFound(info.status())) {
      Expect(false, absl::StrCat("lost: checkpoint ", id.ToString()));
      return absl::OkStatus();
    }
    CVT_RETURN_IF_ERROR(info.status());
    Expect(info->digest == digest, "a checkpoint has another digest");
    return absl::OkStatus();
  }

  absl::Status CheckShard(const std::string& digest) {
    const auto file = stores_.shards->OpenRead(digest);
    if (absl::IsNotFound(file.status())) {
      Expect(false, absl::StrCat("lost: shard ", digest));
      return absl::OkStatus();
    }
    CVT_RETURN_IF_ERROR(file.status());
    std::string bytes((*file)->Size().value_or(0), '\0');
    CVT_RETURN_IF_ERROR((*file)->Read(0, absl::MakeSpan(bytes)).status());
    // Who reads a shard checks its blocks; here the digest stands for that.
    return Sha256Hex(bytes) == digest ? absl::OkStatus() : absl::DataLossError("shard");
  }

  Stores& stores_;
  const StorageOracle& oracle_;
  std::vector<std::string> violations_;
};

}  // namespace

void RunStorageWorkload(FileSystem& files, testing::FakeClock& clock,
                        const WorkloadOptions& options, StorageOracle& oracle) {
  absl::StatusOr<Stores> stores = OpenStores(files, clock, options);
  if (stores.ok()) {
    Workload(*stores, options, oracle).Run(clock).IgnoreError();  // ends at the first error
  }
}

std::vector<std::string> CheckStorage(FileSystem& files, testing::FakeClock& clock,
                                      const StorageOracle& oracle) {
  absl::StatusOr<Stores> stores = OpenStores(files, clock, {});
  if (!stores.ok()) {
    return {absl::StrCat("refused: ", stores.status().ToString())};
  }
  return Checker(*stores, oracle).Run();
}

}  // namespace cvtrain::coordinator
