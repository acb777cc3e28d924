#ifndef CVTRAIN_COORDINATOR_SEARCH_SCALAR_H_
#define CVTRAIN_COORDINATOR_SEARCH_SCALAR_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "cvtrain/v1/recipe.pb.h"

// The questions of the scalar searches, apart from trials: a method asks for the objective at
// points 0 .. n - 1 of a row, and what it asks next follows from the answers alone. So its path
// through the points is one, whatever the order in which trials end; a driver (scalar.cc) walks it
// anew each time, and probes ahead where the path may go.
namespace cvtrain::coordinator {

// Where a search stands. The fields after `high` belong to the methods.
struct ScalarState {
  // The answer lies between these points; one beyond the row where nothing is known.
  int64_t low = 0;
  int64_t high = 0;
  // 0: the first question.
  int stage = 0;
  // golden: which Fibonacci number high - low is.
  int fibonacci = 0;
  // secant: objective less target at both ends, halved as its method says; steps that gained
  // little.
  double low_gap = 0;
  double high_gap = 0;
  int slow_steps = 0;
  int last_side = 0;
};

struct ScalarAnswer {
  ScalarState next;
  // Not empty: the search cannot go on, for people.
  std::string stop = {};
};

// The objective at a point that was asked for; nullopt: its trial failed, was cancelled, or had no
// finite value.
using ScalarLookup = absl::FunctionRef<std::optional<double>(int64_t point)>;

// Immutable; thread-safe.
class ScalarMethod {
 public:
  virtual ~ScalarMethod() = default;

  virtual ScalarState Start() const = 0;
  // Points whose objectives settle the next question, in [0, n), without repetition; empty once
  // there is nothing more to ask.
  virtual std::vector<int64_t> Asks(const ScalarState& state) const = 0;
  // What follows when all of them are known.
  virtual ScalarAnswer Answer(const ScalarState& state, ScalarLookup lookup) const = 0;
  // The states that may follow, as far as that can be said before they are known.
  virtual std::vector<ScalarState> Branches(const ScalarState& state) const = 0;
  // The point that answers, once there is nothing more to ask; nullopt: none does.
  virtual std::optional<int64_t> Result(const ScalarState& state, ScalarLookup lookup) const = 0;
};

// `points` are how many there are, at least 2. The best of one peak.
std::unique_ptr<ScalarMethod> MakeGoldenMethod(int64_t points, bool maximize);
// Where the objective crosses `target`.
std::unique_ptr<ScalarMethod> MakeBisectMethod(int64_t points, double target);
std::unique_ptr<ScalarMethod> MakeSecantMethod(int64_t points, double target);
// The first (last) point that keeps the objective.
std::unique_ptr<ScalarMethod> MakeThresholdMethod(int64_t points, bool maximize,
                                                  const v1::MonotoneThresholdSearch& search);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_SEARCH_SCALAR_H_
