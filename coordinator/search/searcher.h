#ifndef CVTRAIN_COORDINATOR_SEARCH_SEARCHER_H_
#define CVTRAIN_COORDINATOR_SEARCH_SEARCHER_H_

#include <google/protobuf/map.h>

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
// The same, as records have it.
using RecordedParameters = google::protobuf::Map<std::string, std::string>;

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
  std::optional<double> objective = std::nullopt;
  // What it was made with; outlives the call. Not null where a searcher made it with any.
  const RecordedParameters* parameters = nullptr;
  // The objective at each rung that it has reached, NaN for no finite value; outlives the call.
  absl::Span<const double> rungs = {};
  // Of them, those that the search has let it pass.
  int32_t rungs_passed = 0;
  // The search has stopped it at a rung.
  bool pruned = false;
  // The search does not count it.
  bool discarded = false;
  // As SearchAdvance::Place.
  int64_t point = 0;
  int32_t replicate = 0;
};

// What a search wants next. A `trial` is an index into the results.
struct SearchAdvance {
  struct Discard {
    size_t trial = 0;
    // For people.
    std::string reason;
  };
  // Which point a trial is of, and which of the point's trials it is, both counting from 0.
  struct Place {
    int64_t point = 0;
    int32_t replicate = 0;
  };
  struct Pass {
    size_t trial = 0;
    // Rungs that it has passed by now.
    int32_t rungs = 0;
  };
  struct Prune {
    size_t trial = 0;
    // Epochs of the rung.
    int32_t epoch = 0;
    // For people.
    std::string reason;
  };

  // Trials to make, in order.
  std::vector<Parameters> created;
  // Of each of them; empty without replicates.
  std::vector<Place> places;
  // Trials that were started ahead of a stop that came: they do not count.
  std::vector<Discard> discarded;
  // What was decided at rungs, once for each trial and rung.
  std::vector<Pass> passed;
  std::vector<Prune> pruned;
  // Advance() has nothing more to say after this.
  bool done = false;
  // Trials that may still be made after `created`; -1 where that depends on results.
  int32_t left = 0;
};

// What a search has found so far.
struct SearchFindings {
  struct Bracket {
    double low = 0;
    double high = 0;
    // Unset where nothing was measured.
    std::optional<double> low_objective;
    std::optional<double> high_objective;
  };
  std::optional<Bracket> bracket;
  std::optional<double> answer;
  // Points of which racing makes no more trials.
  int32_t raced_out = 0;
  // For people.
  std::string message;
};

// Proposes trials. A searcher has no memory: what it says is a function of the specification and
// of the results so far, so that the journal needs to hold results and proposals alone: a
// coordinator that was killed proposes what it would have proposed.
//
// The answers of the scalar searches and of linear must not depend on the order in which trials
// end; those that learn as they go (tpe, asha, hyperband, racing) go by what is known when there is
// room or a rung is reached.
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

  // Nothing, for searches whose answer is their best trial.
  virtual SearchFindings Findings(absl::Span<const TrialResult>) const { return {}; }
};

// The searcher of a resolved and valid specification; without a search, one that makes a single
// trial of the recipe as it stands. To add a method: methods.h.
std::unique_ptr<Searcher> MakeSearcher(const v1::ExperimentSpec& spec);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_SEARCH_SEARCHER_H_
