#ifndef CVTRAIN_PLAN_CURRICULUM_SCALE_SET_H_
#define CVTRAIN_PLAN_CURRICULUM_SCALE_SET_H_

#include <cstdint>
#include <vector>

namespace cvtrain::plan {

// The sizes and batches that a multi-scale step is drawn from, as in the
// released sampler of Nunez et al. 2023 (multiscale-samplers, B.2 and B.3).
// Pure functions of integers; thread-safe.

// A size in pixels and the images of one logical rank at that size. Ordered by
// height, width, batch.
struct Scale {
  int32_t height = 0;
  int32_t width = 0;
  int32_t batch_size = 0;

  int64_t Area() const { return int64_t{height} * width; }
  friend auto operator<=>(const Scale&, const Scale&) = default;
};

struct AxisOptions {
  // Added to the sizes unless 0.
  int32_t base = 0;
  // Pixels, both included; min <= max.
  int32_t min = 0;
  int32_t max = 0;
  // Spaced sizes, at least 1. With 1 there is only `min`.
  int32_t count = 1;
  // At least 1.
  int32_t divisible_by = 1;
};

// The multiple of `divisor` nearest to `value`, halves up, at least `divisor`,
// and the next one if that were less than 0.9 of `value`.
int32_t RoundToDivisor(double value, int32_t divisor);

// Sizes along one axis, ascending. Duplicates that come from rounding stay:
// PairScales() joins two axes position by position.
std::vector<int32_t> SizesAlongAxis(const AxisOptions& axis);

struct ScaleSetOptions {
  // Base size before rounding, and base batch per logical rank.
  Scale base;
  // The range, which both axes share.
  int32_t min = 0;
  int32_t max = 0;
  int32_t count = 1;
  int32_t divisible_by = 1;
  // The base size belongs to the set whatever the range.
  bool include_base = true;
  // Batches follow the area; otherwise all are the base batch.
  bool variable_batch = true;
};

// Images of a batch at height x width that cost about what the base batch
// does: the quotient rounded to cents, then truncated, at least 1.
int32_t BatchForSize(const Scale& base, int32_t height, int32_t width);

// Joins the i-th height with the i-th width (not a grid), gives each its batch,
// and returns them sorted without duplicates. The longer list loses its rest.
std::vector<Scale> PairScales(const std::vector<int32_t>& heights,
                              const std::vector<int32_t>& widths, const Scale& base,
                              bool variable_batch);

// The set of a stage. Never empty.
std::vector<Scale> ScaleSet(const ScaleSetOptions& options);

// False if the two axes have lists of different length, because the base falls
// on a spaced size on one axis only: pairs would drift and the largest would be
// lost. Such a recipe is refused.
bool AxesAlign(const ScaleSetOptions& options);

// Mean batch over the set, every scale being equally likely.
double MeanBatch(const std::vector<Scale>& scales);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_CURRICULUM_SCALE_SET_H_
