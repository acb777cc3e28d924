#ifndef CVTRAIN_COORDINATOR_SCHEDULER_POLICY_H_
#define CVTRAIN_COORDINATOR_SCHEDULER_POLICY_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "coordinator/scheduler/plan.h"

namespace cvtrain::coordinator {

// The place of one job.
struct Rank {
  // Within its priority the least one goes first.
  double key = 0;
  RankRule rule = RankRule::kArrival;
  // False: it does not run now, whatever is free.
  bool eligible = true;
};

// Puts jobs in order. A policy knows nothing of workers; MakePlan() knows nothing of policies.
//
// It may remember what it was shown, and nothing else: equal sequences of calls get equal answers.
// A coordinator that restarts begins with an empty memory. Thread-compatible.
class Policy {
 public:
  // What happens when the first job in the order does not fit.
  enum class Fill {
    kStop,     // nobody passes it
    kPass,     // others may pass it for ever
    kReserve,  // others may pass it as long as that does not put it off
  };

  virtual ~Policy() = default;

  // A copy with the same memory: for plans that decide nothing.
  virtual std::unique_ptr<Policy> Clone() const = 0;

  virtual Fill fill() const = 0;

  // Fills `ranks`, which has one entry for each of `input.jobs`, all default.
  virtual void RankJobs(const PlanInput& input, absl::Span<Rank> ranks) = 0;
};

struct PolicyInfo {
  const char* name;
  // For people, a line.
  const char* summary;
  std::unique_ptr<Policy> (*make)();
};

// All policies, in the order in which people should read of them. To add one: policies.h.
absl::Span<const PolicyInfo> Policies();

// A new one; nullptr if none has this name.
std::unique_ptr<Policy> MakePolicy(absl::string_view name);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_SCHEDULER_POLICY_H_
