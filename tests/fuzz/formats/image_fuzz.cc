// A picture: JPEG at all scales, with and without a crop, and PNG.

#include <algorithm>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "formats/image/jpeg.h"
#include "formats/image/png.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cvtrain::formats;
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  const ImageLimits limits{.pixels_max = 250'000, .work_bytes_max = 8 << 20, .scans_max = 20};
  Image image;
  // Either answer is right.
  DecodePng(bytes, limits, &image).IgnoreError();
  JpegDecoder decoder(limits);
  const auto info = decoder.ReadInfo(bytes);
  if (!info.ok()) return 0;
  for (const int denominator : {1, 2, 8}) {
    JpegDecodeOptions options;
    options.scale_denominator = denominator;
    options.fast = denominator == 2;
    decoder.Decode(bytes, options, &image).IgnoreError();
    const int width = ScaledSide(info->width, denominator);
    const int height = ScaledSide(info->height, denominator);
    options.crop = Rect{width / 3, height / 2, std::max(1, width / 2), std::max(1, height / 3)};
    decoder.Decode(bytes, options, &image).IgnoreError();
  }
  return 0;
}
