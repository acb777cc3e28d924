#ifndef CVTRAIN_BENCH_PLAN_PLAN_BENCH_H_
#define CVTRAIN_BENCH_PLAN_PLAN_BENCH_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "bench/side/side.h"

namespace cvtrain::bench {

struct PlanBenchOptions {
  std::string policy = "cvtrain";
  // Waiting and running.
  int jobs = 10'000;
  // In workers of eight.
  int slots = 1'000;
  // Of the jobs that are made.
  int64_t seed = 1;
};

// Our side of scheduling: a pass is one decision over all jobs. Arguments:
//   cold    nothing runs yet
//   steady  all slots are taken, one job has ended, and the order of all who wait is not asked for
//   queue   the same, with everyone's place, reason and predicted start
//   shares  max-min shares of the slots by filling water, for the LP's answer and time
// A pass is little more than its decision. It has `started`, or for shares the smallest and the sum
// of them.
absl::StatusOr<Runner> NewPlanBench(const PlanBenchOptions& options);

}  // namespace cvtrain::bench

#endif  // CVTRAIN_BENCH_PLAN_PLAN_BENCH_H_
