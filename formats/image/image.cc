#include "formats/image/image.h"

#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "formats/image/tiff_directory.h"

namespace cvtrain::formats {

ImageKind SniffImageKind(absl::string_view bytes) {
  if (absl::StartsWith(bytes, "\xff\xd8\xff")) return ImageKind::kJpeg;
  if (absl::StartsWith(bytes, absl::string_view("\x89PNG\r\n\x1a\n", 8))) return ImageKind::kPng;
  if (IsTiff(bytes)) return ImageKind::kTiff;
  if (absl::StartsWith(bytes, "RIFF") && bytes.size() >= 12 && bytes.substr(8, 4) == "WEBP") {
    return ImageKind::kWebp;
  }
  return ImageKind::kUnknown;
}

absl::Status CheckImageLimits(const ImageInfo& info, int64_t file_bytes,
                              const ImageLimits& limits) {
  if (file_bytes > limits.file_bytes_max) {
    return LimitExceeded("kImageFileSizeBytesMax",
                         absl::StrCat("image: the file has ", file_bytes, " bytes, at most ",
                                      limits.file_bytes_max, " are read"));
  }
  if (info.width > limits.side_max || info.height > limits.side_max) {
    return LimitExceeded("kImageSideMax",
                         absl::StrCat("image: the header says ", info.width, "x", info.height,
                                      ", a side may have ", limits.side_max));
  }
  const int64_t pixels = int64_t{info.width} * info.height;
  if (pixels > limits.pixels_max) {
    return LimitExceeded("kImagePixelsMax",
                         absl::StrCat("image: the header says ", info.width, "x", info.height,
                                      ", at most ", limits.pixels_max, " pixels are decoded"));
  }
  const int64_t decoded_bytes = pixels * 3;
  if (decoded_bytes > limits.expansion_free_bytes &&
      decoded_bytes / limits.expansion_max > file_bytes) {
    return LimitExceeded("expansion_max", absl::StrCat("image: ", file_bytes, " bytes claim to be ",
                                                       info.width, "x", info.height, ", over ",
                                                       limits.expansion_max, " times their size"));
  }
  return absl::OkStatus();
}

void ApplyOrientation(int orientation, Image* image) {
  if (orientation < 2 || orientation > 8) return;
  // Where an output pixel (x, y) comes from: first swap the axes, then mirror.
  const bool swap_axes = orientation >= 5;
  const bool mirror_x =
      orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool mirror_y =
      orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const int width = image->width;
  const int height = image->height;
  Image turned;
  turned.Resize(swap_axes ? height : width, swap_axes ? width : height);
  uint8_t* to = turned.pixels.data();
  for (int y = 0; y < turned.height; ++y) {
    for (int x = 0; x < turned.width; ++x, to += 3) {
      int from_x = swap_axes ? y : x;
      int from_y = swap_axes ? x : y;
      if (mirror_x) from_x = width - 1 - from_x;
      if (mirror_y) from_y = height - 1 - from_y;
      std::memcpy(to, image->pixels.data() + (int64_t{from_y} * width + from_x) * 3, 3);
    }
  }
  *image = std::move(turned);
}

}  // namespace cvtrain::formats
