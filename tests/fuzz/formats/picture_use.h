#ifndef CVTRAIN_TESTS_FUZZ_FORMATS_PICTURE_USE_H_
#define CVTRAIN_TESTS_FUZZ_FORMATS_PICTURE_USE_H_

#include "absl/strings/string_view.h"
#include "common/status_macros.h"
#include "formats/image/picture_decoder.h"

namespace cvtrain::formats::testing {

// Small, so that an input takes milliseconds.
inline constexpr ImageLimits kFuzzLimits{
    .pixels_max = 250'000, .work_bytes_max = 8 << 20, .scans_max = 20};

// Reads and decodes a picture; what is said of it must fit together.
inline void UsePicture(absl::string_view bytes) {
  PictureDecoder decoder(kFuzzLimits);
  const absl::StatusOr<ImageInfo> info = decoder.ReadInfo(bytes);
  Image image;
  const absl::Status status = decoder.Decode(bytes, &image);
  if (!info.ok()) {
    CVT_CHECK(!status.ok() && image.pixels.capacity() == 0);
    return;
  }
  CVT_CHECK(info->orientation >= 1 && info->orientation <= 8);
  if (!status.ok()) return;
  const bool swapped = info->orientation >= 5;
  CVT_CHECK(image.width == (swapped ? info->height : info->width));
  CVT_CHECK(image.height == (swapped ? info->width : info->height));
  CVT_CHECK(image.pixels.size() == size_t{3} * image.width * image.height);
}

}  // namespace cvtrain::formats::testing

#endif  // CVTRAIN_TESTS_FUZZ_FORMATS_PICTURE_USE_H_
