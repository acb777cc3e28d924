#ifndef CVTRAIN_TESTS_UNIT_FORMATS_IMAGE_IMAGE_FIXTURES_H_
#define CVTRAIN_TESTS_UNIT_FORMATS_IMAGE_IMAGE_FIXTURES_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "formats/image/image.h"

// Pictures of every kind, made where they are used.
namespace cvtrain::formats::testing {

// Smooth colours with some texture: what a photograph is to a codec. A function of its arguments.
Image MakePicture(int width, int height, uint64_t seed = 1);

enum class JpegColors { kYcc, kRgb, kGrey, kCmyk };

struct JpegFixture {
  JpegColors colors = JpegColors::kYcc;
  // Sampling factors of the first component: 2x2 is 4:2:0.
  int horizontal_sampling = 2;
  int vertical_sampling = 2;
  bool progressive = false;
  // Of grey: progressive, in 127 scans, two for each coefficient.
  bool many_scans = false;
  int restart_interval = 0;
  int quality = 90;
  // Put in front of the picture as an APP1 segment if not empty.
  std::string exif = "";
};
std::string MakeJpeg(const Image& image, const JpegFixture& fixture = {});

// An EXIF segment whose first directory has this orientation.
std::string MakeExif(int orientation, bool big_endian = true);

enum class PngColors { kRgb, kRgba, kGrey, kGreyAlpha, kPalette };
struct PngFixture {
  PngColors colors = PngColors::kRgb;
  int bits = 8;
  bool interlaced = false;
};
// Values are those of `image`, its red ones where there is one channel. Alpha is a ramp. A palette
// has the 256 greys.
std::string MakePng(const Image& image, const PngFixture& fixture = {});

// A chunk of a PNG file: its length, what is given, and its CRC. The first 4 bytes are its type.
std::string MakePngChunk(absl::string_view type_and_data);

// A valid file of 8-bit grey whose pixels are all zero: for bombs, without memory for its pixels.
std::string MakeFlatPng(uint32_t width, uint32_t height);

// A lossless WebP file, which has the chunk VP8L and no other.
std::string MakeWebp(const Image& image);

// A RIFF file of type WEBP with these chunks, each made by MakeRiffChunk().
std::string MakeRiff(absl::string_view chunks);
// The first 4 bytes given are the type of the chunk.
std::string MakeRiffChunk(absl::string_view type_and_data);
// The chunk VP8X; `flags`: 2 animation, 8 EXIF, 16 alpha.
std::string MakeVp8x(int flags, int width, int height);

// A copy of `jpeg` whose frame header says another size.
std::string WithJpegSize(absl::string_view jpeg, int width, int height);

// Peak signal to noise ratio, dB; 100 if they are equal. The sizes must be equal.
double Psnr(const Image& a, const Image& b);

// The pixels of `rect` of `image`.
Image Cut(const Image& image, const Rect& rect);

}  // namespace cvtrain::formats::testing

#endif  // CVTRAIN_TESTS_UNIT_FORMATS_IMAGE_IMAGE_FIXTURES_H_
