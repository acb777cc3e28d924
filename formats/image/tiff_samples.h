#ifndef CVTRAIN_FORMATS_IMAGE_TIFF_SAMPLES_H_
#define CVTRAIN_FORMATS_IMAGE_TIFF_SAMPLES_H_

#include <array>
#include <cstdint>

// Inside the image library: what the samples of a TIFF mean. Pure; knows no libtiff.
namespace cvtrain::formats::internal {

enum class TiffColor { kWhiteIsZero, kBlackIsZero, kPalette, kRgb, kCmyk };

// What the samples of a picture are.
struct TiffLayout {
  TiffColor color = TiffColor::kRgb;
  int bits = 8;
  int samples = 3;       // of a pixel in the file
  int used = 3;          // the first of them that are needed
  bool divides = false;  // the last one used is alpha, which the others were multiplied by
  bool planes = false;   // one for each sample
  bool tiled = false;
  std::array<uint8_t, 3 * 256> palette = {};
};

// `count` samples of any depth, each row's packed from its first bit on, to one byte each: scaled
// to 255, or as they are if they are indices of a palette.
void UnpackTiffSamples(const TiffLayout& layout, const uint8_t* raw, int64_t count, uint8_t* to);

// `count` pixels to RGB; each is `stride` samples of one byte, of which the first `layout.used`
// count.
void TiffSamplesToRgb(const TiffLayout& layout, const uint8_t* samples, int stride, int64_t count,
                      uint8_t* rgb);

}  // namespace cvtrain::formats::internal

#endif  // CVTRAIN_FORMATS_IMAGE_TIFF_SAMPLES_H_
