#ifndef CVTRAIN_FORMATS_CORRUPTION_EDGES_H_
#define CVTRAIN_FORMATS_CORRUPTION_EDGES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "formats/corruption/strength.h"

// What spatter needs of image processing, of planes of bytes, as OpenCV does it. Internal to the
// folder.
namespace cvtrain::formats {

using BytePlane = std::vector<uint8_t>;

// Memory of FindEdges().
struct EdgeScratch {
  std::vector<int16_t> across;
  std::vector<int16_t> down;
  std::vector<int16_t> strength;
  std::vector<size_t> open;
};

// Canny's edges (1986) with OpenCV's defaults: Sobel's differences of 3x3 pixels, |dx| + |dy| as
// their strength; kept where it is greatest across the edge, above `high`, or above `low` and next
// to a kept one. `edges` is 1 there and 0 elsewhere.
struct EdgeThresholds {
  int low;
  int high;
};
void FindEdges(const BytePlane& plane, Size size, const EdgeThresholds& thresholds,
               EdgeScratch& scratch, BytePlane& edges);

// To the nearest 1 of `edges`, in pixels, at most `most`: by steps of 1, 1.4 and 2.1969, those to
// the side, aslant and of a knight (Borgefors 1986, with OpenCV's numbers for 5x5 pixels). `padded`
// is scratch.
void DistanceToEdges(const BytePlane& edges, Size size, float most, std::vector<float>& padded,
                     std::vector<float>& distances);

// Spreads the levels evenly over 0..255; a plane of one level stays.
void EqualizeLevels(BytePlane& plane);

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_CORRUPTION_EDGES_H_
