#ifndef CVTRAIN_COORDINATOR_STORAGE_METRICS_METRIC_STORE_H_
#define CVTRAIN_COORDINATOR_STORAGE_METRICS_METRIC_STORE_H_

#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/ids.h"
#include "coordinator/storage/committer.h"
#include "coordinator/storage/database.h"
#include "coordinator/storage/metrics/chunk_codec.h"

namespace cvtrain::coordinator {

// Points of one metric. Steps may come in any order and more than once: of points with the same
// step, the one that arrived last counts. Values may be NaN and infinite.
struct MetricColumn {
  std::string metric;
  std::vector<int64_t> steps;  // not negative
  std::vector<double> values;  // as many
};

struct MetricBatch {
  TrialName trial;
  int32_t attempt = 0;  // from 1
  // Who numbers the batches: a batch whose sequence is not above the last one stored for (trial,
  // stream) has been stored already, and is acknowledged without effect.
  std::string stream;
  int64_t sequence = 0;  // from 1
  std::vector<MetricColumn> columns;
};

// From `from_step` on, the points of `attempt` count, up to where a later part begins.
struct LineagePart {
  int32_t attempt = 0;
  int64_t from_step = 0;
};

struct MetricQuery {
  TrialName trial;
  std::string metric;
  // In the order of the attempts. A part that begins before earlier ones replaces what they have
  // from there on: a rollback.
  std::vector<LineagePart> lineage;
  // Steps [from_step, to_step).
  int64_t from_step = 0;
  int64_t to_step = std::numeric_limits<int64_t>::max();
  // 0: every point, at most kPointsPerAnswerMax. Otherwise at most so many: steps are cut into
  // buckets of equal width, and each is answered by its last step and the mean of its values that
  // are not NaN (NaN if all are).
  int32_t points_max = 0;
};

struct MetricAnswer {
  std::vector<MetricPoint> points;  // in order of steps, each step once
  // Where to go on if points were left out, else 0.
  int64_t next_step = 0;
};

// The series that trials report, for people. No decision reads them.
//
// Rows: points of an attempt's series lie in chunks of 1,024 aligned steps. What a commit brings
// for the newest chunk of a series is a small row of its own, the tail; when the next chunk begins,
// or the tail has kTailRowsMax rows, the chunk is written once as a whole and the tail goes. All of
// that happens inside group commits, so a crash leaves a batch wholly stored or not at all.
//
// Stage() and the reading functions are thread-safe; what they change happens on the thread of the
// committer. A read sees whole commits.
class MetricStore : private Committer::Participant {
 public:
  static constexpr int64_t kStepsPerChunk = 1'024;
  static constexpr int kTailRowsMax = 64;
  static constexpr size_t kPointsPerAnswerMax = 100'000;
  static constexpr size_t kStreamSizeBytesMax = 128;

  // `database` must outlive this.
  explicit MetricStore(Database& database);
  ~MetricStore() override;

  // Stages `batch` for the next commit. `done` hears OK once the batch is durable, now or before.
  // It hears RESOURCE_EXHAUSTED (LIMIT_EXCEEDED) if the trial would have more than
  // limits::kMetricsPerTrialMax metrics, or the failure of the commit.
  //
  // Returns, without calling `done`,
  //   INVALID_ARGUMENT (FIELD_INVALID)         columns of different length, a negative step, a
  //                                            metric that is empty, too long or has control
  //                                            characters, no stream, sequence or attempt
  //   RESOURCE_EXHAUSTED (LIMIT_EXCEEDED)      a batch above limits::kMetricsBatchSizeBytesMax, a
  //                                            full queue
  //   RESOURCE_EXHAUSTED (DISK_FULL)           Database::CheckSpace()
  //   the failure of an earlier write
  absl::Status Stage(MetricBatch batch, Committer::Done done);

  // Stages the removal of everything of `trial`.
  absl::Status StageDelete(const TrialName& trial, Committer::Done done);

  // The last durable sequence of `stream`, 0 if there is none: where its sender goes on.
  absl::StatusOr<int64_t> DurableSequence(const TrialName& trial, absl::string_view stream) const;

  // Names of the trial's metrics, sorted; none if it has reported none.
  absl::StatusOr<std::vector<std::string>> ListMetrics(const TrialName& trial) const;

  // Returns DATA_LOSS (JOURNAL_DAMAGED) if a stored chunk cannot be read.
  absl::StatusOr<MetricAnswer> Query(const MetricQuery& query) const;

 private:
  class StagedBatch;
  class StagedDelete;

  // What the committer's thread knows of rows; all of it is a cache, except that points which are
  // not committed yet are here alone.
  struct Chunk {
    std::vector<MetricPoint> points;  // in order of arrival
    size_t committed = 0;             // so many of `points` are in rows
    int tail_rows = 0;                // in rows of the tail; the last one is next_tail - 1
    uint32_t next_tail = 0;
  };
  struct Series {
    std::string key;
    std::map<int64_t, Chunk> chunks;  // by number; the last one is the newest of the series
  };
  struct Trial {
    std::set<std::string> metrics;
    std::map<std::string, int64_t, std::less<>> streams;  // last sequence
    std::map<std::pair<std::string, int32_t>, Series> series;
    // Rows in the database are void: the running commit deletes them.
    bool deleted = false;
  };

  absl::Status Prepare(const MetricBatch& batch, CommitBatch& rows);
  void PrepareDelete(const TrialName& name, CommitBatch& rows);
  absl::StatusOr<Trial*> FindTrial(const TrialName& name);
  absl::StatusOr<int64_t*> FindStream(const TrialName& name, const std::string& stream,
                                      Trial& trial);
  absl::StatusOr<Series*> FindSeries(const TrialName& name, const std::string& metric,
                                     int32_t attempt, Trial& trial);
  absl::StatusOr<Chunk*> FindChunk(const Trial& trial, int64_t number, Series& series);
  absl::Status AddPoints(const Trial& trial, const MetricColumn& column, Series& series);
  void WriteSeries(Series& series, CommitBatch& rows);
  absl::Status FinishCommit(CommitBatch& rows) override;
  void EndCommit(const absl::Status& status) override;

  Database& database_;

  // Of the committer's thread.
  std::map<TrialName, Trial> trials_;
  std::set<Series*> dirty_;  // have points that are not committed
  std::set<Trial*> deleted_;
  size_t cached_points_ = 0;
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STORAGE_METRICS_METRIC_STORE_H_
