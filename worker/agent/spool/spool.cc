#include "worker/agent/spool/spool.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "common/errors.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "common/uuid.h"

namespace cvtrain::worker {
namespace {

constexpr uint8_t kFactRecord = 1;
constexpr int kFactsPerRequestMax = 100;

template <typename Request>
Request MakeRequest(const AttemptKey& key) {
  Request request;
  request.set_attempt(key.attempt.ToString());
  request.set_lease_generation(key.generation);
  return request;
}

// Adds points behind those of the same series, or as another series where steps go back:
// the columns of one must ascend.
void MergeSeries(const v1::MetricSeries& more, std::map<std::string, int>& by_name,
                 session::v1::ReportMetricsRequest& request) {
  const auto it = by_name.find(more.metric());
  if (it != by_name.end() && !more.steps().empty()) {
    v1::MetricSeries& series = *request.mutable_series(it->second);
    if (series.steps().empty() || series.steps(series.steps_size() - 1) < more.steps(0)) {
      series.mutable_steps()->MergeFrom(more.steps());
      series.mutable_values()->MergeFrom(more.values());
      return;
    }
  }
  by_name[more.metric()] = request.series_size();
  *request.add_series() = more;
}

}  // namespace

Spool::Attempt::Attempt(FileSystem& files, const std::string& directory, std::string stream_id,
                        const SpoolOptions& options)
    : stream(std::move(stream_id)),
      metrics(files, directory, "metrics",
              {.segment_size_bytes = options.segment_size_bytes, .sync_batches = true}),
      // A line told twice after a power cut harms nobody.
      logs(files, directory, "logs",
           {.segment_size_bytes = options.segment_size_bytes, .sync_batches = false}) {}

Spool::Spool(FileSystem& files, std::string directory, Random& random, const SpoolOptions& options,
             TelemetryRegistry& telemetry)
    : files_(files),
      directory_(std::move(directory)),
      random_(random),
      options_(options),
      bytes_gauge_(telemetry.NewGauge({.name = "cvtrain_worker_spool_size_bytes",
                                       .help = "Reports and checkpoints that wait on the disk"})),
      attempts_gauge_(telemetry.NewGauge({.name = "cvtrain_worker_spool_attempts",
                                          .help = "Attempts with something in the spool"})),
      records_(telemetry.NewCounter({.name = "cvtrain_worker_spool_records_total",
                                     .help = "Reports that went into the spool"})),
      dropped_(telemetry,
               {.name = "cvtrain_worker_spool_dropped_total",
                .help = "Reports that were given up: no room, or unreadable"},
               "kind", {"metrics", "logs"}),
      checkpoints_dropped_(
          telemetry.NewCounter({.name = "cvtrain_worker_spool_checkpoints_dropped_total",
                                .help = "Checkpoints that gave way to newer ones unsent"})),
      errors_(telemetry.NewCounter({.name = "cvtrain_worker_spool_errors_total",
                                    .help = "Failed operations on files of the spool"})) {}

Spool::Attempt& Spool::Held(const AttemptKey& key) {
  const auto it = attempts_.find(key);
  if (it != attempts_.end()) return it->second;
  return attempts_
      .try_emplace(key, files_, JoinPath(directory_, key.DirectoryName()),
                   Uuid::Random(random_).ToString(), options_)
      .first->second;
}

Spool::Attempt* Spool::Find(const AttemptKey& key) {
  const auto it = attempts_.find(key);
  return it == attempts_.end() ? nullptr : &it->second;
}

const Spool::Attempt* Spool::Find(const AttemptKey& key) const {
  const auto it = attempts_.find(key);
  return it == attempts_.end() ? nullptr : &it->second;
}

std::vector<RecoveredAttempt> Spool::Attempts() const {
  std::vector<RecoveredAttempt> attempts;
  for (const auto& [key, attempt] : attempts_) {
    attempts.push_back(
        {.key = key, .ended = !attempt.facts.empty() && attempt.facts.back().has_ended()});
  }
  return attempts;
}

void Spool::Begin(const AttemptKey& key) {
  Attempt& attempt = Held(key);
  const std::string directory = JoinPath(directory_, key.DirectoryName());
  const absl::Status begun = [&]() -> absl::Status {
    CVT_RETURN_IF_ERROR(files_.CreateDir(directory));
    CVT_ASSIGN_OR_RETURN(attempt.facts_writer,
                         files_.NewWritableFile(JoinPath(directory, "facts.log"), {}));
    return absl::OkStatus();
  }();
  if (!begun.ok()) {
    errors_.Increment();
    CVT_LOG(kError, "cannot begin an attempt in the spool").Field("status", begun);
  }
  UpdateGauges();
}

void Spool::AppendFact(const AttemptKey& key, session::v1::Fact fact) {
  Attempt& attempt = Held(key);
  if (!attempt.facts.empty() && attempt.facts.back().has_ended()) return;  // it is the last
  // The end is synced below: what it comes after must not be lost without it.
  if (fact.has_ended()) {
    if (const absl::Status synced = attempt.metrics.Sync(); !synced.ok()) {
      errors_.Increment();
      CVT_LOG(kError, "cannot sync the points of an attempt that ends")
          .Field("attempt", key)
          .Field("status", synced);
    }
  }
  fact.set_sequence(attempt.facts.empty() ? 1 : attempt.facts.back().sequence() + 1);
  attempt.facts.push_back(std::move(fact));
  records_.Increment();
  StoreFacts(key, attempt);
  UpdateGauges();
}

void Spool::StoreFacts(const AttemptKey& key, Attempt& attempt) {
  absl::Status written = WriteFacts(key, attempt);
  if (ReasonOf(written) == Reason::kDiskFull && make_room_ && make_room_() > 0) {
    written = WriteFacts(key, attempt);
  }
  const bool was_full = attempt.disk_is_full;
  attempt.disk_is_full = ReasonOf(written) == Reason::kDiskFull;
  if (written.ok()) return;
  errors_.Increment();
  if (was_full && attempt.disk_is_full) return;  // said already
  CVT_LOG(kError, attempt.disk_is_full
                      ? "the disk is full: facts are sent without being stored, free some space"
                      : "cannot write facts to the spool: they wait in memory")
      .Field("attempt", key)
      .Field("status", written);
}

// Appends what the file does not have yet and syncs it. After an error all of them are
// written anew with the next fact: what the file holds is unknown.
absl::Status Spool::WriteFacts(const AttemptKey& key, Attempt& attempt) {
  const std::string directory = JoinPath(directory_, key.DirectoryName());
  const std::string path = JoinPath(directory, "facts.log");
  if (!attempt.facts_writer) {
    CVT_RETURN_IF_ERROR(files_.CreateDir(directory));
    std::string all;
    for (const session::v1::Fact& fact : attempt.facts) {
      all += EncodeRecord(kFactRecord, fact.SerializeAsString());
    }
    CVT_RETURN_IF_ERROR(WriteFileAtomic(files_, path, all));
    CVT_RETURN_IF_ERROR(files_.SyncDir(directory_));
    CVT_ASSIGN_OR_RETURN(
        attempt.facts_writer,
        files_.NewWritableFile(path, {.mode = WritableFileOptions::Mode::kAppend}));
    attempt.facts_written = attempt.facts.size();
    return absl::OkStatus();
  }
  std::string more;
  for (size_t i = attempt.facts_written; i < attempt.facts.size(); ++i) {
    more += EncodeRecord(kFactRecord, attempt.facts[i].SerializeAsString());
  }
  absl::Status written = attempt.facts_writer->Append(more);
  if (written.ok()) written = attempt.facts_writer->Sync();
  if (!written.ok()) {
    attempt.facts_writer.reset();
    return written;
  }
  if (attempt.facts_written == 0) {
    CVT_RETURN_IF_ERROR(files_.SyncDir(directory));
    CVT_RETURN_IF_ERROR(files_.SyncDir(directory_));
  }
  attempt.facts_written = attempt.facts.size();
  return absl::OkStatus();
}

void Spool::AppendSeries(const AttemptKey& key, const std::vector<v1::MetricSeries>& series) {
  session::v1::ReportMetricsRequest record;
  for (const v1::MetricSeries& one : series) *record.add_series() = one;
  AppendTo(Held(key).metrics, Kind::kMetrics, record.SerializeAsString());
}

void Spool::AppendLines(const AttemptKey& key, const std::vector<v1::LogLine>& lines) {
  session::v1::ReportLogsRequest record;
  for (const v1::LogLine& line : lines) *record.add_lines() = line;
  AppendTo(Held(key).logs, Kind::kLogs, record.SerializeAsString());
}

void Spool::AppendTo(RecordQueue& queue, Kind kind, const std::string& payload) {
  records_.Increment();
  if (!MakeRoom(payload.size())) {
    CountDropped(kind, {.records = 1, .size_bytes = payload.size()});
    return;
  }
  if (const absl::Status written = queue.Append(payload); !written.ok()) {
    errors_.Increment();
    CountDropped(kind, {.records = 1, .size_bytes = payload.size()});
  }
  UpdateGauges();
}

bool Spool::MakeRoom(uint64_t bytes) {
  while (queue_bytes() + bytes > options_.size_bytes_max) {
    RecordQueue::Dropped dropped;
    Kind kind = Kind::kLogs;
    if (RecordQueue* queue = Largest(Kind::kLogs)) dropped = queue->DropOldest();
    if (dropped.size_bytes == 0) {
      kind = Kind::kMetrics;
      for (auto& [key, attempt] : attempts_) {
        if (dropped.size_bytes == 0) dropped = attempt.metrics.Thin();
      }
    }
    if (dropped.size_bytes == 0) {
      if (RecordQueue* queue = Largest(Kind::kMetrics)) dropped = queue->DropOldest();
    }
    if (dropped.size_bytes == 0) return false;
    CountDropped(kind, dropped);
  }
  return true;
}

// The queue of this kind that holds most, so that one loud attempt gives way first.
RecordQueue* Spool::Largest(Kind kind) {
  RecordQueue* largest = nullptr;
  for (auto& [key, attempt] : attempts_) {
    RecordQueue& queue = kind == Kind::kLogs ? attempt.logs : attempt.metrics;
    if (largest == nullptr || queue.size_bytes() > largest->size_bytes()) largest = &queue;
  }
  return largest;
}

void Spool::CountDropped(Kind kind, const RecordQueue::Dropped& dropped) {
  dropped_.For(kind == Kind::kLogs ? "logs" : "metrics")
      .Increment(static_cast<double>(dropped.records));
}

absl::StatusOr<std::optional<RecordQueue::Batch>> Spool::NextBatch(Attempt& attempt,
                                                                   RecordQueue& queue) {
  auto batch = queue.Next(attempt.stream, options_.batch_size_bytes_max);
  if (ReasonOf(batch.status()) != Reason::kDiskFull) return batch;
  if (make_room_) make_room_();
  // RanksEnded waits for what is in the queue.
  return queue.Next(attempt.stream, options_.batch_size_bytes_max, /*unstored=*/true);
}

std::optional<session::v1::ReportMetricsRequest> Spool::NextMetrics(const AttemptKey& key) {
  Attempt* attempt = Find(key);
  if (attempt == nullptr) return std::nullopt;
  auto batch = NextBatch(*attempt, attempt->metrics);
  if (!batch.ok()) {
    errors_.Increment();
    return std::nullopt;
  }
  if (!*batch) return std::nullopt;
  auto request = MakeRequest<session::v1::ReportMetricsRequest>(key);
  request.set_stream((*batch)->stream);
  request.set_sequence((*batch)->sequence);
  std::map<std::string, int> by_name;
  for (const std::string& payload : (*batch)->payloads) {
    session::v1::ReportMetricsRequest record;
    if (!record.ParseFromString(payload)) continue;  // its CRC agreed: of another version
    for (const v1::MetricSeries& series : record.series()) MergeSeries(series, by_name, request);
  }
  return request;
}

std::optional<session::v1::ReportLogsRequest> Spool::NextLogs(const AttemptKey& key) {
  Attempt* attempt = Find(key);
  if (attempt == nullptr) return std::nullopt;
  auto batch = NextBatch(*attempt, attempt->logs);
  if (!batch.ok()) {
    errors_.Increment();
    return std::nullopt;
  }
  if (!*batch) return std::nullopt;
  auto request = MakeRequest<session::v1::ReportLogsRequest>(key);
  request.set_stream((*batch)->stream);
  request.set_sequence((*batch)->sequence);
  for (const std::string& payload : (*batch)->payloads) {
    session::v1::ReportLogsRequest record;
    if (record.ParseFromString(payload)) request.MergeFrom(record);
  }
  return request;
}

std::optional<session::v1::ReportFactsRequest> Spool::NextFacts(const AttemptKey& key,
                                                                bool with_end) {
  Attempt* attempt = Find(key);
  if (attempt == nullptr) return std::nullopt;
  if (attempt->facts_written < attempt->facts.size()) StoreFacts(key, *attempt);
  auto request = MakeRequest<session::v1::ReportFactsRequest>(key);
  // Not what a power cut could take: its number would be given to another fact.
  const size_t end = attempt->disk_is_full ? attempt->facts.size() : attempt->facts_written;
  size_t bytes = 0;
  for (size_t i = attempt->facts_acked; i < end && request.facts_size() < kFactsPerRequestMax;
       ++i) {
    if (attempt->facts[i].has_ended() && !with_end) break;
    // They become one event; a single fact fits always.
    bytes += attempt->facts[i].ByteSizeLong();
    if (bytes > limits::kEventSizeBytesMax / 2 && !request.facts().empty()) break;
    *request.add_facts() = attempt->facts[i];
  }
  if (request.facts().empty()) return std::nullopt;
  return request;
}

void Spool::AckMetrics(const AttemptKey& key) {
  if (Attempt* attempt = Find(key)) attempt->metrics.Ack();
  UpdateGauges();
}

void Spool::AckLogs(const AttemptKey& key) {
  if (Attempt* attempt = Find(key)) attempt->logs.Ack();
  UpdateGauges();
}

void Spool::AckFacts(const AttemptKey& key, int64_t sequence) {
  Attempt* attempt = Find(key);
  if (attempt == nullptr) return;
  const std::vector<session::v1::Fact>& facts = attempt->facts;
  while (attempt->facts_acked < facts.size() &&
         facts[attempt->facts_acked].sequence() <= sequence) {
    ++attempt->facts_acked;
  }
}

ReportMark Spool::MarkOf(const AttemptKey& key) const {
  const Attempt* attempt = Find(key);
  if (attempt == nullptr) return {};
  return {.facts = attempt->facts.size() - (IsEnding(key) ? 1 : 0),
          .metrics = attempt->metrics.next_number()};
}

bool Spool::HasArrived(const AttemptKey& key, const ReportMark& mark) const {
  const Attempt* attempt = Find(key);
  return attempt == nullptr ||
         (attempt->facts_acked >= mark.facts && attempt->metrics.first_pending() >= mark.metrics);
}

void Spool::FailEnd(const AttemptKey& key, const std::string& why) {
  Attempt* attempt = Find(key);
  if (attempt == nullptr || !IsEnding(key)) return;
  session::v1::RanksEnded& ended = *attempt->facts.back().mutable_ended();
  if (ended.cause() != v1::CAUSE_FINISHED) return;
  ended.set_cause(v1::CAUSE_INTERNAL);
  ended.set_message(why);
  // The file is written anew with the next request.
  attempt->facts_writer.reset();
  attempt->facts_written = std::min(attempt->facts_written, attempt->facts.size() - 1);
}

bool Spool::IsEnding(const AttemptKey& key) const {
  const Attempt* attempt = Find(key);
  return attempt != nullptr && !attempt->facts.empty() && attempt->facts.back().has_ended();
}

bool Spool::OnlyEndWaits(const AttemptKey& key) const {
  const Attempt* attempt = Find(key);
  if (attempt == nullptr || !IsEnding(key)) return false;
  return attempt->facts_acked + 1 == attempt->facts.size() && attempt->metrics.empty() &&
         attempt->logs.empty() && attempt->checkpoints.empty();
}

bool Spool::IsSettled(const AttemptKey& key) const {
  const Attempt* attempt = Find(key);
  return attempt != nullptr && !attempt->facts.empty() && attempt->facts.back().has_ended() &&
         attempt->facts_acked == attempt->facts.size();
}

void Spool::Remove(const AttemptKey& key) {
  attempts_.erase(key);
  const std::string path = JoinPath(directory_, key.DirectoryName());
  if (const absl::Status removed = files_.RemoveAll(path); !removed.ok()) {
    errors_.Increment();
    CVT_LOG(kWarning, "cannot remove an attempt from the spool").Field("status", removed);
  }
  UpdateGauges();
}

uint64_t Spool::queue_bytes() const {
  uint64_t bytes = 0;
  for (const auto& [key, attempt] : attempts_) {
    bytes += attempt.metrics.size_bytes() + attempt.logs.size_bytes();
  }
  return bytes;
}

uint64_t Spool::checkpoint_bytes() const {
  uint64_t bytes = 0;
  for (const auto& [key, attempt] : attempts_) {
    for (const SpooledCheckpoint& checkpoint : attempt.checkpoints) {
      bytes += static_cast<uint64_t>(checkpoint.header.size_bytes());
    }
  }
  return bytes;
}

uint64_t Spool::size_bytes() const { return queue_bytes() + checkpoint_bytes(); }

void Spool::UpdateGauges() {
  bytes_gauge_.Set(static_cast<double>(size_bytes()));
  attempts_gauge_.Set(static_cast<double>(attempts_.size()));
}

}  // namespace cvtrain::worker
