#include "formats/image/tiff_samples.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace cvtrain::formats::internal {
namespace {

// 16 bits to 8: value * 255 / 65,535, rounded.
uint8_t NarrowTo8(uint16_t value) { return static_cast<uint8_t>((uint32_t{value} + 128) / 257); }

// What a colour of light is that is covered by `ink` and by `black`: (255 - ink) * (255 - black) /
// 255, rounded.
uint8_t MixInk(uint8_t ink, uint8_t black) {
  return static_cast<uint8_t>(((255 - ink) * (255 - black) + 127) / 255);
}

// A colour that was multiplied by its alpha.
uint8_t Divide(uint8_t value, uint8_t alpha) {
  if (alpha == 0) return 0;
  return static_cast<uint8_t>(std::min(255, value * 255 / alpha));
}

}  // namespace

void UnpackTiffSamples(const TiffLayout& layout, const uint8_t* raw, int64_t count, uint8_t* to) {
  if (layout.bits == 8) {
    std::memcpy(to, raw, static_cast<size_t>(count));
  } else if (layout.bits == 16) {
    for (int64_t i = 0; i < count; ++i) {
      uint16_t value;  // in this machine's order: libtiff has seen to it
      std::memcpy(&value, raw + 2 * i, 2);
      to[i] = NarrowTo8(value);
    }
  } else {
    const int most = (1 << layout.bits) - 1;
    const int scale = layout.color == TiffColor::kPalette ? 1 : 255 / most;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t bit = i * layout.bits;
      const int shift = 8 - layout.bits - static_cast<int>(bit % 8);
      to[i] = static_cast<uint8_t>((raw[bit / 8] >> shift & most) * scale);
    }
  }
}

void TiffSamplesToRgb(const TiffLayout& layout, const uint8_t* samples, int stride, int64_t count,
                      uint8_t* rgb) {
  for (int64_t i = 0; i < count; ++i, samples += stride, rgb += 3) {
    switch (layout.color) {
      case TiffColor::kWhiteIsZero:
        std::memset(rgb, 255 - samples[0], 3);
        break;
      case TiffColor::kBlackIsZero:
        std::memset(rgb, layout.divides ? Divide(samples[0], samples[1]) : samples[0], 3);
        break;
      case TiffColor::kPalette:
        std::memcpy(rgb, layout.palette.data() + 3 * samples[0], 3);
        break;
      case TiffColor::kRgb:
        std::memcpy(rgb, samples, 3);
        if (layout.divides) {
          for (int c = 0; c < 3; ++c) rgb[c] = Divide(rgb[c], samples[3]);
        }
        break;
      case TiffColor::kCmyk:
        for (int c = 0; c < 3; ++c) rgb[c] = MixInk(samples[c], samples[3]);
        break;
    }
  }
}

}  // namespace cvtrain::formats::internal
