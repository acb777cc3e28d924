#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "common/status_macros.h"
#include "coordinator/storage/metrics/metric_store.h"
#include "coordinator/storage/metrics/series_rows.h"
#include "coordinator/storage/rocks.h"

// Reading: which attempt counts for which steps, then its chunks in order.

namespace cvtrain::coordinator {
namespace {

// Steps [begin, end) of one attempt.
struct Segment {
  int32_t attempt = 0;
  int64_t begin = 0;
  int64_t end = 0;
};

// What of each attempt counts and was asked for, in order of steps.
std::vector<Segment> SegmentsOf(const MetricQuery& query) {
  std::vector<Segment> segments;
  int64_t end = query.to_step;
  for (auto part = query.lineage.rbegin(); part != query.lineage.rend(); ++part) {
    const int64_t begin = std::max(part->from_step, query.from_step);
    if (begin < end) {
      segments.push_back({part->attempt, begin, end});
    }
    end = std::min(end, part->from_step);
  }
  std::reverse(segments.begin(), segments.end());
  return segments;
}

// Calls `visit` for each point of `segment` in order, until it returns false.
absl::Status VisitPoints(Rocks& rocks, const MetricQuery& query, const Segment& segment,
                         absl::FunctionRef<bool(const MetricPoint&)> visit) {
  ChunkReader reader(rocks, SeriesKey(query.trial, query.metric, segment.attempt),
                     segment.begin / MetricStore::kStepsPerChunk);
  for (StoredChunk chunk;;) {
    CVT_ASSIGN_OR_RETURN(const bool found, reader.Next(&chunk));
    if (!found) {
      return absl::OkStatus();
    }
    for (const MetricPoint& point : SortedByStep(std::move(chunk.points))) {
      if (point.step >= segment.end || (point.step >= segment.begin && !visit(point))) {
        return absl::OkStatus();
      }
    }
  }
}

absl::StatusOr<MetricAnswer> AllPoints(Rocks& rocks, const MetricQuery& query,
                                       const std::vector<Segment>& segments) {
  MetricAnswer answer;
  for (const Segment& segment : segments) {
    CVT_RETURN_IF_ERROR(VisitPoints(rocks, query, segment, [&](const MetricPoint& point) {
      if (answer.points.size() == MetricStore::kPointsPerAnswerMax) {
        answer.next_step = point.step;
        return false;
      }
      answer.points.push_back(point);
      return true;
    }));
    if (answer.next_step != 0) {
      break;
    }
  }
  return answer;
}

// Sets `last` to the last step of `segment`, if it has any.
absl::Status FindLastStep(Rocks& rocks, const MetricQuery& query, const Segment& segment,
                          int64_t* last) {
  const std::string key = SeriesKey(query.trial, query.metric, segment.attempt);
  int64_t number = (segment.end - 1) / MetricStore::kStepsPerChunk;
  for (bool found = false; !found && number >= 0; --number) {
    CVT_ASSIGN_OR_RETURN(number, LastChunkNumber(rocks, key, number));
    Segment tail = segment;
    tail.begin = std::max(tail.begin, number * MetricStore::kStepsPerChunk);
    if (number < 0 || tail.begin >= (number + 1) * MetricStore::kStepsPerChunk) {
      break;
    }
    CVT_RETURN_IF_ERROR(VisitPoints(rocks, query, tail, [&](const MetricPoint& point) {
      *last = point.step;
      found = true;
      return true;
    }));
  }
  return absl::OkStatus();
}

// First and last step of all segments; false if there is no point.
absl::StatusOr<bool> FindBounds(Rocks& rocks, const MetricQuery& query,
                                const std::vector<Segment>& segments, int64_t* first,
                                int64_t* last) {
  bool found = false;
  for (const Segment& segment : segments) {
    CVT_RETURN_IF_ERROR(VisitPoints(rocks, query, segment, [&](const MetricPoint& point) {
      *first = found ? *first : point.step;
      *last = point.step;
      found = true;
      return false;
    }));
    CVT_RETURN_IF_ERROR(FindLastStep(rocks, query, segment, last));
  }
  return found;
}

class Bucket {
 public:
  void Add(const MetricPoint& point) {
    step_ = point.step;
    empty_ = false;
    if (!std::isnan(point.value)) {
      sum_ += point.value;
      ++count_;
    }
  }
  void MoveTo(std::vector<MetricPoint>* points) {
    if (!empty_) {
      const double mean = count_ > 0 ? sum_ / static_cast<double>(count_)
                                     : std::numeric_limits<double>::quiet_NaN();
      points->push_back({step_, mean});
    }
    *this = Bucket();
  }

 private:
  bool empty_ = true;
  int64_t step_ = 0;
  double sum_ = 0;
  int64_t count_ = 0;
};

absl::StatusOr<MetricAnswer> Buckets(Rocks& rocks, const MetricQuery& query,
                                     const std::vector<Segment>& segments) {
  MetricAnswer answer;
  int64_t first = 0;
  int64_t last = 0;
  CVT_ASSIGN_OR_RETURN(const bool found, FindBounds(rocks, query, segments, &first, &last));
  if (!found) {
    return answer;
  }
  const int64_t width = (last - first) / query.points_max + 1;
  int64_t number = 0;
  Bucket bucket;
  for (const Segment& segment : segments) {
    CVT_RETURN_IF_ERROR(VisitPoints(rocks, query, segment, [&](const MetricPoint& point) {
      const int64_t wanted = (point.step - first) / width;
      if (wanted != number) {
        bucket.MoveTo(&answer.points);
        number = wanted;
      }
      bucket.Add(point);
      return true;
    }));
  }
  bucket.MoveTo(&answer.points);
  return answer;
}

}  // namespace

absl::StatusOr<MetricAnswer> MetricStore::Query(const MetricQuery& query) const {
  const std::vector<Segment> segments = SegmentsOf(query);
  return query.points_max > 0 ? Buckets(database_.rocks(), query, segments)
                              : AllPoints(database_.rocks(), query, segments);
}

}  // namespace cvtrain::coordinator
