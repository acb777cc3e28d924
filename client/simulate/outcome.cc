#include "client/simulate/outcome.h"

#include <algorithm>

namespace cvtrain::client {

OutcomeSummary Summarize(const Outcome& outcome, int gpus) {
  OutcomeSummary summary;
  if (outcome.jobs.empty()) return summary;
  const auto count = static_cast<double>(outcome.jobs.size());
  const double share = std::max(1.0, count / gpus);
  for (const JobOutcome& job : outcome.jobs) {
    const double completion = job.end - job.arrival;
    const double ratio = completion / (job.alone * share);
    summary.makespan = std::max(summary.makespan, job.end);
    summary.completion_mean += completion / count;
    summary.queueing_mean += (completion - job.served) / count;
    summary.ratio_worst = std::max(summary.ratio_worst, ratio);
    if (ratio > kUnfairRatio) ++summary.unfair;
  }
  summary.unfair_part = static_cast<double>(summary.unfair) / count;
  return summary;
}

}  // namespace cvtrain::client
