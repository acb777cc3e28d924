#ifndef CVTRAIN_CLIENT_SIMULATE_TRACE_FIELD_H_
#define CVTRAIN_CLIENT_SIMULATE_TRACE_FIELD_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cvtrain::client {

// One field of a line of a trace.
struct TraceField {
  size_t line = 0;  // from 1
  absl::string_view name;
  absl::string_view text;
};

// INVALID_ARGUMENT (DATA_BAD): "line 3, gpus: must be a whole number from 1 to 1024, got x".
absl::Status FieldError(const TraceField& field, absl::string_view rule);

// A whole number from `min` to `max`.
absl::StatusOr<int64_t> ReadInteger(const TraceField& field, int64_t min, int64_t max);
// A finite number from `min` to `max`.
absl::StatusOr<double> ReadNumber(const TraceField& field, double min, double max);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_SIMULATE_TRACE_FIELD_H_
