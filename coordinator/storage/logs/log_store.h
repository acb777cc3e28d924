#ifndef CVTRAIN_COORDINATOR_STORAGE_LOGS_LOG_STORE_H_
#define CVTRAIN_COORDINATOR_STORAGE_LOGS_LOG_STORE_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/ids.h"
#include "coordinator/storage/committer.h"
#include "coordinator/storage/database.h"

namespace cvtrain::coordinator {

struct LogStoreOptions {
  // What is kept of one trial; the oldest lines go first.
  int64_t trial_size_bytes_max = int64_t{16} << 20;
  int64_t trial_lines_max = 200'000;
};

// A line that a rank wrote.
struct TrialLogLine {
  // Given by the store: from 1, grows within a trial; gaps are lines that went.
  int64_t sequence = 0;
  absl::Time time;      // when it was written, to the microsecond
  int32_t level = 0;    // as cvtrain.v1.LogLevel
  int32_t attempt = 0;  // number
  int32_t rank = 0;
  std::string text;  // cut to limits::kLogLineSizeBytesMax
};

struct LogBatch {
  TrialName trial;
  // As in MetricBatch: a batch that is not above the last one stored is acknowledged without
  // effect.
  std::string stream;
  int64_t sequence = 0;
  std::vector<TrialLogLine> lines;
};

struct LogQuery {
  TrialName trial;
  // Lines with a greater sequence only.
  int64_t after = 0;
  // If not 0, and `after` is 0: begin with the last so many of the lines that match.
  int64_t tail = 0;
  size_t lines_max = 1'000;
  int32_t attempt = 0;  // 0: all
  std::optional<int32_t> rank;
  int32_t level_min = 0;
};

struct LogAnswer {
  std::vector<TrialLogLine> lines;  // in order of arrival
  // Where to go on: lines up to here were looked at, matching or not.
  int64_t after = 0;
  // No more lines at this moment.
  bool at_end = false;
};

// The lines that trials wrote, bounded by trial.
//
// Rows hold a batch of lines each. Like metrics they are stored by group commits, on the thread of
// the committer; Stage() and List() are thread-safe, and a read sees whole commits.
class LogStore : private Committer::Participant {
 public:
  static constexpr size_t kLinesPerBatchMax = 10'000;
  static constexpr size_t kBatchSizeBytesMax = size_t{1} << 20;

  // `database` must outlive this.
  explicit LogStore(Database& database, const LogStoreOptions& options = {});
  ~LogStore() override;

  // Stages `batch`; `done` hears OK once it is durable, now or before.
  //
  // Returns, without calling `done`, INVALID_ARGUMENT (FIELD_INVALID) without stream or sequence,
  // RESOURCE_EXHAUSTED (LIMIT_EXCEEDED) for a batch above the bounds or a full queue,
  // RESOURCE_EXHAUSTED (DISK_FULL), or the failure of an earlier write.
  absl::Status Stage(LogBatch batch, Committer::Done done);

  // Stages the removal of everything of `trial`.
  absl::Status StageDelete(const TrialName& trial, Committer::Done done);

  // The last durable sequence of `stream`, 0 if there is none.
  absl::StatusOr<int64_t> DurableSequence(const TrialName& trial, absl::string_view stream) const;

  // Returns DATA_LOSS (JOURNAL_DAMAGED) if a row cannot be read.
  absl::StatusOr<LogAnswer> List(const LogQuery& query) const;

 private:
  class StagedBatch;
  class StagedDelete;

  // A row: lines [first, first + lines).
  struct Row {
    int64_t first = 0;
    int64_t lines = 0;
    int64_t bytes = 0;
  };
  // What the committer's thread knows of a trial's rows; a cache.
  struct Trial {
    std::deque<Row> rows;
    int64_t next = 1;  // sequence of the next line; never used again, even if all lines go
    int64_t lines = 0;
    int64_t bytes = 0;
    std::map<std::string, int64_t, std::less<>> streams;
    bool deleted = false;
  };

  absl::Status Prepare(LogBatch& batch, CommitBatch& rows);
  void PrepareDelete(const TrialName& name, CommitBatch& rows);
  absl::StatusOr<Trial*> FindTrial(const TrialName& name);
  void Trim(const TrialName& name, Trial& trial, CommitBatch& rows);
  absl::StatusOr<int64_t> FirstOfTail(const LogQuery& query) const;
  absl::Status FinishCommit(CommitBatch& rows) override;
  void EndCommit(const absl::Status& status) override;

  Database& database_;
  const LogStoreOptions options_;

  // Of the committer's thread.
  std::map<TrialName, Trial> trials_;
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STORAGE_LOGS_LOG_STORE_H_
