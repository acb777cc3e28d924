#ifndef CVTRAIN_PLAN_CURRICULUM_PSNR_TARGET_H_
#define CVTRAIN_PLAN_CURRICULUM_PSNR_TARGET_H_

#include <cstdint>

#include "absl/status/statusor.h"

namespace cvtrain::v1 {
class Recipe;
class RangeAugment;
}  // namespace cvtrain::v1

namespace cvtrain::plan {

// The numbers of RangeAugment (Mehta et al. 2022) that need no tensors:
// similarity targets over the epochs, and the soft clip of the six scalars.
// Pure functions; thread-safe.

// Largest mean squared error of 8-bit images: 255^2.
inline constexpr double kMseMax = 65025.0;

// PSNR = 20 log10(255) - 10 log10(MSE), on values of 0..255.
double MseFromPsnr(double psnr_db);
// `mse` > 0.
double PsnrFromMse(double mse);

// The target of each epoch, as a mean squared error: annealed in MSE, not in
// dB. For n epochs the table has n + 1 entries, i = 0..n:
//
//   cosine   end + (start - end) / 2 * (1 + cos(pi * i / (n + 1)))
//   linear   start + (end - start) * i / n
//
// Immutable.
class PsnrTargetTable {
 public:
  enum class Curve { kCosine, kLinear };
  struct Options {
    double start_db = 40;
    double end_db = 20;
    Curve curve = Curve::kCosine;
    // At least 1.
    int32_t epochs = 1;
  };

  explicit PsnrTargetTable(const Options& options) : options_(options) {}

  // The target of `recipe`, which must have range_augment; defaults may be
  // missing. Returns INVALID_ARGUMENT (RECIPE_INVALID) if it has not.
  static absl::StatusOr<PsnrTargetTable> Create(const v1::Recipe& recipe);

  // Beyond the table, the last entry.
  double MseAt(int32_t epoch) const;
  double PsnrAt(int32_t epoch) const { return PsnrFromMse(MseAt(epoch)); }

 private:
  Options options_;
};

// The interval that an effective bound lives in. bound = sigmoid(raw) * (max -
// min) + min.
struct ClipInterval {
  double min = 0;
  double max = 1;
};

double SoftClip(double raw, const ClipInterval& interval);

// The raw value whose soft clip is `effective`, which must be inside the
// interval, ends excluded.
double InverseSoftClip(double effective, const ClipInterval& interval);

// The learnable range of one operation: intervals of its two bounds, and the
// raw values that the released code starts with.
struct MagnitudeRange {
  ClipInterval low;
  ClipInterval high;
  double raw_low = 0;
  double raw_high = 0;
};

inline constexpr MagnitudeRange kBrightnessRange = {{0.1, 0.9}, {1.1, 10.0}, 0.5, 1.5};
inline constexpr MagnitudeRange kContrastRange = {{0.1, 0.9}, {1.1, 10.0}, 0.5, 1.5};
inline constexpr MagnitudeRange kNoiseRange = {{0.0, 0.00005}, {0.0001, 1.0}, 0.0, 0.1};

// Where a trial's ranges start: the released raw values, or those of
// RangeAugment.start. An effective value on an end of its interval, which no
// raw value reaches, becomes raw -4 or 4: as far out as still has a gradient.
struct StartRanges {
  MagnitudeRange brightness = kBrightnessRange;
  MagnitudeRange contrast = kContrastRange;
  MagnitudeRange noise = kNoiseRange;
};
StartRanges StartRangesOf(const v1::RangeAugment& range_augment);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_CURRICULUM_PSNR_TARGET_H_
