#ifndef CVTRAIN_WORKER_TRAINER_DATA_CROP_H_
#define CVTRAIN_WORKER_TRAINER_DATA_CROP_H_

#include "common/random.h"
#include "cvtrain/v1/recipe.pb.h"

namespace cvtrain::trainer {

// A rectangle of a picture, in pixels of its upright source.
struct CropRect {
  double x = 0;
  double y = 0;
  double width = 0;
  double height = 0;
};

// torchvision's RandomResizedCrop.get_params: up to ten times an area share,
// uniform in the scale range, and an aspect ratio, log-uniform in the ratio
// range; the first that fits is placed uniformly, in whole pixels. Otherwise the
// largest centred crop whose ratio is in the range. `spec` is resolved.
CropRect DrawResizedCrop(int width, int height, const cvtrain::v1::RandomResizedCrop& spec,
                         KeyedStream stream);

// The evaluation crop: what remains when the short side is resized to `resize`
// and the centre `crop` x `crop` is cut out. A crop that is larger than the
// resized picture is cut to its short side.
CropRect CentreCrop(int width, int height, int resize, int crop);

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_DATA_CROP_H_
