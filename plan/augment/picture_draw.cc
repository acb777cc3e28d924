#include "plan/augment/picture_draw.h"

#include "cvtrain/v1/recipe.pb.h"

namespace cvtrain::plan {
namespace {

CropRect DrawCrop(const v1::Augmentation& augmentation, PixelSize source, PixelSize target,
                  const SampleKey& key) {
  if (augmentation.has_resize()) return WholePicture(source);
  if (augmentation.has_center_crop()) {
    return CentreCropOfRatio(source, target, augmentation.center_crop().resize_ratio());
  }
  return DrawResizedCrop(source.width, source.height, augmentation.random_resized_crop(),
                         CropStream(key));
}

}  // namespace

PictureDraw DrawPicture(const v1::Augmentation& augmentation, PixelSize source, PixelSize target,
                        const SampleKey& key) {
  PictureDraw draw;
  draw.crop = DrawCrop(augmentation, source, target, key);
  draw.flip = FlipStream(key).Bernoulli(augmentation.horizontal_flip().probability());
  if (augmentation.has_color_jitter()) {
    DrawColorJitter(augmentation.color_jitter(), ColorJitterStream(key), draw.steps);
  }
  if (augmentation.has_rand_augment()) {
    DrawRandAugment(augmentation.rand_augment(), target, PolicyStream(key), draw.steps);
  } else if (augmentation.has_trivial_augment()) {
    DrawTrivialAugment(augmentation.trivial_augment(), target, PolicyStream(key), draw.steps);
  } else if (augmentation.has_auto_augment()) {
    DrawAutoAugment(augmentation.auto_augment(), target, PolicyStream(key), draw.steps);
  }
  return draw;
}

}  // namespace cvtrain::plan
