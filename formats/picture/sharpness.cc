#include <cstddef>
#include <cstdint>
#include <vector>

#include "formats/picture/operations.h"
#include "formats/picture/tables.h"

namespace cvtrain::formats {
namespace {

// The kernel is 1 around 5 in the middle, over 13. A sum is never half way between
// two multiples of 13, so rounding it in integers is what rounding any float near
// it gives.
constexpr uint32_t kWeights = 13;

void SharpenRow(const uint8_t* above, const uint8_t* row, const uint8_t* below, size_t width,
                const Blend& blend, uint8_t* out) {
  for (size_t i = 3; i + 3 < width * 3; ++i) {
    uint32_t sum = uint32_t{4} * row[i];
    for (const uint8_t* line : {above, row, below}) {
      sum += uint32_t{line[i - 3]} + line[i] + line[i + 3];
    }
    const auto blurred = static_cast<uint8_t>((2 * sum + kWeights) / (2 * kWeights));
    out[i] = blend(row[i], blurred);
  }
}

}  // namespace

void AdjustSharpness(PictureSpan picture, double factor, std::vector<uint8_t>& scratch) {
  if (picture.width < 3 || picture.height < 3) return;
  scratch.assign(picture.pixels.begin(), picture.pixels.end());
  const auto width = static_cast<size_t>(picture.width);
  const size_t stride = width * 3;
  const Blend blend(factor);
  // The outermost pixels are their own blur: mixing them with themselves is done for
  // all, since it may round them down.
  for (uint8_t& value : picture.pixels) value = blend(value, value);
  for (size_t y = 1; y + 1 < static_cast<size_t>(picture.height); ++y) {
    const uint8_t* row = scratch.data() + y * stride;
    SharpenRow(row - stride, row, row + stride, width, blend, picture.pixels.data() + y * stride);
  }
}

}  // namespace cvtrain::formats
