#ifndef CVTRAIN_FORMATS_CORRUPTION_MOTION_H_
#define CVTRAIN_FORMATS_CORRUPTION_MOTION_H_

#include <vector>

#include "formats/corruption/strength.h"
#include "formats/corruption/workspace.h"

// Internal to the folder.
namespace cvtrain::formats {

struct MotionNumbers {
  int radius;    // pixels; the trace has 2 radius + 1 of them
  double sigma;  // pixels
};

// What ImageMagick's MotionBlurImage does, but for its rounding: each pixel becomes a weighted mean
// of those on a line that begins in it and runs at `degrees` to the right, clockwise; weights fall
// as one half of a normal distribution. Beyond the edges stand the outermost pixels. `plane` is
// replaced by the result. Uses workspace.padded and .rows.
void BlurByMotion(const MotionNumbers& numbers, double degrees, Size size, int channels,
                  Workspace& workspace, std::vector<float>& plane);

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_CORRUPTION_MOTION_H_
