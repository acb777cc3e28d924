#include "plan/curriculum/scale_set.h"

#include <algorithm>
#include <limits>
#include <set>

namespace cvtrain::plan {
namespace {

// The i-th of `count` equally spaced numbers, both ends exact.
double SpacedSize(int32_t min, int32_t max, int32_t count, int32_t i) {
  if (i == 0) return min;
  if (i == count - 1) return max;
  return i * (static_cast<double>(max - min) / (count - 1)) + min;
}

bool IsSpaced(const ScaleSetOptions& options, int32_t size) {
  for (int32_t i = 0; i < options.count; ++i) {
    if (SpacedSize(options.min, options.max, options.count, i) == size) return true;
  }
  return false;
}

AxisOptions Axis(const ScaleSetOptions& options, int32_t base) {
  return {.base = options.include_base ? base : 0,
          .min = options.min,
          .max = options.max,
          .count = options.count,
          .divisible_by = options.divisible_by};
}

}  // namespace

int32_t RoundToDivisor(double value, int32_t divisor) {
  const auto shifted = static_cast<int64_t>(value + divisor / 2.0);
  const int64_t nearest = shifted / divisor * divisor;
  int64_t rounded = std::max<int64_t>(divisor, nearest);
  if (static_cast<double>(rounded) < 0.9 * value) {
    rounded += divisor;
  }
  return static_cast<int32_t>(rounded);
}

std::vector<int32_t> SizesAlongAxis(const AxisOptions& axis) {
  std::set<double> spaced;
  for (int32_t i = 0; i < axis.count; ++i) {
    spaced.insert(SpacedSize(axis.min, axis.max, axis.count, i));
  }
  if (axis.base != 0) {
    spaced.insert(axis.base);
  }
  std::vector<int32_t> sizes;
  sizes.reserve(spaced.size());
  for (double value : spaced) {
    sizes.push_back(RoundToDivisor(value, axis.divisible_by));
  }
  std::sort(sizes.begin(), sizes.end());
  return sizes;
}

int32_t BatchForSize(const Scale& base, int32_t height, int32_t width) {
  const int64_t pixels = base.Area() * base.batch_size;
  const int64_t area = int64_t{height} * width;
  // In whole cents, halves up: no floating point, so the same everywhere.
  const int64_t cents = (pixels * 200 + area) / (2 * area);
  return static_cast<int32_t>(
      std::clamp<int64_t>(cents / 100, 1, std::numeric_limits<int32_t>::max()));
}

std::vector<Scale> PairScales(const std::vector<int32_t>& heights,
                              const std::vector<int32_t>& widths, const Scale& base,
                              bool variable_batch) {
  std::set<Scale> scales;
  const size_t count = std::min(heights.size(), widths.size());
  for (size_t i = 0; i < count; ++i) {
    const int32_t batch =
        variable_batch ? BatchForSize(base, heights[i], widths[i]) : base.batch_size;
    scales.insert({heights[i], widths[i], batch});
  }
  return {scales.begin(), scales.end()};
}

std::vector<Scale> ScaleSet(const ScaleSetOptions& options) {
  return PairScales(SizesAlongAxis(Axis(options, options.base.height)),
                    SizesAlongAxis(Axis(options, options.base.width)), options.base,
                    options.variable_batch);
}

bool AxesAlign(const ScaleSetOptions& options) {
  return !options.include_base ||
         IsSpaced(options, options.base.height) == IsSpaced(options, options.base.width);
}

double MeanBatch(const std::vector<Scale>& scales) {
  double sum = 0;
  for (const Scale& scale : scales) {
    sum += scale.batch_size;
  }
  return sum / static_cast<double>(scales.size());
}

}  // namespace cvtrain::plan
