#ifndef CVTRAIN_WORKER_AGENT_SPOOL_SPOOL_H_
#define CVTRAIN_WORKER_AGENT_SPOOL_SPOOL_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/file_system.h"
#include "common/limits.h"
#include "common/random.h"
#include "common/telemetry.h"
#include "cvtrain/session/v1/session.pb.h"
#include "worker/agent/session/attempt_key.h"
#include "worker/agent/session/session.h"
#include "worker/agent/spool/record_queue.h"

// Reports that the coordinator has not acknowledged, on the worker's disk:
//
//   {dir}/e12-t3-a2-g4/                  one directory for each held attempt
//     facts.log                          every fact of the attempt; its presence says that we hold
//     it metrics-{number}.log, logs-{number}.log   queues; see record_queue.h ckpt-{step}-{uuid}
//     one record, the UploadCheckpointHeader; then the bytes
//
// Everything is written when it is reported and before it is sent, so that kill -9 of the
// agent loses nothing that a trainer handed over. Facts and batches of metrics are also
// synced before they are sent: after a power cut their numbers still agree with what the
// coordinator has. Points are synced before RanksEnded: an attempt that has ended has all of them.
// A directory is removed when RanksEnded is acknowledged, or when the attempt is lost to others.
namespace cvtrain::worker {

struct SpoolOptions {
  // Bound on the metrics and logs that wait, which make room in this order: the oldest segments
  // of logs go; then segments of metrics lose every second record, up to five times; then
  // they go; then new ones are refused. Facts are few and never give way. Checkpoints come
  // on top: the newest of each trial, whatever its size, and the second newest as long as all
  // that waits is within the bound.
  uint64_t size_bytes_max = limits::kSpoolSizeBytesMax;
  // Unit of giving way.
  uint64_t segment_size_bytes = uint64_t{1} << 20;
  // What one request carries, about.
  size_t batch_size_bytes_max = limits::kMetricsBatchSizeBytesMax / 2;
};

// What had been reported of an attempt at some moment: facts, without RanksEnded, and points.
struct ReportMark {
  size_t facts = 0;
  uint64_t metrics = 0;  // number of the next record
};

// A checkpoint file of the spool.
struct SpooledCheckpoint {
  session::v1::UploadCheckpointHeader header = {};
  std::string path = {};
  uint64_t data_offset = 0;
  // Reports that must arrive before it.
  ReportMark after = {};
};

// Holds reports until they are acknowledged. It sends nothing, and does not know whether
// it may be sent. Requests come complete but for `worker`.
//
// A file that cannot be written never stops an attempt: facts stay in memory and are not sent
// until they are on the disk; metrics and logs are dropped and counted. A disk that stays full
// would hold the attempt, and its slots, for ever: then what is in memory is sent as it is, and a
// crash of the agent before the disk has room again may lose the attempt. Thread-compatible.
class Spool {
 public:
  // `random` gives each attempt a stream of its own in this process. `files`, `random` and
  // `telemetry` must outlive it.
  // Errors of FileSystem for `directory`. Damaged metrics and logs are kept as far as they can
  // be read. An attempt whose facts are damaged is removed, because the number of its next fact
  // is unknown: the coordinator then learns from our Hello that we lost it.
  static absl::StatusOr<std::unique_ptr<Spool>> Open(FileSystem& files, std::string directory,
                                                     Random& random, const SpoolOptions& options,
                                                     TelemetryRegistry& telemetry);

  // Frees some of the disk that others use, and returns how many bytes; called when it is full.
  void SetMakeRoom(std::function<uint64_t()> make_room) { make_room_ = std::move(make_room); }

  // What an earlier process left.
  std::vector<RecoveredAttempt> Attempts() const;

  // The attempt begins to be held: a restart finds it, even if nothing was reported.
  void Begin(const AttemptKey& key);
  void AppendFact(const AttemptKey& key, session::v1::Fact fact);
  void AppendSeries(const AttemptKey& key, const std::vector<v1::MetricSeries>& series);
  void AppendLines(const AttemptKey& key, const std::vector<v1::LogLine>& lines);

  // What to send next, the same until it is acknowledged; nothing if nothing waits or it
  // cannot be read or numbered now.
  std::optional<session::v1::ReportMetricsRequest> NextMetrics(const AttemptKey& key);
  std::optional<session::v1::ReportLogsRequest> NextLogs(const AttemptKey& key);
  // Without RanksEnded, unless `with_end`.
  std::optional<session::v1::ReportFactsRequest> NextFacts(const AttemptKey& key, bool with_end);

