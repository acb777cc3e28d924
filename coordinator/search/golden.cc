#include <algorithm>
#include <limits>

#include "coordinator/search/scalar.h"

namespace cvtrain::coordinator {
namespace {

// F(1) = F(2) = 1.
int64_t Fibonacci(int k) {
  int64_t before = 0;
  int64_t number = 1;
  for (int i = 1; i < k; ++i) {
    const int64_t next = before + number;
    before = number;
    number = next;
  }
  return number;
}

// J. Kiefer, "Sequential minimax search for a maximum", Proc. AMS 4 (1953): the bracket has the
// length of a Fibonacci number, both probes divide it by the two before, and one of them is a probe
// of the next bracket too. It begins one point beyond both ends of the row, so that the ends may be
// the answer; points beyond the last count as worse than any.
class Golden : public ScalarMethod {
 public:
  Golden(int64_t points, bool maximize) : points_(points), maximize_(maximize) {}

  ScalarState Start() const override {
    ScalarState state;
    state.fibonacci = 4;
    while (Fibonacci(state.fibonacci) < points_ + 1) ++state.fibonacci;
    state.low = -1;
    state.high = -1 + Fibonacci(state.fibonacci);
    return state;
  }

  std::vector<int64_t> Asks(const ScalarState& state) const override {
    std::vector<int64_t> asks;
    if (state.fibonacci < 4) return asks;
    for (const int64_t point : {Left(state), Right(state)}) {
      if (point < points_) asks.push_back(point);
    }
    return asks;
  }

  // Of equals the left one: the peak is between them, and in both brackets.
  ScalarAnswer Answer(const ScalarState& state, ScalarLookup lookup) const override {
    const bool beyond = Right(state) >= points_;
    const std::optional<double> left = lookup(Left(state));
    const std::optional<double> right = beyond ? std::nullopt : lookup(Right(state));
    if (!beyond && !left && !right) {
      return {state, "neither probe of the bracket has an objective"};
    }
    const double worst = -std::numeric_limits<double>::infinity();
    const auto value = [&](const std::optional<double>& objective) {
      return objective ? (maximize_ ? *objective : -*objective) : worst;
    };
    return {value(left) >= value(right) ? ToLeft(state) : ToRight(state)};
  }

  std::vector<ScalarState> Branches(const ScalarState& state) const override {
    if (Right(state) >= points_) return {ToLeft(state)};
    return {ToLeft(state), ToRight(state)};
  }

  std::optional<int64_t> Result(const ScalarState& state, ScalarLookup lookup) const override {
    if (!lookup(state.low + 1)) return std::nullopt;
    return state.low + 1;
  }

 private:
  static int64_t Left(const ScalarState& state) {
    return state.low + Fibonacci(state.fibonacci - 2);
  }
  static int64_t Right(const ScalarState& state) {
    return state.low + Fibonacci(state.fibonacci - 1);
  }
  static ScalarState ToLeft(ScalarState state) {
    state.high = Right(state);
    --state.fibonacci;
    return state;
  }
  static ScalarState ToRight(ScalarState state) {
    state.low = Left(state);
    --state.fibonacci;
    return state;
  }

  const int64_t points_;
  const bool maximize_;
};

}  // namespace

std::unique_ptr<ScalarMethod> MakeGoldenMethod(int64_t points, bool maximize) {
  return std::make_unique<Golden>(points, maximize);
}

}  // namespace cvtrain::coordinator
