#ifndef CVTRAIN_PLAN_RECIPE_SEARCH_POINTS_H_
#define CVTRAIN_PLAN_RECIPE_SEARCH_POINTS_H_

#include <cstdint>
#include <string>
#include <vector>

namespace cvtrain::v1 {
class ExperimentSpec;
class LinearSearch;
class Recipe;
class ScalarRange;
class Search;
}  // namespace cvtrain::v1

namespace cvtrain::plan {

// What a search visits, as far as its text alone says. Pure functions;
// thread-safe.

// A number as a parameter's value: twelve significant digits, so that 0.1 + 2 * 0.1 is `0.3`.
std::string PointText(double value);

// Points of a linear search in order: `values`, or start + i * step up to stop,
// which is included where a step meets it within a millionth of a step. Empty
// for a step that does not lead from start to stop; at most
// limits::kTrialsPerSweepMax + 1, which tells too many.
std::vector<double> LinearPoints(const v1::LinearSearch& search);

// The points of a scalar search, in increasing order. Immutable; thread-safe.
class ScalarPoints {
 public:
  // Of a range that is valid; of others the result has no meaning.
  explicit ScalarPoints(const v1::ScalarRange& range);

  // At most kScalarPointsMax.
  int64_t size() const { return size_; }
  // `index` in [0, size()).
  double At(int64_t index) const;

 private:
  std::vector<double> values_;  // empty: by the following
  double min_ = 0;
  double spacing_ = 0;
  int64_t size_ = 0;
};
inline constexpr int64_t kScalarPointsMax = 1'000'001;

// The range of golden, bisect, secant, monotone_threshold; null for the others.
const v1::ScalarRange* ScalarRangeOf(const v1::Search& search);

// The epochs of the rungs of asha and hyperband: min_epochs times powers of the reduction factor,
// each moved on to the next epoch with an evaluation, below the epochs of the recipe, without
// repetition. Empty for other methods, and where there is no room for a rung. Defaults may be
// missing.
std::vector<int32_t> SearchRungs(const v1::ExperimentSpec& spec);

// Epochs of a recipe; those of a synthetic one are its steps in units of steps_per_epoch.
int32_t EpochsOf(const v1::Recipe& recipe);

// Trials that `search` makes if nothing stops it early, replicates included: 1 without a method; -1
// where it decides as it goes. Saturates at INT64_MAX.
int64_t SearchTrialCount(const v1::Search& search);

// Paths of the fields that `search` changes, in its order.
std::vector<std::string> SearchedPaths(const v1::Search& search);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_RECIPE_SEARCH_POINTS_H_
