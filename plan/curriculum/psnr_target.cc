#include "plan/curriculum/psnr_target.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "common/errors.h"
#include "cvtrain/v1/recipe.pb.h"

namespace cvtrain::plan {
namespace {

// What an end of a clip interval becomes: sigmoid(4) is 0.982.
constexpr double kRawEnd = 4.0;

double RawOf(double effective, const ClipInterval& interval) {
  if (effective <= interval.min) return -kRawEnd;
  if (effective >= interval.max) return kRawEnd;
  // To a billionth, so that effective values that were computed from raw ones give
  // those back.
  return std::round(InverseSoftClip(effective, interval) * 1e9) / 1e9;
}

void StartAt(const v1::EffectiveRange& start, MagnitudeRange& range) {
  range.raw_low = RawOf(start.low(), range.low);
  range.raw_high = RawOf(start.high(), range.high);
}

}  // namespace

double MseFromPsnr(double psnr_db) { return kMseMax / std::pow(10.0, psnr_db / 10); }

double PsnrFromMse(double mse) { return 10 * std::log10(kMseMax / mse); }

absl::StatusOr<PsnrTargetTable> PsnrTargetTable::Create(const v1::Recipe& recipe) {
  if (!recipe.augmentation().has_range_augment() || recipe.epochs() < 1) {
    return InvalidArgument(Reason::kRecipeInvalid,
                           "recipe.augmentation.range_augment: a target needs it, and epochs");
  }
  const v1::PsnrTarget& target = recipe.augmentation().range_augment().target_psnr();
  Options options;
  if (target.has_start()) options.start_db = target.start();
  if (target.has_end()) options.end_db = target.end();
  if (target.curve() == v1::PsnrTarget::CURVE_LINEAR) options.curve = Curve::kLinear;
  options.epochs = recipe.epochs();
  return PsnrTargetTable(options);
}

double PsnrTargetTable::MseAt(int32_t epoch) const {
  const double start = MseFromPsnr(options_.start_db);
  const double end = MseFromPsnr(options_.end_db);
  const double entry = std::clamp(epoch, 0, options_.epochs);
  if (options_.curve == Curve::kLinear) {
    return start + (end - start) * entry / options_.epochs;
  }
  const double angle = std::numbers::pi * entry / (options_.epochs + 1);
  return end + (start - end) / 2 * (1 + std::cos(angle));
}

double SoftClip(double raw, const ClipInterval& interval) {
  return (interval.max - interval.min) / (1 + std::exp(-raw)) + interval.min;
}

double InverseSoftClip(double effective, const ClipInterval& interval) {
  const double p = (effective - interval.min) / (interval.max - interval.min);
  return std::log(p / (1 - p));
}

StartRanges StartRangesOf(const v1::RangeAugment& range_augment) {
  StartRanges ranges;
  const v1::RangeStart& start = range_augment.start();
  if (start.has_brightness()) StartAt(start.brightness(), ranges.brightness);
  if (start.has_contrast()) StartAt(start.contrast(), ranges.contrast);
  if (start.has_noise()) StartAt(start.noise(), ranges.noise);
  return ranges;
}

}  // namespace cvtrain::plan
