#ifndef CVTRAIN_CLIENT_SIMULATE_STUDY_H_
#define CVTRAIN_CLIENT_SIMULATE_STUDY_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/simulate/outcome.h"
#include "client/simulate/philly_trace.h"
#include "client/simulate/shockwave_trace.h"
#include "client/simulate/told.h"
#include "common/thread.h"

namespace cvtrain::client {

// A trace of the one kind or the other.
struct ShockwaveTrace {
  std::vector<ShockwaveJob> jobs;
  Throughputs throughputs;
};
struct PhillyTrace {
  std::vector<PhillyJob> jobs;  // in order of submission
};
using Trace = std::variant<ShockwaveTrace, PhillyTrace>;

// How a trace is changed, to see what a policy owes to it.
enum class Variation {
  kNone,
  kSubset,    // seven jobs and GPUs of ten, drawn by chance
  kArrivals,  // the same jobs and times of arrival, dealt out anew
};

struct StudyOptions {
  std::vector<std::string> policies;
  int gpus = 32;
  Told told = Told::kDeclared;
  double sigma = 0.25;
  Variation variation = Variation::kNone;
  // With chance (kWrong, a variation) it runs this many times, with this seed and the next ones.
  int runs = 10;
  uint64_t seed = 1;
  StopToken stop;
};

// One policy on one trace.
struct StudyRow {
  std::string policy;
  struct Run {
    uint64_t seed = 0;
    int gpus = 0;
    int64_t jobs = 0;
    int64_t restarts = 0;
    OutcomeSummary summary;
  };
  std::vector<Run> runs;  // at least one
};

// "cvtrain, fifo, backfill": of all policies that there are.
std::string PolicyNames();

// INVALID_ARGUMENT (UNKNOWN_NAME) for a policy that there is not; else as SimulateShockwave() and
// SimulatePhilly() have it.
absl::StatusOr<std::vector<StudyRow>> RunStudy(const Trace& trace, const StudyOptions& options);

// For a table: times in whole seconds, the mean of the runs, of makespan and unfair jobs the
// largest, too, and of ratios only that.
std::vector<std::string> StudyHeaders();
std::vector<std::string> StudyCells(const StudyRow& row, const StudyOptions& options);
// {"told": ..., "sigma": ..., "rows": [{"policy": ..., "runs": [{...}]}]}, ends with a newline.
std::string StudyJson(const std::vector<StudyRow>& rows, const StudyOptions& options);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_SIMULATE_STUDY_H_
