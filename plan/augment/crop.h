#ifndef CVTRAIN_PLAN_AUGMENT_CROP_H_
#define CVTRAIN_PLAN_AUGMENT_CROP_H_

#include "common/random.h"

namespace cvtrain::v1 {
class RandomResizedCrop;
}  // namespace cvtrain::v1

namespace cvtrain::plan {

// Pure functions; thread-safe.

// Of a picture, in pixels; both positive.
struct PixelSize {
  int width = 0;
  int height = 0;

  friend bool operator==(const PixelSize&, const PixelSize&) = default;
};

// A rectangle of a picture, in pixels of its upright source.
struct CropRect {
  double x = 0;
  double y = 0;
  double width = 0;
  double height = 0;

  friend bool operator==(const CropRect&, const CropRect&) = default;
};

// torchvision's RandomResizedCrop.get_params: up to ten times an area share,
// uniform in the scale range, and an aspect ratio, log-uniform in the ratio
// range; the first that fits is placed uniformly, in whole pixels. Otherwise the
// largest centred crop whose ratio is in the range. `spec` is resolved.
CropRect DrawResizedCrop(int width, int height, const v1::RandomResizedCrop& spec,
                         KeyedStream stream);

// The evaluation crop: what remains when the short side is resized to `resize`
// and the centre `crop` x `crop` is cut out. A crop that is larger than the
// resized picture is cut to its short side.
CropRect CentreCrop(int width, int height, int resize, int crop);

// All of the picture.
CropRect WholePicture(PixelSize source);

// The largest centred rectangle that has the aspect ratio of `target`, made
// smaller by `resize_ratio` (at least 1) on each side.
CropRect CentreCropOfRatio(PixelSize source, PixelSize target, double resize_ratio);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_AUGMENT_CROP_H_
