#ifndef CVTRAIN_COORDINATOR_SEARCH_SEARCHER_H_
#define CVTRAIN_COORDINATOR_SEARCH_SEARCHER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"

namespace cvtrain::v1 {
class ExperimentSpec;
}  // namespace cvtrain::v1

namespace cvtrain::coordinator {

// Path of a field of ExperimentSpec -> value, spelled as in YAML.
using Parameters = std::map<std::string, std::string>;

// What a search knows of one of its trials: journaled facts, nothing live.
struct TrialResult {
  enum class State {
    kOpen,  // queued or running
    kSucceeded,
    kFailed,
    kCancelled,
  };
  State state = State::kOpen;
  // As the experiment's objective defines it; unset if it has none.
  std::optional<double> objective;
};

// What a search wants next.
struct SearchAdvance {
  struct Discard {
    // Index into the results.
    size_t trial = 0;
    // For people.
    std::string reason;
  };

  // Trials to make, in order.
  std::vector<Parameters> created;
  // Trials that were started ahead of a stop that came: they do not count.
  std::vector<Discard> discarded;
  // No trial will be made after `created`.
  bool done = false;
  // Trials that may still be made after `created`; -1 where that depends on results.
  int32_t left = 0;
};

// Proposes trials. A searcher has no memory: what it says is a function of the specification and
// of the results so far, so that the journal needs to hold results and proposals alone.
//
// Its answer must not depend on the order in which trials end: results count in the order of the
// trials' numbers, as far as they are known without a gap.
//
// Immutable; thread-safe.
class Searcher {
 public:
  virtual ~Searcher() = default;

  // `results` are those of all trials made so far, the first one first. At most `room` trials are
  // created; whether there is room depends on how many are open.
  virtual SearchAdvance Advance(absl::Span<const TrialResult> results, size_t room) const = 0;

  // How many trials it will make; nullopt if that depends on results.
  virtual std::optional<int64_t> TrialTotal() const = 0;

  // Whether trials beyond those that may run at the same time are better not made: their point
  // may turn out not to be asked for.
  virtual bool DependsOnResults() const = 0;
};

// The searcher of a resolved and valid specification; without a search, one that makes a single
// trial of the recipe as it stands. To add a method: methods.h.
std::unique_ptr<Searcher> MakeSearcher(const v1::ExperimentSpec& spec);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_SEARCH_SEARCHER_H_
