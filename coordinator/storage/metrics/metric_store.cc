#include "coordinator/storage/metrics/metric_store.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/status_macros.h"
#include "coordinator/storage/coding.h"
#include "coordinator/storage/metrics/series_rows.h"
#include "coordinator/storage/rocks.h"

namespace cvtrain::coordinator {
namespace {

// Points that the cache may hold between commits: 64 MiB.
constexpr size_t kCachedPointsMax = (size_t{64} << 20) / sizeof(MetricPoint);

size_t SizeOf(const MetricBatch& batch) {
  size_t size = batch.stream.size();
  for (const MetricColumn& column : batch.columns) {
    size += column.metric.size() + column.steps.size() * sizeof(MetricPoint);
  }
  return size;
}

absl::Status Invalid(absl::string_view what) {
  return InvalidArgument(Reason::kFieldInvalid, absl::StrCat("metrics: ", what));
}

absl::Status ValidateColumn(const MetricColumn& column) {
  if (column.metric.empty() || column.metric.size() > limits::kMetricNameSizeBytesMax ||
      std::any_of(column.metric.begin(), column.metric.end(),
                  [](char c) { return absl::ascii_iscntrl(static_cast<unsigned char>(c)); })) {
    return Invalid(absl::StrCat("the name of a metric must have 1 to ",
                                limits::kMetricNameSizeBytesMax,
                                " bytes, none of them a control character"));
  }
  if (column.steps.size() != column.values.size()) {
    return Invalid(absl::StrCat(column.metric, ": must have as many values as steps, got ",
                                column.values.size(), " and ", column.steps.size()));
  }
  for (int64_t step : column.steps) {
    if (step < 0) {
      return Invalid(absl::StrCat(column.metric, ": steps must not be negative, got ", step));
    }
  }
  return absl::OkStatus();
}

absl::Status Validate(const MetricBatch& batch, size_t size) {
  if (batch.stream.empty() || batch.stream.size() > MetricStore::kStreamSizeBytesMax) {
    return Invalid(absl::StrCat("a batch must have a stream of 1 to ",
                                MetricStore::kStreamSizeBytesMax, " bytes"));
  }
  if (batch.sequence < 1 || batch.attempt < 1) {
    return Invalid("sequence and attempt of a batch count from 1");
  }
  if (size > limits::kMetricsBatchSizeBytesMax) {
    return LimitExceeded("metrics_batch_size_bytes_max",
                         absl::StrCat("metrics: a batch takes at most ",
                                      limits::kMetricsBatchSizeBytesMax, " bytes, got ", size));
  }
  for (const MetricColumn& column : batch.columns) {
    CVT_RETURN_IF_ERROR(ValidateColumn(column));
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> ReadSequence(Rocks& rocks, const std::string& key) {
  CVT_ASSIGN_OR_RETURN(const std::optional<std::string> row, rocks.Get(Family::kMetrics, key));
  if (!row) {
    return 0;
  }
  ByteReader reader(*row);
  uint64_t sequence = 0;
  if (!reader.ReadVarint(&sequence) || !reader.at_end()) {
    return DataLoss(Reason::kJournalDamaged, "metrics: the sequence of a stream cannot be read");
  }
  return static_cast<int64_t>(sequence);
}

}  // namespace

class MetricStore::StagedBatch : public Committer::Staged {
 public:
  StagedBatch(MetricStore& store, MetricBatch batch, Committer::Done done)
      : store_(store), batch_(std::move(batch)), done_(std::move(done)) {}
  absl::Status Prepare(CommitBatch& rows) override { return store_.Prepare(batch_, rows); }
  void Done(const absl::Status& status) override { done_(status); }

 private:
  MetricStore& store_;
  const MetricBatch batch_;
  const Committer::Done done_;
};

class MetricStore::StagedDelete : public Committer::Staged {
 public:
  StagedDelete(MetricStore& store, const TrialName& trial, Committer::Done done)
      : store_(store), trial_(trial), done_(std::move(done)) {}
  absl::Status Prepare(CommitBatch& rows) override {
    store_.PrepareDelete(trial_, rows);
    return absl::OkStatus();
  }
  void Done(const absl::Status& status) override { done_(status); }

 private:
  MetricStore& store_;
  const TrialName trial_;
  const Committer::Done done_;
};

MetricStore::MetricStore(Database& database) : database_(database) {
  database_.committer().AddParticipant(this);
}

MetricStore::~MetricStore() { database_.committer().RemoveParticipant(this); }

absl::Status MetricStore::Stage(MetricBatch batch, Committer::Done done) {
  const size_t size = SizeOf(batch);
  CVT_RETURN_IF_ERROR(Validate(batch, size));
  CVT_RETURN_IF_ERROR(database_.CheckSpace());
  return database_.committer().Stage(
      std::make_unique<StagedBatch>(*this, std::move(batch), std::move(done)), size);
}

absl::Status MetricStore::StageDelete(const TrialName& trial, Committer::Done done) {
  return database_.committer().Stage(std::make_unique<StagedDelete>(*this, trial, std::move(done)),
                                     0);
}

absl::Status MetricStore::Prepare(const MetricBatch& batch, CommitBatch& rows) {
  CVT_ASSIGN_OR_RETURN(Trial* const trial, FindTrial(batch.trial));
  CVT_ASSIGN_OR_RETURN(int64_t* const last, FindStream(batch.trial, batch.stream, *trial));
  if (batch.sequence <= *last) {
    return absl::OkStatus();
  }
  std::set<std::string> metrics = trial->metrics;
  for (const MetricColumn& column : batch.columns) {
    metrics.insert(column.metric);
  }
  if (metrics.size() > static_cast<size_t>(limits::kMetricsPerTrialMax)) {
    return LimitExceeded("metrics_per_trial_max",
                         absl::StrCat(batch.trial.ToString(), ": a trial has at most ",
                                      limits::kMetricsPerTrialMax, " metrics"));
  }
  // All that can fail comes before the first change.
  std::vector<Series*> series;
  for (const MetricColumn& column : batch.columns) {
    CVT_ASSIGN_OR_RETURN(Series* const found,
                         FindSeries(batch.trial, column.metric, batch.attempt, *trial));
    for (int64_t step : column.steps) {
      CVT_RETURN_IF_ERROR(FindChunk(*trial, step / kStepsPerChunk, *found).status());
    }
    series.push_back(found);
  }
  for (size_t i = 0; i < series.size(); ++i) {
    CVT_RETURN_IF_ERROR(AddPoints(*trial, batch.columns[i], *series[i]));
    if (trial->metrics.insert(batch.columns[i].metric).second) {
      rows.Put(Family::kMetrics, MetricNameKey(batch.trial, batch.columns[i].metric), "");
    }
  }
  *last = batch.sequence;
  std::string sequence;
  AppendVarint(static_cast<uint64_t>(batch.sequence), &sequence);
  rows.Put(Family::kMetrics, StreamKey(batch.trial, batch.stream), sequence);
  return absl::OkStatus();
}

void MetricStore::PrepareDelete(const TrialName& name, CommitBatch& rows) {
  rows.DeletePrefix(Family::kMetrics, TrialPrefix(name));
  Trial& trial = trials_[name];
  for (auto& [key, series] : trial.series) {
    dirty_.erase(&series);
  }
  trial = {};
  trial.deleted = true;
  deleted_.insert(&trial);
}

absl::StatusOr<MetricStore::Trial*> MetricStore::FindTrial(const TrialName& name) {
  if (auto found = trials_.find(name); found != trials_.end()) {
    return &found->second;
  }
  CVT_ASSIGN_OR_RETURN(const std::vector<std::string> metrics, ListMetrics(name));
  Trial& trial = trials_[name];
  trial.metrics.insert(metrics.begin(), metrics.end());
  return &trial;
}

absl::StatusOr<int64_t*> MetricStore::FindStream(const TrialName& name, const std::string& stream,
                                                 Trial& trial) {
  if (auto found = trial.streams.find(stream); found != trial.streams.end()) {
    return &found->second;
  }
  int64_t sequence = 0;
  if (!trial.deleted) {
    CVT_ASSIGN_OR_RETURN(sequence, DurableSequence(name, stream));
  }
  return &trial.streams.emplace(stream, sequence).first->second;
}

absl::StatusOr<MetricStore::Series*> MetricStore::FindSeries(const TrialName& name,
                                                             const std::string& metric,
                                                             int32_t attempt, Trial& trial) {
  const auto key = std::make_pair(metric, attempt);
  if (auto found = trial.series.find(key); found != trial.series.end()) {
    return &found->second;
  }
  Series series;
  series.key = SeriesKey(name, metric, attempt);
  if (!trial.deleted) {
    CVT_ASSIGN_OR_RETURN(const int64_t newest, LastChunkNumber(database_.rocks(), series.key));
    if (newest >= 0) {
      CVT_RETURN_IF_ERROR(FindChunk(trial, newest, series).status());
    }
  }
  return &trial.series.emplace(key, std::move(series)).first->second;
}

absl::StatusOr<MetricStore::Chunk*> MetricStore::FindChunk(const Trial& trial, int64_t number,
                                                           Series& series) {
  if (auto found = series.chunks.find(number); found != series.chunks.end()) {
    return &found->second;
  }
  Chunk chunk;
  if (!trial.deleted) {
    ChunkReader reader(database_.rocks(), series.key, number);
    StoredChunk stored;
    CVT_ASSIGN_OR_RETURN(const bool found, reader.Next(&stored));
    if (found && stored.number == number) {
      cached_points_ += stored.points.size();
      chunk.points = std::move(stored.points);
      chunk.committed = chunk.points.size();
      chunk.tail_rows = stored.tail_rows;
      chunk.next_tail = stored.next_tail;
    }
  }
  return &series.chunks.emplace(number, std::move(chunk)).first->second;
}

absl::Status MetricStore::AddPoints(const Trial& trial, const MetricColumn& column,
                                    Series& series) {
  for (size_t i = 0; i < column.steps.size(); ++i) {
    CVT_ASSIGN_OR_RETURN(Chunk* const chunk,
                         FindChunk(trial, column.steps[i] / kStepsPerChunk, series));
    chunk->points.push_back({column.steps[i], column.values[i]});
  }
  cached_points_ += column.steps.size();
  dirty_.insert(&series);
  return absl::OkStatus();
}

void MetricStore::WriteSeries(Series& series, CommitBatch& rows) {
  for (auto it = series.chunks.begin(); it != series.chunks.end();) {
    const int64_t number = it->first;
    Chunk& chunk = it->second;
    const bool newest = std::next(it) == series.chunks.end();
    const bool grew = chunk.committed < chunk.points.size();
    if (newest && grew && chunk.tail_rows < kTailRowsMax) {
      const auto fresh = absl::MakeConstSpan(chunk.points).subspan(chunk.committed);
      rows.Put(Family::kMetrics, TailKey(series.key, number, chunk.next_tail), EncodePoints(fresh));
      ++chunk.tail_rows;
      ++chunk.next_tail;
    } else if (grew || (!newest && chunk.tail_rows > 0)) {
      chunk.points = SortedByStep(std::move(chunk.points));
      rows.Put(Family::kMetrics, BaseKey(series.key, number), EncodePoints(chunk.points));
      for (; chunk.tail_rows > 0; --chunk.tail_rows) {
        rows.Delete(
            Family::kMetrics,
            TailKey(series.key, number, chunk.next_tail - static_cast<uint32_t>(chunk.tail_rows)));
      }
    }
    chunk.committed = chunk.points.size();
    it = newest ? std::next(it) : series.chunks.erase(it);
  }
}

absl::Status MetricStore::FinishCommit(CommitBatch& rows) {
  for (Series* const series : dirty_) {
    WriteSeries(*series, rows);
  }
  dirty_.clear();
  return absl::OkStatus();
}

void MetricStore::EndCommit(const absl::Status&) {
  for (Trial* const trial : deleted_) {
    trial->deleted = false;
  }
  deleted_.clear();
  if (cached_points_ > kCachedPointsMax) {
    trials_.clear();
    cached_points_ = 0;
  }
}

absl::StatusOr<int64_t> MetricStore::DurableSequence(const TrialName& trial,
                                                     absl::string_view stream) const {
  return ReadSequence(database_.rocks(), StreamKey(trial, stream));
}

absl::StatusOr<std::vector<std::string>> MetricStore::ListMetrics(const TrialName& trial) const {
  std::vector<std::string> metrics;
  RowCursor cursor(database_.rocks(), Family::kMetrics, MetricNamePrefix(trial));
  for (; cursor.Valid(); cursor.Next()) {
    metrics.emplace_back(cursor.suffix());
  }
  CVT_RETURN_IF_ERROR(cursor.status());
  return metrics;
}

}  // namespace cvtrain::coordinator
