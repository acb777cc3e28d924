#ifndef CVTRAIN_PLAN_RECIPE_SEARCH_POINTS_H_
#define CVTRAIN_PLAN_RECIPE_SEARCH_POINTS_H_

#include <cstdint>
#include <string>
#include <vector>

namespace cvtrain::v1 {
class LinearSearch;
class Search;
}  // namespace cvtrain::v1

namespace cvtrain::plan {

// What a search visits, as far as its text alone says. Pure functions;
// thread-safe.

// Points of a linear search in order: `values`, or start + i * step up to stop,
// which is included where a step meets it within a millionth of a step. Empty
// for a step that does not lead from start to stop; at most
// limits::kTrialsPerSweepMax + 1, which tells too many.
std::vector<double> LinearPoints(const v1::LinearSearch& search);

// Trials that `search` makes if nothing stops it early: 1 without a method.
// Saturates at INT64_MAX.
int64_t SearchTrialCount(const v1::Search& search);

// Paths of the fields that `search` changes, in its order.
std::vector<std::string> SearchedPaths(const v1::Search& search);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_RECIPE_SEARCH_POINTS_H_
