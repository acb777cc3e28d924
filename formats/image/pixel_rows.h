#ifndef CVTRAIN_FORMATS_IMAGE_PIXEL_ROWS_H_
#define CVTRAIN_FORMATS_IMAGE_PIXEL_ROWS_H_

#include <cstdint>

// Conversions of samples that several decoders need.
namespace cvtrain::formats {

// 16 bits to 8: value * 255 / 65,535, rounded.
inline uint8_t NarrowTo8(uint16_t value) {
  return static_cast<uint8_t>((uint32_t{value} + 128) / 257);
}

// (255 - ink) * (255 - black) / 255, rounded, of what is not covered: `rest` is 255 - ink,
// `rest_of_black` 255 - black.
inline uint8_t MixInk(uint8_t rest, uint8_t rest_of_black) {
  return static_cast<uint8_t>((uint32_t{rest} * rest_of_black + 127) / 255);
}

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_IMAGE_PIXEL_ROWS_H_
