// A picture is walked row by row in fixed point: 32 bits of a coordinate are its
// fraction, so the walk is exact, and the same on every machine.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numbers>
#include <vector>

#include "formats/picture/operations.h"

namespace cvtrain::formats {
namespace {

constexpr int kFractionBits = 32;

int64_t ToFixed(double value) { return std::llround(std::ldexp(value, kFractionBits)); }

// One axis of the input along a row of the output.
struct Walk {
  int64_t at;
  int64_t step;
};

void WarpRow(const uint8_t* input, PictureSpan picture, Walk x, Walk y, uint8_t* out) {
  const auto width = static_cast<uint64_t>(picture.width);
  const auto height = static_cast<uint64_t>(picture.height);
  for (uint64_t i = 0; i < width; ++i, x.at += x.step, y.at += y.step, out += 3) {
    // Shifted down, a negative coordinate is a large unsigned one.
    const auto column = static_cast<uint64_t>(x.at >> kFractionBits);
    const auto row = static_cast<uint64_t>(y.at >> kFractionBits);
    if (column < width && row < height) {
      std::memcpy(out, input + (row * width + column) * 3, 3);
    } else {
      std::memset(out, 0, 3);
    }
  }
}

}  // namespace

void Warp(PictureSpan picture, const AffineMap& map, std::vector<uint8_t>& scratch) {
  scratch.assign(picture.pixels.begin(), picture.pixels.end());
  const double centre_x = (picture.width - 1) / 2.0;
  const double centre_y = (picture.height - 1) / 2.0;
  uint8_t* out = picture.pixels.data();
  for (int row = 0; row < picture.height; ++row, out += ptrdiff_t{3} * picture.width) {
    const double y = row - centre_y;
    // Half a pixel more, so that cutting off the fraction is rounding.
    const double from_x = map.xx * -centre_x + map.xy * y + map.x0 + centre_x + 0.5;
    const double from_y = map.yx * -centre_x + map.yy * y + map.y0 + centre_y + 0.5;
    WarpRow(scratch.data(), picture, {ToFixed(from_x), ToFixed(map.xx)},
            {ToFixed(from_y), ToFixed(map.yx)}, out);
  }
}

AffineMap ShearXMap(double slope, int height) { return {.xy = slope, .x0 = slope * height / 2}; }

AffineMap ShearYMap(double slope, int width) { return {.yx = slope, .y0 = slope * width / 2}; }

AffineMap TranslationMap(double right, double down) { return {.x0 = -right, .y0 = -down}; }

AffineMap RotationMap(double degrees) {
  const double angle = degrees * std::numbers::pi / 180;
  const double cosine = std::cos(angle);
  const double sine = std::sin(angle);
  return {.xx = cosine, .xy = -sine, .yx = sine, .yy = cosine};
}

}  // namespace cvtrain::formats
