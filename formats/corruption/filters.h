#ifndef CVTRAIN_FORMATS_CORRUPTION_FILTERS_H_
#define CVTRAIN_FORMATS_CORRUPTION_FILTERS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "formats/corruption/strength.h"
#include "formats/picture/picture_span.h"

// Filters of planes: floats, row after row from the top, `channels` to a pixel. Internal to the
// folder.
namespace cvtrain::formats {

// What stands beyond the ends of a row of n pixels, a b c d.
enum class Edge {
  kClamp,       // a a | a b c d | d d
  kReflect,     // b a | a b c d | d c
  kReflect101,  // c b | a b c d | c b
};

// The place in [0, length) that stands at `at`, which may lie as far outside as it likes.
int AtEdge(Edge edge, int at, int length);

// One summand of a weighted sum of rows.
struct WeightedRow {
  const float* values = nullptr;
  float weight = 0;
};

// out[i] = the sum of row.weight * row.values[i], i < count: what all filters here are made of. In
// the order of the rows, by fours.
void SumRows(absl::Span<const WeightedRow> rows, size_t count, float* out);

// A plane whose rows have `pad` more pixels at both ends, so that they can be read shifted.
class PaddedRows {
 public:
  // Copies `in`, of size.count() * channels values, into `memory`, which outlives this.
  PaddedRows(const float* in, Size size, int channels, int pad, Edge edge,
             std::vector<float>& memory);

  // Of row `y` and pixel `x`, both of which may lie outside, `x` by at most `pad`.
  const float* At(int x, int y) const {
    return memory_.data() + static_cast<size_t>(AtEdge(edge_, y, height_)) * stride_ +
           static_cast<size_t>((x + pad_) * channels_);
  }

 private:
  const std::vector<float>& memory_;
  const int height_;
  const int channels_;
  const int pad_;
  const Edge edge_;
  const size_t stride_;
};

struct GaussianScratch {
  // One axis: output i sums weights[begin + k] * in[first + k], k < count.
  struct Run {
    int first = 0;
    int count = 0;
    size_t begin = 0;
  };
  std::vector<Run> runs;
  std::vector<float> weights;
  std::vector<double> sums;
  std::vector<WeightedRow> rows;
  std::vector<float> turned;
};

struct GaussianOptions {
  double sigma = 1;     // pixels; 0 changes nothing
  double truncate = 4;  // the kernel ends after so many sigmas
  Edge edge = Edge::kClamp;
};

// Filters in place, as scipy's gaussian_filter does, which scikit-image's gaussian() is: both axes
// by a kernel of 2 floor(truncate * sigma + 0.5) + 1 numbers, with sum 1. A kernel that is longer
// than the side is folded into it, so none costs more than as many products as the side has pixels.
void FilterGaussian(const GaussianOptions& options, Size size, int channels,
                    GaussianScratch& scratch, std::vector<float>& plane);

// The values of a picture, and back: cut to whole levels.
void ToPlane(PictureSpan picture, std::vector<float>& plane);
void FromPlane(const std::vector<float>& plane, PictureSpan picture);

inline Size SizeOf(PictureSpan picture) {
  return {.width = picture.width, .height = picture.height};
}

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_CORRUPTION_FILTERS_H_
