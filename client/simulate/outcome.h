#ifndef CVTRAIN_CLIENT_SIMULATE_OUTCOME_H_
#define CVTRAIN_CLIENT_SIMULATE_OUTCOME_H_

#include <cstdint>
#include <vector>

namespace cvtrain::client {

// How one job fared. Times are in seconds of virtual time.
struct JobOutcome {
  double arrival = 0;
  double end = 0;
  // That it ran, and that it would have taken alone as declared.
  double served = 0;
  double alone = 0;
};

// How a policy fared on a trace.
struct Outcome {
  std::vector<JobOutcome> jobs;  // in the order of the trace
  // Starts after the first one of each job.
  int64_t restarts = 0;
};

// A ratio above this is called unfair.
inline constexpr double kUnfairRatio = 1.05;

struct OutcomeSummary {
  double makespan = 0;         // end of the last job, from time 0
  double completion_mean = 0;  // from arrival to end
  double queueing_mean = 0;    // of that, not running
  // Finish-time fairness as Shockwave publishes it: time to completion over what the job takes
  // alone times the jobs of the trace for each GPU, at least 1. It does not count how many GPUs a
  // job has, and it knows all of the trace.
  double ratio_worst = 0;
  int64_t unfair = 0;  // jobs above kUnfairRatio
  double unfair_part = 0;
};

OutcomeSummary Summarize(const Outcome& outcome, int gpus);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_SIMULATE_OUTCOME_H_
