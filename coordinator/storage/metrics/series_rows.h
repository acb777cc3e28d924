#ifndef CVTRAIN_COORDINATOR_STORAGE_METRICS_SERIES_ROWS_H_
#define CVTRAIN_COORDINATOR_STORAGE_METRICS_SERIES_ROWS_H_

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/ids.h"
#include "coordinator/storage/metrics/chunk_codec.h"
#include "coordinator/storage/rocks.h"

// The rows of the family `metrics`; docs/formats/storage.md has them. For this folder only.
//
//   trial 'n' metric                          the trial has this metric
//   trial 's' stream                          varint of the last sequence of a stream
//   trial 'c' metric NUL attempt chunk 'b'    points of a chunk, sorted, each step once
//   trial 'c' metric NUL attempt chunk 't' n  points of its tail, in order of arrival
namespace cvtrain::coordinator {

std::string MetricNamePrefix(const TrialName& trial);
std::string MetricNameKey(const TrialName& trial, absl::string_view metric);
std::string StreamKey(const TrialName& trial, absl::string_view stream);
std::string SeriesKey(const TrialName& trial, absl::string_view metric, int32_t attempt);
std::string ChunkPrefix(absl::string_view series_key, int64_t number);
std::string BaseKey(absl::string_view series_key, int64_t number);
std::string TailKey(absl::string_view series_key, int64_t number, uint32_t tail);

// Sorts by step; of points with one step, keeps the last.
std::vector<MetricPoint> SortedByStep(std::vector<MetricPoint> points);

// One chunk as stored.
struct StoredChunk {
  int64_t number = 0;
  std::vector<MetricPoint> points;  // base, then tail, in order of arrival
  int tail_rows = 0;
  uint32_t next_tail = 0;  // one above the highest tail row
};

// Reads the chunks of a series in order, beginning with the first one not below `number`.
// Thread-compatible.
class ChunkReader {
 public:
  // The references must outlive the reader.
  ChunkReader(Rocks& rocks, std::string series_key, int64_t number);

  // Returns false at the end. Returns DATA_LOSS (JOURNAL_DAMAGED) for rows that cannot be read.
  absl::StatusOr<bool> Next(StoredChunk* chunk);

 private:
  RowCursor cursor_;
};

// Number of the last chunk of a series that is not above `number_max`, -1 if it has none.
absl::StatusOr<int64_t> LastChunkNumber(Rocks& rocks, const std::string& series_key,
                                        int64_t number_max = std::numeric_limits<int64_t>::max());

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STORAGE_METRICS_SERIES_ROWS_H_