  void AckMetrics(const AttemptKey& key);
  void AckLogs(const AttemptKey& key);
  // Facts up to this one have arrived.
  void AckFacts(const AttemptKey& key, int64_t sequence);

  // All that has been reported so far, and whether all that is before a mark has arrived or
  // was given up.
  ReportMark MarkOf(const AttemptKey& key) const;
  bool HasArrived(const AttemptKey& key, const ReportMark& mark) const;

  // RanksEnded, which has not been sent, says INTERNAL and why instead of FINISHED. Nothing
  // happens if it says something else.
  void FailEnd(const AttemptKey& key, const std::string& why);

  // RanksEnded is among the facts: nothing more will come.
  bool IsEnding(const AttemptKey& key) const;
  // Nothing but RanksEnded waits.
  bool OnlyEndWaits(const AttemptKey& key) const;
  // RanksEnded has arrived.
  bool IsSettled(const AttemptKey& key) const;

  // Writes a checkpoint file, synced, without registering it: the slow part, which any
  // thread may do. A crash in between leaves a `.tmp` that Open() removes.
  // Errors of FileSystem; nothing is left then.
  static absl::StatusOr<SpooledCheckpoint> WriteCheckpoint(
      FileSystem& files, const std::string& directory, const AttemptKey& key,
      const session::v1::UploadCheckpointHeader& header, absl::Span<const char> bytes);
  // Registers it; older ones of its trial give way, but not `in_use` ones.
  void AddCheckpoint(const AttemptKey& key, SpooledCheckpoint checkpoint,
                     const std::vector<std::string>& in_use);
  // By step.
  std::vector<SpooledCheckpoint> Checkpoints(const AttemptKey& key) const;
  void RemoveCheckpoint(const AttemptKey& key, const std::string& checkpoint);

  // Forgets an attempt and removes its files.
  void Remove(const AttemptKey& key);

  const std::string& directory() const { return directory_; }
  uint64_t size_bytes() const;

 private:
  struct Attempt {
    Attempt(FileSystem& files, const std::string& directory, std::string stream,
            const SpoolOptions& options);
    const std::string stream;              // of batches that are numbered in this process
    std::vector<session::v1::Fact> facts;  // by sequence, from 1
    size_t facts_acked = 0;
    size_t facts_written = 0;                    // to the file, synced
    std::unique_ptr<WritableFile> facts_writer;  // null before the first and after an error
    bool disk_is_full = false;                   // facts are sent without having been written
    RecordQueue metrics;
    RecordQueue logs;
    std::vector<SpooledCheckpoint> checkpoints;  // by step
  };
  enum class Kind { kMetrics, kLogs };

  Spool(FileSystem& files, std::string directory, Random& random, const SpoolOptions& options,
        TelemetryRegistry& telemetry);

  absl::Status Recover();
  absl::Status RecoverAttempt(const AttemptKey& key, const std::string& path);
  absl::Status RecoverFacts(Attempt& attempt, const std::string& path);
  void RecoverCheckpoint(Attempt& attempt, const std::string& path);

  Attempt& Held(const AttemptKey& key);
  Attempt* Find(const AttemptKey& key);
  const Attempt* Find(const AttemptKey& key) const;
  absl::Status WriteFacts(const AttemptKey& key, Attempt& attempt);
  // Writes what can be written, and knows after that whether the disk is full.
  void StoreFacts(const AttemptKey& key, Attempt& attempt);
  absl::StatusOr<std::optional<RecordQueue::Batch>> NextBatch(Attempt& attempt, RecordQueue& queue);
  void AppendTo(RecordQueue& queue, Kind kind, const std::string& payload);
  bool MakeRoom(uint64_t bytes);
  RecordQueue* Largest(Kind kind);
  void CountDropped(Kind kind, const RecordQueue::Dropped& dropped);
  void RemoveFile(const SpooledCheckpoint& checkpoint);
  uint64_t queue_bytes() const;
  uint64_t checkpoint_bytes() const;
  void UpdateGauges();

  FileSystem& files_;
  const std::string directory_;
  Random& random_;
  const SpoolOptions options_;
  Gauge& bytes_gauge_;
  Gauge& attempts_gauge_;
  Counter& records_;
  CounterSet dropped_;
  Counter& checkpoints_dropped_;
  Counter& errors_;

  std::function<uint64_t()> make_room_;
  std::map<AttemptKey, Attempt> attempts_;
};

}  // namespace cvtrain::worker

#endif  // CVTRAIN_WORKER_AGENT_SPOOL_SPOOL_H_
