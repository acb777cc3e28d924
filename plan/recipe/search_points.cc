#include "plan/recipe/search_points.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_format.h"
#include "common/limits.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/recipe/search_space.h"

namespace cvtrain::plan {
namespace {

constexpr double kStepTolerance = 1e-6;

int64_t GridPoints(const v1::GridSearch& grid) {
  int64_t count = 1;
  for (const v1::GridParameter& parameter : grid.parameters()) {
    if (__builtin_mul_overflow(count, int64_t{parameter.values_size()}, &count)) {
      return std::numeric_limits<int64_t>::max();
    }
  }
  return count;
}

// Without replicates.
int64_t PointCount(const v1::Search& search) {
  switch (search.method_case()) {
    case v1::Search::kGrid:
      return GridPoints(search.grid());
    case v1::Search::kRandom:
      return search.random().trials();
    case v1::Search::kLinear:
      return static_cast<int64_t>(LinearPoints(search.linear()).size());
    case v1::Search::kSobol:
      return search.sobol().trials();
    case v1::Search::kTpe:
      return search.tpe().trials();
    case v1::Search::kAsha:
      return search.asha().trials();
    case v1::Search::kHyperband:
      return search.hyperband().trials();
    case v1::Search::kGolden:
    case v1::Search::kBisect:
    case v1::Search::kSecant:
    case v1::Search::kMonotoneThreshold:
      return -1;
    case v1::Search::METHOD_NOT_SET:
      break;
  }
  return 1;
}

}  // namespace

std::string PointText(double value) { return absl::StrFormat("%.12g", value); }

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

ScalarPoints::ScalarPoints(const v1::ScalarRange& range)
    : values_(range.values().begin(), range.values().end()), min_(range.min()) {
  if (!values_.empty()) {
    size_ = static_cast<int64_t>(values_.size());
    return;
  }
  const double width = range.max() - range.min();
  if (range.has_step()) {
    spacing_ = range.step();
    const double steps = std::floor(width / range.step() + kStepTolerance);
    size_ = 1 + static_cast<int64_t>(std::clamp(steps, 0.0, double{kScalarPointsMax - 1}));
    return;
  }
  const double steps = std::ceil(width / range.tolerance() - kStepTolerance);
  const double count = std::clamp(steps, 1.0, double{kScalarPointsMax - 1});
  spacing_ = width / count;
  size_ = 1 + static_cast<int64_t>(count);
}

double ScalarPoints::At(int64_t index) const {
  if (!values_.empty()) return values_[static_cast<size_t>(index)];
  return min_ + static_cast<double>(index) * spacing_;
}

const v1::ScalarRange* ScalarRangeOf(const v1::Search& search) {
  switch (search.method_case()) {
    case v1::Search::kGolden:
      return &search.golden().over();
    case v1::Search::kBisect:
      return &search.bisect().over();
    case v1::Search::kSecant:
      return &search.secant().over();
    case v1::Search::kMonotoneThreshold:
      return &search.monotone_threshold().over();
    default:
      return nullptr;
  }
}

int32_t EpochsOf(const v1::Recipe& recipe) {
  if (recipe.task() != v1::Recipe::TASK_SYNTHETIC) return recipe.epochs();
  const v1::Synthetic& synthetic = recipe.synthetic();
  const int64_t of_one =
      synthetic.steps_per_epoch() > 0 ? synthetic.steps_per_epoch() : synthetic.steps();
  return of_one > 0 ? static_cast<int32_t>(synthetic.steps() / of_one) : 0;
}

std::vector<int32_t> SearchRungs(const v1::ExperimentSpec& spec) {
  const v1::Search& search = spec.search();
  double epoch = 1;
  double factor = 0;
  if (search.has_asha()) {
    if (search.asha().has_min_epochs()) epoch = search.asha().min_epochs();
    factor = search.asha().has_reduction_factor() ? search.asha().reduction_factor() : 4;
  } else if (search.has_hyperband()) {
    if (search.hyperband().has_min_epochs()) epoch = search.hyperband().min_epochs();
    factor = search.hyperband().has_reduction_factor() ? search.hyperband().reduction_factor() : 3;
  }
  if (epoch < 1 || factor < 2) return {};
  const int32_t every = spec.recipe().task() == v1::Recipe::TASK_SYNTHETIC
                            ? 1
                            : std::max(1, spec.recipe().evaluation().every_epochs());
  const int32_t epochs = EpochsOf(spec.recipe());
  std::vector<int32_t> rungs;
  for (; epoch < epochs; epoch *= factor) {
    const int32_t evaluated = (static_cast<int32_t>(epoch) + every - 1) / every * every;
    if (evaluated >= epochs) break;
    if (rungs.empty() || evaluated > rungs.back()) rungs.push_back(evaluated);
  }
  return rungs;
}

int64_t SearchTrialCount(const v1::Search& search) {
  const int64_t points = PointCount(search);
  int64_t trials = 0;
  if (points < 0 || search.has_racing()) return -1;
  const int64_t replicates = search.has_replicates() ? search.replicates() : 1;
  if (__builtin_mul_overflow(points, replicates, &trials)) {
    return std::numeric_limits<int64_t>::max();
  }
  return trials;
}

std::vector<std::string> SearchedPaths(const v1::Search& search) {
  std::vector<std::string> paths;
  for (const v1::GridParameter& parameter : search.grid().parameters()) {
    paths.push_back(parameter.parameter());
  }
  if (const auto space = SearchSpace::Of(search)) {
    for (size_t i = 0; i < space->size(); ++i) paths.push_back(space->parameter(i).parameter());
  }
  if (search.has_linear()) paths.push_back(search.linear().parameter());
  if (const v1::ScalarRange* range = ScalarRangeOf(search)) {
    paths.push_back(range->parameter());
    paths.insert(paths.end(), range->also().begin(), range->also().end());
  }
  return paths;
}

}  // namespace cvtrain::plan
