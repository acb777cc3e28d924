#ifndef CVTRAIN_PLAN_AUGMENT_PICTURE_DRAW_H_
#define CVTRAIN_PLAN_AUGMENT_PICTURE_DRAW_H_

#include "plan/augment/crop.h"
#include "plan/augment/policy.h"
#include "plan/curriculum/keys.h"

namespace cvtrain::v1 {
class Augmentation;
}  // namespace cvtrain::v1

namespace cvtrain::plan {

// What is done to one training picture before it is a tensor, in this order.
struct PictureDraw {
  CropRect crop;      // of the upright source; resized to the size of the step
  bool flip = false;  // left to right
  // On the pixels of the step's size: color_jitter, then those of the policy.
  PictureSteps steps;
};

// All chance comes from the streams of `key`. `augmentation` is resolved; `source`
// is the size of the upright picture, `target` that of the step.
//
// A pure function; thread-safe.
PictureDraw DrawPicture(const v1::Augmentation& augmentation, PixelSize source, PixelSize target,
                        const SampleKey& key);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_AUGMENT_PICTURE_DRAW_H_
