#ifndef CVTRAIN_FORMATS_IMAGE_SCALED_CROP_H_
#define CVTRAIN_FORMATS_IMAGE_SCALED_CROP_H_

#include <cstdint>

#include "formats/image/image.h"
#include "formats/image/resize.h"

namespace cvtrain::formats {

// How a part of a JPEG is decoded and resized: the least that has to be decoded for it.
struct ScaledCrop {
  // For JpegDecodeOptions: 1, 2, 4 or 8.
  int scale_denominator = 1;
  // The pixels at that scale which the part touches: what to decode.
  Rect rect;
  // The part within `rect`: what to resize.
  Resizer::Span x;
  Resizer::Span y;
};

// The greatest scale denominator, at most `denominator_max`, at which the part of the sides `x` and
// `y`, in pixels of the whole picture, is still at least `width` x `height` pixels; 1 where it
// never is. A pure function.
ScaledCrop PlanScaledCrop(const Resizer::Span& x, const Resizer::Span& y, int width, int height,
                          int denominator_max = 8);

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_IMAGE_SCALED_CROP_H_
