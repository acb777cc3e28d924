#include <initializer_list>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/curriculum/psnr_target.h"
#include "plan/recipe/checks.h"

namespace cvtrain::plan {
namespace {

constexpr char kPath[] = "recipe.augmentation";
constexpr int kPolicyOperationsMax = 14;
constexpr int kMagnitudeBinsMax = 1'024;

// Two ends of which each has a default; both inside `interval`, in order.
struct Ends {
  double low;
  double high;
};
void CheckEnds(const std::string& path, const Ends& ends, const Interval& interval, Rules& rules) {
  rules.InRange(path + "_min", ends.low, interval);
  rules.InRange(path + "_max", ends.high, interval);
  if (ends.low > ends.high) {
    rules.Add(
        path + "_max",
        absl::StrCat("must be at least ", path.substr(path.rfind('.') + 1), "_min, ", ends.low),
        absl::StrCat(ends.high));
  }
}

void CheckCrop(const v1::RandomResizedCrop& crop, Rules& rules) {
  const std::string path = "recipe.augmentation.random_resized_crop";
  CheckEnds(path + ".scale",
            {crop.has_scale_min() ? crop.scale_min() : 0.08,
             crop.has_scale_max() ? crop.scale_max() : 1.0},
            Above(0, 1), rules);
  CheckEnds(path + ".ratio",
            {crop.has_ratio_min() ? crop.ratio_min() : 3.0 / 4,
             crop.has_ratio_max() ? crop.ratio_max() : 4.0 / 3},
            Closed(0.1, 10), rules);
}

void CheckNormalize(const v1::Normalize& normalize, Rules& rules) {
  const std::string path = "recipe.augmentation.normalize";
  if (normalize.mean_size() != 0 && normalize.mean_size() != 3) {
    rules.Add(path + ".mean", "must have three entries", absl::StrCat(normalize.mean_size()));
  }
  if (normalize.std_size() != 0 && normalize.std_size() != 3) {
    rules.Add(path + ".std", "must have three entries", absl::StrCat(normalize.std_size()));
  }
  for (int i = 0; i < normalize.std_size(); ++i) {
    if (!(normalize.std(i) > 0)) {
      rules.Add(absl::StrCat(path, ".std.", i), "must be positive", absl::StrCat(normalize.std(i)));
    }
  }
}

void CheckStart(const std::string& name, const v1::EffectiveRange& start,
                const MagnitudeRange& range, Rules& rules) {
  const std::string path = "recipe.augmentation.range_augment.start." + name;
  rules.InRange(path + ".low", start.low(), Closed(range.low.min, range.low.max));
  rules.InRange(path + ".high", start.high(), Closed(range.high.min, range.high.max));
}

void CheckRangeAugment(const v1::RangeAugment& augment, Rules& rules) {
  const std::string path = "recipe.augmentation.range_augment";
  if (!augment.has_target_psnr()) {
    rules.Add(path + ".target_psnr", "is required, such as {start: 40, end: 20}");
  }
  rules.InRange(path + ".target_psnr.start", augment.target_psnr().start(), Closed(0, 100));
  rules.InRange(path + ".target_psnr.end", augment.target_psnr().end(), Closed(0, 100));

  std::set<int> seen;
  for (int i = 0; i < augment.operations_size(); ++i) {
    const int operation = augment.operations(i);
    const std::string entry = absl::StrCat(path, ".operations.", i);
    if (operation == v1::RangeAugment::OPERATION_UNSPECIFIED) {
      rules.Add(entry, "must be one of brightness, contrast, noise");
    } else if (!seen.insert(operation).second) {
      rules.Add(entry, "is given twice");
    }
  }
  if (augment.has_alpha() && !(augment.alpha() > 0)) {
    rules.Add(path + ".alpha", "must be positive", absl::StrCat(augment.alpha()));
  }
  const v1::RangeStart& start = augment.start();
  if (start.has_brightness()) {
    CheckStart("brightness", start.brightness(), kBrightnessRange, rules);
  }
  if (start.has_contrast()) CheckStart("contrast", start.contrast(), kContrastRange, rules);
  if (start.has_noise()) CheckStart("noise", start.noise(), kNoiseRange, rules);
  if (augment.has_learning_rate_multiplier()) {
    rules.InRange(path + ".learning_rate_multiplier", augment.learning_rate_multiplier(),
                  Above(0, 100));
  }
  rules.InRange(path + ".weight_decay", augment.weight_decay(), Closed(0, 1));
}

void CheckProbability(const std::string& path, double probability, Rules& rules) {
  rules.InRange(path + ".probability", probability, Closed(0, 1));
}

void CheckColorJitter(const v1::ColorJitter& jitter, Rules& rules) {
  const std::string path = absl::StrCat(kPath, ".color_jitter");
  rules.InRange(path + ".brightness", jitter.brightness(), Closed(0, 10));
  rules.InRange(path + ".contrast", jitter.contrast(), Closed(0, 10));
  rules.InRange(path + ".saturation", jitter.saturation(), Closed(0, 10));
  rules.InRange(path + ".hue", jitter.hue(), Closed(0, 0.5));
  CheckProbability(path, jitter.probability(), rules);
}

void CheckRandAugment(const v1::RandAugment& augment, Rules& rules) {
  const std::string path = absl::StrCat(kPath, ".rand_augment");
  if (augment.has_num_ops()) {
    rules.InRange(path + ".num_ops", augment.num_ops(), Closed(1, kPolicyOperationsMax));
  }
  const int bins = augment.has_num_magnitude_bins() ? augment.num_magnitude_bins() : 31;
  rules.InRange(path + ".num_magnitude_bins", bins, Closed(2, kMagnitudeBinsMax));
  const int magnitude = augment.has_magnitude() ? augment.magnitude() : 9;
  if (bins >= 2 && bins <= kMagnitudeBinsMax) {
    rules.InRange(path + ".magnitude", magnitude, Closed(0, bins - 1));
  }
}

void CheckPolicies(const v1::Augmentation& augmentation, Rules& rules) {
  if (augmentation.has_rand_augment()) CheckRandAugment(augmentation.rand_augment(), rules);
  if (augmentation.trivial_augment().has_num_magnitude_bins()) {
    rules.InRange(absl::StrCat(kPath, ".trivial_augment.num_magnitude_bins"),
                  augmentation.trivial_augment().num_magnitude_bins(),
                  Closed(2, kMagnitudeBinsMax));
  }
  if (augmentation.has_auto_augment() &&
      augmentation.auto_augment().policy() == v1::AutoAugment::POLICY_UNSPECIFIED) {
    rules.Add(absl::StrCat(kPath, ".auto_augment.policy"), "is required: one of imagenet, cifar10");
  }
}

void CheckErasing(const v1::RandomErasing& erasing, Rules& rules) {
  const std::string path = absl::StrCat(kPath, ".random_erasing");
  CheckProbability(path, erasing.probability(), rules);
  CheckEnds(path + ".scale",
            {erasing.has_scale_min() ? erasing.scale_min() : 0.02,
             erasing.has_scale_max() ? erasing.scale_max() : 0.33},
            Above(0, 1), rules);
  CheckEnds(path + ".ratio",
            {erasing.has_ratio_min() ? erasing.ratio_min() : 0.3,
             erasing.has_ratio_max() ? erasing.ratio_max() : 3.3},
            Closed(0.1, 10), rules);
}

// MixUp or CutMix.
template <typename Mix>
void CheckMix(const std::string& name, const Mix& mix, Rules& rules) {
  const std::string path = absl::StrCat(kPath, ".", name);
  if (mix.has_alpha()) rules.InRange(path + ".alpha", mix.alpha(), Above(0, 10));
  CheckProbability(path, mix.probability(), rules);
}

// Adds a violation if more than one of `given` is true.
void CheckAtMostOne(std::initializer_list<std::pair<const char*, bool>> given, Rules& rules) {
  std::vector<std::string> all;
  std::vector<std::string> those;
  for (const auto& [name, is_given] : given) {
    all.push_back(name);
    if (is_given) those.push_back(name);
  }
  if (those.size() <= 1) return;
  rules.Add(absl::StrCat(kPath, ".", those[1]),
            absl::StrCat("cannot be given together with ", those[0], ": at most one of ",
                         absl::StrJoin(all, ", ")));
}

}  // namespace

void CheckAugmentation(const v1::Augmentation& augmentation, Rules& rules) {
  CheckAtMostOne({{"random_resized_crop", augmentation.has_random_resized_crop()},
                  {"resize", augmentation.has_resize()},
                  {"center_crop", augmentation.has_center_crop()}},
                 rules);
  CheckAtMostOne({{"rand_augment", augmentation.has_rand_augment()},
                  {"trivial_augment", augmentation.has_trivial_augment()},
                  {"auto_augment", augmentation.has_auto_augment()}},
                 rules);
  if (augmentation.has_random_resized_crop()) {
    CheckCrop(augmentation.random_resized_crop(), rules);
  }
  if (augmentation.center_crop().has_resize_ratio()) {
    rules.InRange(absl::StrCat(kPath, ".center_crop.resize_ratio"),
                  augmentation.center_crop().resize_ratio(), Closed(1, 4));
  }
  CheckProbability(absl::StrCat(kPath, ".horizontal_flip"),
                   augmentation.horizontal_flip().probability(), rules);
  CheckColorJitter(augmentation.color_jitter(), rules);
  CheckPolicies(augmentation, rules);
  if (augmentation.has_range_augment()) CheckRangeAugment(augmentation.range_augment(), rules);
  if (augmentation.has_normalize()) CheckNormalize(augmentation.normalize(), rules);
  if (augmentation.has_random_erasing()) CheckErasing(augmentation.random_erasing(), rules);
  CheckMix("mixup", augmentation.mixup(), rules);
  CheckMix("cutmix", augmentation.cutmix(), rules);
}

}  // namespace cvtrain::plan
