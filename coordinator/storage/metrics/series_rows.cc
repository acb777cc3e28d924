#include "coordinator/storage/metrics/series_rows.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "coordinator/storage/coding.h"

namespace cvtrain::coordinator {
namespace {

constexpr char kBase = 'b';
constexpr char kTail = 't';

struct ChunkRow {
  int64_t number = 0;
  bool is_tail = false;
  uint32_t tail = 0;
};

bool ParseChunkRow(absl::string_view suffix, ChunkRow* row) {
  ByteReader reader(suffix);
  uint64_t number = 0;
  absl::string_view kind;
  if (!reader.ReadBigEndian64(&number) || !reader.ReadBytes(1, &kind)) {
    return false;
  }
  row->number = static_cast<int64_t>(number);
  row->is_tail = kind[0] == kTail;
  if (row->is_tail && !reader.ReadBigEndian32(&row->tail)) {
    return false;
  }
  return (row->is_tail || kind[0] == kBase) && reader.at_end();
}

absl::Status BadRow() {
  return DataLoss(Reason::kJournalDamaged, "metrics: a row has no chunk and kind in its key");
}

}  // namespace

std::string MetricNamePrefix(const TrialName& trial) { return TrialPrefix(trial) + "n"; }

std::string MetricNameKey(const TrialName& trial, absl::string_view metric) {
  return absl::StrCat(MetricNamePrefix(trial), metric);
}

std::string StreamKey(const TrialName& trial, absl::string_view stream) {
  return absl::StrCat(TrialPrefix(trial), "s", stream);
}

std::string SeriesKey(const TrialName& trial, absl::string_view metric, int32_t attempt) {
  std::string key = absl::StrCat(TrialPrefix(trial), "c", metric);
  key.push_back('\0');
  AppendBigEndian32(static_cast<uint32_t>(attempt), &key);
  return key;
}

std::string ChunkPrefix(absl::string_view series_key, int64_t number) {
  std::string key(series_key);
  AppendBigEndian64(static_cast<uint64_t>(number), &key);
  return key;
}

std::string BaseKey(absl::string_view series_key, int64_t number) {
  return ChunkPrefix(series_key, number) + kBase;
}

std::string TailKey(absl::string_view series_key, int64_t number, uint32_t tail) {
  std::string key = ChunkPrefix(series_key, number) + kTail;
  AppendBigEndian32(tail, &key);
  return key;
}

std::vector<MetricPoint> SortedByStep(std::vector<MetricPoint> points) {
  const auto before = [](const MetricPoint& a, const MetricPoint& b) { return a.step < b.step; };
  if (!std::is_sorted(points.begin(), points.end(), before)) {
    std::stable_sort(points.begin(), points.end(), before);
  }
  // Keeps the last of each run, by keeping the first of each run backwards.
  const auto kept =
      std::unique(points.rbegin(), points.rend(),
                  [](const MetricPoint& a, const MetricPoint& b) { return a.step == b.step; });
  points.erase(points.begin(), kept.base());
  return points;
}

ChunkReader::ChunkReader(Rocks& rocks, std::string series_key, int64_t number)
    : cursor_(rocks, Family::kMetrics, series_key) {
  cursor_.Seek(ChunkPrefix(series_key, number));
}

absl::StatusOr<bool> ChunkReader::Next(StoredChunk* chunk) {
  *chunk = {};
  ChunkRow row;
  for (bool first = true; cursor_.Valid(); cursor_.Next(), first = false) {
    if (!ParseChunkRow(cursor_.suffix(), &row)) {
      return BadRow();
    }
    if (first) {
      chunk->number = row.number;
    } else if (row.number != chunk->number) {
      return true;
    }
    CVT_ASSIGN_OR_RETURN(const std::vector<MetricPoint> points, DecodePoints(cursor_.value()));
    chunk->points.insert(chunk->points.end(), points.begin(), points.end());
    if (row.is_tail) {
      ++chunk->tail_rows;
      chunk->next_tail = row.tail + 1;
    }
  }
  CVT_RETURN_IF_ERROR(cursor_.status());
  return !chunk->points.empty();
}

absl::StatusOr<int64_t> LastChunkNumber(Rocks& rocks, const std::string& series_key,
                                        int64_t number_max) {
  RowCursor cursor(rocks, Family::kMetrics, series_key, {.backwards = true});
  cursor.Seek(ChunkPrefix(series_key, number_max) + "\xff");
  CVT_RETURN_IF_ERROR(cursor.status());
  if (!cursor.Valid()) {
    return -1;
  }
  ChunkRow row;
  if (!ParseChunkRow(cursor.suffix(), &row)) {
    return BadRow();
  }
  return row.number;
}

}  // namespace cvtrain::coordinator
