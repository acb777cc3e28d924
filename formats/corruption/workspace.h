#ifndef CVTRAIN_FORMATS_CORRUPTION_WORKSPACE_H_
#define CVTRAIN_FORMATS_CORRUPTION_WORKSPACE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "formats/corruption/edges.h"
#include "formats/corruption/filters.h"
#include "formats/image/image.h"
#include "formats/image/jpeg.h"

// Internal to the folder.
namespace cvtrain::formats {

// What shot noise looks numbers up in.
struct PoissonTable {
  int photons = 0;  // 0: not made yet
  // For each level, `photons` numbers: 2^32 times the chance that at most so many arrive.
  std::vector<uint32_t> thresholds;
};

// Memory that is kept from picture to picture. What is in it when a function begins is of no
// meaning, but for `poisson`. Helpers name what they use.
struct Workspace {
  std::array<std::vector<float>, 4> planes;
  // Of GaussianFilter.
  GaussianScratch gaussian;
  // Of PaddedRows and what reads them.
  std::vector<float> padded;
  std::vector<WeightedRow> rows;
  std::array<std::vector<uint8_t>, 3> bytes;
  EdgeScratch edges;
  PoissonTable poisson;

  // jpeg_compression. A flat picture becomes a small file: that is no attack here.
  JpegDecoder jpeg{{.expansion_max = INT64_MAX}};
  Image decoded;
};

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_CORRUPTION_WORKSPACE_H_
