#include "cvtrain/v1/recipe.pb.h"
#include "plan/curriculum/psnr_target.h"
#include "plan/recipe/defaults.h"
#include "plan/rules/default_macro.h"

namespace cvtrain::plan {
namespace {

void WriteStart(const MagnitudeRange& range, v1::EffectiveRange& start) {
  start.set_low(SoftClip(range.raw_low, range.low));
  start.set_high(SoftClip(range.raw_high, range.high));
}

void WriteRangeAugment(double network_weight_decay, v1::RangeAugment& augment) {
  v1::PsnrTarget& target = *augment.mutable_target_psnr();
  CVT_DEFAULT(target, start, 40);
  CVT_DEFAULT(target, end, 20);
  if (target.curve() == v1::PsnrTarget::CURVE_UNSPECIFIED) {
    target.set_curve(v1::PsnrTarget::CURVE_COSINE);
  }
  if (augment.operations_size() == 0) {
    augment.add_operations(v1::RangeAugment::OPERATION_BRIGHTNESS);
    augment.add_operations(v1::RangeAugment::OPERATION_CONTRAST);
    augment.add_operations(v1::RangeAugment::OPERATION_NOISE);
  }
  CVT_DEFAULT(augment, alpha, 100);
  v1::RangeStart& start = *augment.mutable_start();
  if (!start.has_brightness()) WriteStart(kBrightnessRange, *start.mutable_brightness());
  if (!start.has_contrast()) WriteStart(kContrastRange, *start.mutable_contrast());
  if (!start.has_noise()) WriteStart(kNoiseRange, *start.mutable_noise());
  CVT_DEFAULT(augment, learning_rate_multiplier, 1);
  CVT_DEFAULT(augment, weight_decay, network_weight_decay);
}

void WriteCrop(v1::Augmentation& augmentation) {
  if (augmentation.has_resize()) return;
  if (augmentation.has_center_crop()) {
    CVT_DEFAULT(*augmentation.mutable_center_crop(), resize_ratio, 256.0 / 224);
    return;
  }
  v1::RandomResizedCrop& crop = *augmentation.mutable_random_resized_crop();
  CVT_DEFAULT(crop, scale_min, 0.08);
  CVT_DEFAULT(crop, scale_max, 1);
  CVT_DEFAULT(crop, ratio_min, 3.0 / 4);
  CVT_DEFAULT(crop, ratio_max, 4.0 / 3);
}

void WriteNormalize(v1::Normalize& normalize) {
  if (normalize.mean_size() == 0) {
    for (double mean : {0.485, 0.456, 0.406}) normalize.add_mean(mean);
  }
  if (normalize.std_size() == 0) {
    for (double std : {0.229, 0.224, 0.225}) normalize.add_std(std);
  }
}

void WriteColorJitter(v1::ColorJitter& jitter) {
  CVT_DEFAULT(jitter, brightness, 0);
  CVT_DEFAULT(jitter, contrast, 0);
  CVT_DEFAULT(jitter, saturation, 0);
  CVT_DEFAULT(jitter, hue, 0);
  CVT_DEFAULT(jitter, probability, 1);
}

void WriteErasing(v1::RandomErasing& erasing) {
  CVT_DEFAULT(erasing, probability, 0.5);
  CVT_DEFAULT(erasing, scale_min, 0.02);
  CVT_DEFAULT(erasing, scale_max, 0.33);
  CVT_DEFAULT(erasing, ratio_min, 0.3);
  CVT_DEFAULT(erasing, ratio_max, 3.3);
  CVT_DEFAULT(erasing, noise, false);
}

}  // namespace

void CompleteAugmentation(v1::Augmentation& augmentation) {
  if (augmentation.has_color_jitter()) WriteColorJitter(*augmentation.mutable_color_jitter());
  if (augmentation.has_rand_augment()) {
    v1::RandAugment& rand = *augmentation.mutable_rand_augment();
    CVT_DEFAULT(rand, num_ops, 2);
    CVT_DEFAULT(rand, magnitude, 9);
    CVT_DEFAULT(rand, num_magnitude_bins, 31);
  }
  if (augmentation.has_trivial_augment()) {
    CVT_DEFAULT(*augmentation.mutable_trivial_augment(), num_magnitude_bins, 31);
  }
  if (augmentation.has_random_erasing()) WriteErasing(*augmentation.mutable_random_erasing());
  if (augmentation.has_mixup()) {
    CVT_DEFAULT(*augmentation.mutable_mixup(), alpha, 0.2);
    CVT_DEFAULT(*augmentation.mutable_mixup(), probability, 1);
  }
  if (augmentation.has_cutmix()) {
    CVT_DEFAULT(*augmentation.mutable_cutmix(), alpha, 1);
    CVT_DEFAULT(*augmentation.mutable_cutmix(), probability, 1);
  }
}

void WriteAugmentationDefaults(double network_weight_decay, v1::Augmentation& augmentation) {
  WriteCrop(augmentation);
  CVT_DEFAULT(*augmentation.mutable_horizontal_flip(), probability, 0.5);
  if (augmentation.has_range_augment()) {
    WriteRangeAugment(network_weight_decay, *augmentation.mutable_range_augment());
  }
  if (augmentation.has_normalize()) WriteNormalize(*augmentation.mutable_normalize());
  CompleteAugmentation(augmentation);
}

}  // namespace cvtrain::plan
