#include "formats/image/scaled_crop.h"

#include <tuple>
#include <utility>

namespace cvtrain::formats {
namespace {

bool Holds(const Resizer::Span& side, int64_t pixels) { return side.length >= pixels * side.unit; }

// The pixels that a side touches at 1/denominator: the first, and how many.
std::pair<int, int> Touched(const Resizer::Span& side, int denominator) {
  const int64_t pixel = side.unit * denominator;
  const int64_t first = side.from / pixel;
  const int64_t end = (side.from + side.length + pixel - 1) / pixel;
  return {static_cast<int>(first), static_cast<int>(end - first)};
}

Resizer::Span SpanFrom(int first, const Resizer::Span& side, int denominator) {
  const int64_t pixel = side.unit * denominator;
  return {.from = side.from - first * pixel, .length = side.length, .unit = pixel};
}

}  // namespace

ScaledCrop PlanScaledCrop(const Resizer::Span& x, const Resizer::Span& y, int width, int height,
                          int denominator_max) {
  ScaledCrop crop;
  int& denominator = crop.scale_denominator;
  while (denominator < denominator_max && Holds(x, int64_t{2} * width * denominator) &&
         Holds(y, int64_t{2} * height * denominator)) {
    denominator *= 2;
  }
  std::tie(crop.rect.x, crop.rect.width) = Touched(x, denominator);
  std::tie(crop.rect.y, crop.rect.height) = Touched(y, denominator);
  crop.x = SpanFrom(crop.rect.x, x, denominator);
  crop.y = SpanFrom(crop.rect.y, y, denominator);
  return crop;
}

}  // namespace cvtrain::formats
