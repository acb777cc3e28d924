// A JPEG: at all scales, with and without a crop, and through the front door.

#include <algorithm>
#include <cstdint>

#include "formats/image/jpeg.h"
#include "tests/fuzz/formats/picture_use.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cvtrain::formats;
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  testing::UsePicture(bytes);
  JpegDecoder decoder(testing::kFuzzLimits);
  const auto info = decoder.ReadInfo(bytes);
  if (!info.ok()) return 0;
  Image image;
  for (const int denominator : {1, 2, 8}) {
    JpegDecodeOptions options;
    options.scale_denominator = denominator;
    options.fast = denominator == 2;
    decoder.Decode(bytes, options, &image).IgnoreError();  // either answer is right
    const int width = ScaledSide(info->width, denominator);
    const int height = ScaledSide(info->height, denominator);
    options.crop = Rect{width / 3, height / 2, std::max(1, width / 2), std::max(1, height / 3)};
    decoder.Decode(bytes, options, &image).IgnoreError();  // the same
  }
  return 0;
}
