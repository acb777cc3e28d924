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
// 2^20 / 26, rounded up.
constexpr uint32_t kOver26 = 40'330;

// Blurs the inner pixels of `row` into `out`; `sums` has room for a row.
void BlurRow(const uint8_t* row, size_t stride, uint16_t* sums, uint8_t* out) {
  for (size_t i = 0; i < stride; ++i) {
    sums[i] = static_cast<uint16_t>((row - stride)[i] + row[i] + (row + stride)[i]);
  }
  for (size_t i = 3; i + 3 < stride; ++i) {
    const uint32_t sum = uint32_t{sums[i - 3]} + sums[i] + sums[i + 3] + uint32_t{4} * row[i];
    // Exact for sums of 8-bit values; a division would not become a vector instruction.
    out[i] = static_cast<uint8_t>(((2 * sum + kWeights) * kOver26) >> 20);
  }
}

}  // namespace

void AdjustSharpness(PictureSpan picture, double factor, std::vector<uint8_t>& scratch) {
  if (picture.width < 3 || picture.height < 3) return;
  const size_t stride = static_cast<size_t>(picture.width) * 3;
  // The outermost pixels are their own blur: mixing them with themselves is done too, since it may
  // round them down.
  scratch.assign(picture.pixels.begin(), picture.pixels.end());
  std::vector<uint16_t> sums(stride);
  for (size_t y = 1; y + 1 < static_cast<size_t>(picture.height); ++y) {
    BlurRow(picture.pixels.data() + y * stride, stride, sums.data(), scratch.data() + y * stride);
  }
  Blend(factor).Mix(picture.pixels.data(), scratch.data(), picture.pixels.size());
}

}  // namespace cvtrain::formats
