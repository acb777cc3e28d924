#ifndef CVTRAIN_FORMATS_IMAGE_RESIZE_H_
#define CVTRAIN_FORMATS_IMAGE_RESIZE_H_

#include <cstdint>
#include <vector>

#include "formats/image/image.h"
#include "formats/image/resize_kernels.h"

namespace cvtrain::formats {

// Resizes pictures. In integers: the same bytes on every machine, with and without vector
// instructions. Keeps its tables and rows from picture to picture.
//
// Thread-compatible: one per thread.
class Resizer {
 public:
  struct Options {
    int width = 0;   // of the result, at least 1
    int height = 0;  // at least 1
    // The result is turned over, left to right.
    bool mirror = false;
  };

  // A part of one side: [from, from + length) / unit pixels. It need not begin or end between two
  // pixels: a crop of a picture seldom does in a smaller version of it.
  struct Span {
    int64_t from = 0;
    int64_t length = 0;  // at least 1
    int64_t unit = 1;    // at least 1
  };

  // Shrinks by averaging: each output pixel is the mean of the source area that it covers, edges
  // weighted (as OpenCV's INTER_AREA). A side that would grow is interpolated instead, as by
  // Bilinear. `pixels` takes height x width x 3 bytes.
  void Area(const ImageView& source, const Options& options, uint8_t* pixels);

  // The same of a part of `source`, which lies within it.
  void AreaOf(const ImageView& source, const Span& x, const Span& y, const Options& options,
              uint8_t* pixels);

  // Linear interpolation between pixel centres, edges clamped, without averaging: for factors
  // between about 0.5 and 2.
  void Bilinear(const ImageView& source, const Options& options, uint8_t* pixels);

 private:
  void Filter(const ImageView& source, int height, uint8_t* pixels);

  ResizeAxis along_x_;
  ResizeAxis along_y_;
  std::vector<int16_t> row_;
  std::vector<const uint8_t*> taps_;
};

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_IMAGE_RESIZE_H_
