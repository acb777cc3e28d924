#ifndef CVTRAIN_CLIENT_SIMULATE_PHILLY_TRACE_H_
#define CVTRAIN_CLIENT_SIMULATE_PHILLY_TRACE_H_

#include <cstddef>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

// The trace of Microsoft's Philly cluster (Jeon et al., ATC 2019) as AdaptDL publishes it: rigid
// jobs with a time of submission, a duration and a number of GPUs.
namespace cvtrain::client {

struct PhillyJob {
  size_t line = 0;  // in the trace, from 1
  absl::Time submitted;
  double duration_seconds = 0;
  int gpus = 1;
};

// Reads CSV with the columns timestamp, duration, num_gpus, gpu_time, cluster. INVALID_ARGUMENT
// (DATA_BAD) that names line, field and rule; LIMIT_EXCEEDED for too many jobs. In the order of the
// file.
absl::StatusOr<std::vector<PhillyJob>> ReadPhillyTrace(absl::string_view text);

// Whether a text begins as such a trace does.
bool IsPhillyTrace(absl::string_view text);

// Which jobs of a trace count.
struct PhillySelection {
  // Submitted at or after the first and before the second.
  absl::Time from = absl::InfinitePast();
  absl::Time until = absl::InfiniteFuture();
  double duration_seconds_min = 0;
  int gpus_max = 1'024;
  // Less than this.
  double gpu_hours_below = 1e12;
};

// Those of `jobs` that count, by submission; of the same second the shorter first, then in the
// order of the file. (That is how the table in docs/scheduling.md comes out; most jobs share a
// second with another one.)
std::vector<PhillyJob> SelectJobs(std::vector<PhillyJob> jobs, const PhillySelection& selection);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_SIMULATE_PHILLY_TRACE_H_
