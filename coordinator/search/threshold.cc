#include <algorithm>
#include <cmath>

#include "coordinator/search/scalar.h"

namespace cvtrain::coordinator {
namespace {

// Differences of values that were rounded to decimals: 75 - 74.8 is a little more than 0.2.
constexpr double kRounding = 1e-9;

// By halves between the last point known not to keep the objective and the first known to keep it.
// The row is walked towards the baseline: from its end where the largest value is sought. A point
// without an objective does not keep it.
class Threshold : public ScalarMethod {
 public:
  Threshold(int64_t points, bool maximize, const v1::MonotoneThresholdSearch& search)
      : points_(points),
        maximize_(maximize),
        largest_(search.seek() == v1::MonotoneThresholdSearch::SEEK_LARGEST),
        margin_(search.margin()) {
    if (search.has_baseline()) baseline_ = search.baseline();
  }

  // With a baseline that is given nothing is known of the far end.
  ScalarState Start() const override {
    ScalarState state;
    state.stage = baseline_ ? 1 : 0;
    state.low = -1;
    state.high = points_;
    return state;
  }

  std::vector<int64_t> Asks(const ScalarState& state) const override {
    if (state.stage == 0) return {FarEnd()};
    const std::optional<int64_t> point = Inside(state);
    if (!point) return {};
    return {*point};
  }

  ScalarAnswer Answer(const ScalarState& state, ScalarLookup lookup) const override {
    if (state.stage == 0) {
      if (!lookup(FarEnd())) return {state, "the baseline has no objective"};
      return {KnownBaseline(state)};
    }
    return {Halved(state, Keeps(lookup(*Inside(state)), lookup))};
  }

  std::vector<ScalarState> Branches(const ScalarState& state) const override {
    if (state.stage == 0) return {KnownBaseline(state)};
    return {Halved(state, true), Halved(state, false)};
  }

  std::optional<int64_t> Result(const ScalarState& state, ScalarLookup) const override {
    const int64_t first = largest_ ? state.low : state.high;
    if (first < 0 || first >= points_) return std::nullopt;
    return first;
  }

 private:
  int64_t FarEnd() const { return largest_ ? 0 : points_ - 1; }

  // The side of the baseline is `high` where the smallest is sought, else `low`.
  ScalarState KnownBaseline(ScalarState state) const {
    state.stage = 1;
    (largest_ ? state.low : state.high) = FarEnd();
    return state;
  }

  static std::optional<int64_t> Inside(const ScalarState& state) {
    if (state.high - state.low <= 1) return std::nullopt;
    return state.low + (state.high - state.low) / 2;
  }

  ScalarState Halved(ScalarState state, bool keeps) const {
    (keeps == largest_ ? state.low : state.high) = *Inside(state);
    return state;
  }

  bool Keeps(const std::optional<double>& value, ScalarLookup lookup) const {
    const std::optional<double> baseline = baseline_ ? baseline_ : lookup(FarEnd());
    if (!value || !baseline) return false;
    const double worse = maximize_ ? *baseline - *value : *value - *baseline;
    return worse <= margin_ + kRounding * std::max(1.0, std::abs(*baseline));
  }

  const int64_t points_;
  const bool maximize_;
  const bool largest_;
  const double margin_;
  std::optional<double> baseline_;  // constant after construction
};

}  // namespace

std::unique_ptr<ScalarMethod> MakeThresholdMethod(int64_t points, bool maximize,
                                                  const v1::MonotoneThresholdSearch& search) {
  return std::make_unique<Threshold>(points, maximize, search);
}

}  // namespace cvtrain::coordinator
