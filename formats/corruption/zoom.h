#ifndef CVTRAIN_FORMATS_CORRUPTION_ZOOM_H_
#define CVTRAIN_FORMATS_CORRUPTION_ZOOM_H_

#include <vector>

#include "formats/corruption/strength.h"

// Internal to the folder.
namespace cvtrain::formats {

// One side of a zoomed picture: of its middle, `length` pixels from `first` on become as many as
// the side has, and a few more, which are cut off at both ends.
struct ZoomedSide {
  int first = 0;
  int length = 0;
  // Where the first pixel of the result comes from, and how far it is to the next.
  double from = 0;
  double step = 0;

  // `factor` is at least 1.
  ZoomedSide(int side, double factor);

  // The pixel to the left of where pixel `i` of the result comes from, and the weight of the next
  // one. That one exists unless its weight is 0.
  struct Place {
    int left;
    float weight;
  };
  Place At(int i) const;
};

// Adds the middle of `in`, enlarged by `factor`, with linear interpolation between the centres of
// its outermost pixels, as scipy's zoom(order=1) does, to `sum`: both are planes of size.count() *
// channels. `row` is scratch.
void AddZoomed(const float* in, Size size, int channels, double factor, std::vector<float>& row,
               float* sum);

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_CORRUPTION_ZOOM_H_
