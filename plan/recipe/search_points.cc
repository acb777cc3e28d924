#include "plan/recipe/search_points.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/limits.h"
#include "cvtrain/v1/recipe.pb.h"

namespace cvtrain::plan {
namespace {

constexpr double kStepTolerance = 1e-6;

}  // namespace

std::vector<double> LinearPoints(const v1::LinearSearch& search) {
  if (search.values_size() > 0) return {search.values().begin(), search.values().end()};
  const double steps = (search.stop() - search.start()) / search.step();
  if (!std::isfinite(steps) || steps < 0) return {};
  constexpr double kPointsMax = limits::kTrialsPerSweepMax + 1;
  const double count = std::min(std::floor(steps + kStepTolerance) + 1, kPointsMax);
  std::vector<double> points;
  for (int i = 0; i < static_cast<int>(count); ++i) {
    points.push_back(search.start() + i * search.step());
  }
  return points;
}

int64_t SearchTrialCount(const v1::Search& search) {
  switch (search.method_case()) {
    case v1::Search::kGrid: {
      int64_t count = 1;
      for (const v1::GridParameter& parameter : search.grid().parameters()) {
        if (__builtin_mul_overflow(count, int64_t{parameter.values_size()}, &count)) {
          return std::numeric_limits<int64_t>::max();
        }
      }
      return count;
    }
    case v1::Search::kRandom:
      return search.random().trials();
    case v1::Search::kLinear:
      return static_cast<int64_t>(LinearPoints(search.linear()).size());
    case v1::Search::METHOD_NOT_SET:
      break;
  }
  return 1;
}

std::vector<std::string> SearchedPaths(const v1::Search& search) {
  std::vector<std::string> paths;
  for (const v1::GridParameter& parameter : search.grid().parameters()) {
    paths.push_back(parameter.parameter());
  }
  for (const v1::RandomParameter& parameter : search.random().parameters()) {
    paths.push_back(parameter.parameter());
  }
  if (search.has_linear()) paths.push_back(search.linear().parameter());
  return paths;
}

}  // namespace cvtrain::plan
