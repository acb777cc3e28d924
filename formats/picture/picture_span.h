#ifndef CVTRAIN_FORMATS_PICTURE_PICTURE_SPAN_H_
#define CVTRAIN_FORMATS_PICTURE_PICTURE_SPAN_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "formats/image/image.h"

namespace cvtrain::formats {

// Pixels that someone else owns and that may be changed: 8 bits a channel, RGB,
// rows from the top, no padding between rows. Small; passed by value.
struct PictureSpan {
  absl::Span<uint8_t> pixels;  // height * width * 3
  int width = 0;
  int height = 0;

  PictureSpan() = default;
  PictureSpan(absl::Span<uint8_t> bytes, int w, int h) : pixels(bytes), width(w), height(h) {}
  PictureSpan(Image& image)  // NOLINT: a picture is a span of itself
      : pixels(absl::MakeSpan(image.pixels)), width(image.width), height(image.height) {}

  size_t pixel_count() const { return static_cast<size_t>(width) * static_cast<size_t>(height); }
};

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_PICTURE_PICTURE_SPAN_H_
