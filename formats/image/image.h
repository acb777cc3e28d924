#ifndef CVTRAIN_FORMATS_IMAGE_IMAGE_H_
#define CVTRAIN_FORMATS_IMAGE_IMAGE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/limits.h"

namespace cvtrain::formats {

// What a decoder accepts. The header is read, and these are checked, before any pixel is decoded
// or any memory for pixels is taken.
struct ImageLimits {
  // Width times height.
  int64_t pixels_max = limits::kImagePixelsMax;
  // Of one side, pixels.
  int side_max = limits::kImageSideMax;
  // Of the compressed file.
  int64_t file_bytes_max = limits::kImageFileSizeBytesMax;
  // Decoded bytes (3 per pixel) may be at most this many times the compressed bytes; pictures that
  // decode to at most `expansion_free_bytes` are exempt, so that flat drawings pass.
  int64_t expansion_max = 200;
  int64_t expansion_free_bytes = int64_t{4} << 20;
  // What a decoder may hold besides the pixels that it returns: the coefficients of a progressive
  // JPEG, the tile or the planes of a TIFF, the 4 bytes a pixel of a lossless WebP.
  int64_t work_bytes_max = int64_t{256} << 20;
  // Scans of a progressive JPEG, each of which costs a pass over the picture.
  int scans_max = 100;
};

// Every picture in memory: 8 bits a channel, RGB, rows from the top, no padding between rows.
struct Image {
  int width = 0;
  int height = 0;
  std::vector<uint8_t> pixels;  // height * width * 3

  // Makes room for the size; keeps the capacity, so that a reused Image does not allocate.
  void Resize(int new_width, int new_height) {
    width = new_width;
    height = new_height;
    pixels.resize(static_cast<size_t>(new_width) * static_cast<size_t>(new_height) * 3);
  }
};

// A rectangle of pixels that someone else owns.
struct ImageView {
  const uint8_t* data = nullptr;
  int width = 0;
  int height = 0;
  // Bytes from one row to the next, at least 3 * width.
  int64_t stride = 0;

  ImageView() = default;
  ImageView(const uint8_t* pixels, int w, int h, int64_t row_bytes)
      : data(pixels), width(w), height(h), stride(row_bytes) {}
  ImageView(const Image& image)  // NOLINT: a picture is a view of itself
      : data(image.pixels.data()),
        width(image.width),
        height(image.height),
        stride(int64_t{3} * image.width) {}
};

struct Rect {
  int x = 0;
  int y = 0;
  int width = 0;
  int height = 0;
};

enum class ImageKind : uint8_t { kUnknown = 0, kJpeg = 1, kPng = 2, kTiff = 3, kWebp = 4 };

// What the header of a file says.
struct ImageInfo {
  ImageKind kind = ImageKind::kUnknown;
  // As stored, before `orientation` is applied.
  int width = 0;
  int height = 0;
  // Of the file: 1 grey, 3 colour, 4 CMYK or with alpha.
  int channels = 0;
  bool progressive = false;
  // EXIF orientation, 1 (upright) to 8. Anything else in the file reads as 1.
  int orientation = 1;
};

// Kind by content: the first bytes, never the name.
ImageKind SniffImageKind(absl::string_view bytes);

// Whether a picture of this kind, size and file size is within `limits`.
// Returns RESOURCE_EXHAUSTED (LIMIT_EXCEEDED), naming the limit.
absl::Status CheckImageLimits(const ImageInfo& info, int64_t file_bytes, const ImageLimits& limits);

// Turns `image` upright: after it, orientation 1 holds. Orientations outside 2 to 8 do nothing.
void ApplyOrientation(int orientation, Image* image);

// Shrinks by averaging: each output pixel is the mean of the source area that it covers, edges
// weighted (as OpenCV's INTER_AREA). In integers: the same bytes on every machine. A side that
// would grow is interpolated instead, as by ResizeBilinear. `width` and `height` are at least 1.
void ResizeArea(const ImageView& source, int width, int height, Image* out);

// Linear interpolation between pixel centres, edges clamped, without averaging: for factors between
// about 0.5 and 2. In integers: the same bytes on every machine.
void ResizeBilinear(const ImageView& source, int width, int height, Image* out);

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_IMAGE_IMAGE_H_
