#ifndef CVTRAIN_BENCH_SEARCH_OVERHEAD_H_
#define CVTRAIN_BENCH_SEARCH_OVERHEAD_H_

#include <string>

#include "absl/status/statusor.h"
#include "bench/side/side.h"

namespace cvtrain::bench {

// What a trial costs the coordinator's state when an experiment of `method` has `trials` ended
// ones: `end_microseconds`, to decide and apply the event that ends it, the next proposal and its
// recipe included; `evaluation_microseconds`, the same for an evaluation that ends nothing.
// Medians. Without the journal.
absl::StatusOr<Pass> MeasureOverhead(const std::string& method, int trials);

}  // namespace cvtrain::bench

#endif  // CVTRAIN_BENCH_SEARCH_OVERHEAD_H_
