#ifndef CVTRAIN_COORDINATOR_STORAGE_METRICS_CHUNK_CODEC_H_
#define CVTRAIN_COORDINATOR_STORAGE_METRICS_CHUNK_CODEC_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace cvtrain::coordinator {

struct MetricPoint {
  int64_t step = 0;
  double value = 0;
};

// Packs points: steps as differences of differences, values as the XOR of neighbours, so that a
// curve with regular steps takes about five bytes a point. Values are kept as 32-bit floats if that
// loses nothing, bit for bit (NaN included). The order of points and repeated steps are kept.
// docs/formats/storage.md has the bits.
std::string EncodePoints(absl::Span<const MetricPoint> points);

// Returns DATA_LOSS (JOURNAL_DAMAGED) for bytes that EncodePoints() does not make.
absl::StatusOr<std::vector<MetricPoint>> DecodePoints(absl::string_view bytes);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STORAGE_METRICS_CHUNK_CODEC_H_
