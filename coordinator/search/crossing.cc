// bisect and secant: where the objective crosses a target.

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "coordinator/search/scalar.h"
#include "plan/recipe/search_points.h"

namespace cvtrain::coordinator {
namespace {

// Both ends first; then one point inside, whose side of the target becomes the end of its side.
class Crossing : public ScalarMethod {
 public:
  Crossing(int64_t points, double target) : points_(points), target_(target) {}

  ScalarState Start() const override {
    ScalarState state;
    state.low = 0;
    state.high = points_ - 1;
    return state;
  }

  std::vector<int64_t> Asks(const ScalarState& state) const override {
    if (state.stage == 0) return {0, points_ - 1};
    if (state.high - state.low <= 1) return {};
    return {Inside(state)};
  }

  ScalarAnswer Answer(const ScalarState& state, ScalarLookup lookup) const override {
    return state.stage == 0 ? AtEnds(state, lookup) : AtInside(state, lookup);
  }

  std::optional<int64_t> Result(const ScalarState& state, ScalarLookup lookup) const override {
    const std::optional<double> low = lookup(state.low);
    const std::optional<double> high = lookup(state.high);
    if (!low || !high) return std::nullopt;
    return std::abs(*low - target_) <= std::abs(*high - target_) ? state.low : state.high;
  }

 protected:
  // Strictly between both ends.
  virtual int64_t Inside(const ScalarState& state) const = 0;
  // `state` with a new end, whose gap has been written; `side` is -1 for the low end, 1 for the
  // high one.
  virtual void Narrowed(ScalarState& /*state*/, int /*side*/, int64_t /*width_before*/) const {}

  static int64_t Middle(const ScalarState& state) {
    return state.low + (state.high - state.low) / 2;
  }

 private:
  ScalarAnswer AtEnds(ScalarState state, ScalarLookup lookup) const {
    const std::optional<double> low = lookup(state.low);
    const std::optional<double> high = lookup(state.high);
    if (!low || !high) {
      return {state, absl::StrCat("the ", low ? "upper" : "lower", " end has no objective")};
    }
    state.stage = 1;
    state.low_gap = *low - target_;
    state.high_gap = *high - target_;
    if (state.low_gap == 0) {
      state.high = state.low;
    } else if (state.high_gap == 0) {
      state.low = state.high;
    } else if ((state.low_gap > 0) == (state.high_gap > 0)) {
      return {state,
              absl::StrCat("both ends are ", state.low_gap > 0 ? "above" : "below",
                           " the target of ", plan::PointText(target_), ": widen the range")};
    }
    return {state};
  }

  ScalarAnswer AtInside(ScalarState state, ScalarLookup lookup) const {
    const int64_t inside = Inside(state);
    const std::optional<double> value = lookup(inside);
    if (!value) return {state, "a probe has no objective, so its side is not known"};
    const double gap = *value - target_;
    const int64_t width = state.high - state.low;
    if (gap == 0) {
      state.low = state.high = inside;
    } else if ((gap > 0) == (state.low_gap > 0)) {
      state.low = inside;
      state.low_gap = gap;
      Narrowed(state, -1, width);
    } else {
      state.high = inside;
      state.high_gap = gap;
      Narrowed(state, 1, width);
    }
    return {state};
  }

  const int64_t points_;
  const double target_;
};

class Bisect : public Crossing {
 public:
  using Crossing::Crossing;

  std::vector<ScalarState> Branches(const ScalarState& state) const override {
    if (state.stage == 0) {
      ScalarState next = state;
      next.stage = 1;
      return {next};
    }
    ScalarState left = state;
    left.high = Middle(state);
    ScalarState right = state;
    right.low = Middle(state);
    return {left, right};
  }

 private:
  int64_t Inside(const ScalarState& state) const override { return Middle(state); }
};

// The Illinois variant of regula falsi (Dowell and Jarratt 1971): an end that stays twice counts
// half. After two steps that did not halve the bracket the third does, so that it ends.
class Secant : public Crossing {
 public:
  using Crossing::Crossing;

  // The next point follows from the values themselves: none can be guessed.
  std::vector<ScalarState> Branches(const ScalarState&) const override { return {}; }

 private:
  int64_t Inside(const ScalarState& state) const override {
    if (state.slow_steps >= 2) return Middle(state);
    const double share = state.low_gap / (state.low_gap - state.high_gap);
    const double width = static_cast<double>(state.high - state.low);
    if (!std::isfinite(share)) return Middle(state);
    return std::clamp(state.low + static_cast<int64_t>(std::llround(share * width)), state.low + 1,
                      state.high - 1);
  }

  void Narrowed(ScalarState& state, int side, int64_t width_before) const override {
    if (state.last_side == side) (side < 0 ? state.high_gap : state.low_gap) /= 2;
    state.last_side = side;
    const bool halved = 2 * (state.high - state.low) <= width_before;
    state.slow_steps = halved ? 0 : state.slow_steps + 1;
  }
};

}  // namespace

std::unique_ptr<ScalarMethod> MakeBisectMethod(int64_t points, double target) {
  return std::make_unique<Bisect>(points, target);
}

std::unique_ptr<ScalarMethod> MakeSecantMethod(int64_t points, double target) {
  return std::make_unique<Secant>(points, target);
}

}  // namespace cvtrain::coordinator
