#include "formats/image/exif.h"

#include <cstddef>
#include <cstdint>

#include "absl/strings/match.h"
#include "formats/image/tiff_directory.h"

namespace cvtrain::formats {
namespace {

constexpr absl::string_view kExifPrefix("Exif\0\0", 6);

}  // namespace

int ReadExifOrientation(absl::string_view jpeg) {
  if (!absl::StartsWith(jpeg, "\xff\xd8")) return 1;
  size_t at = 2;
  // Each segment: 0xff, a marker, a length that counts itself, and its content.
  while (at + 4 <= jpeg.size() && static_cast<uint8_t>(jpeg[at]) == 0xff) {
    const auto marker = static_cast<uint8_t>(jpeg[at + 1]);
    if (marker == 0xff) {  // padding
      ++at;
      continue;
    }
    if (marker == 0xda || marker == 0xd9) return 1;  // the picture begins
    const size_t length =
        size_t{static_cast<uint8_t>(jpeg[at + 2])} << 8 | static_cast<uint8_t>(jpeg[at + 3]);
    if (length < 2 || at + 2 + length > jpeg.size()) return 1;
    const absl::string_view content = jpeg.substr(at + 4, length - 2);
    if (marker == 0xe1 && absl::StartsWith(content, kExifPrefix)) {
      return OrientationOfExif(content);
    }
    at += 2 + length;
  }
  return 1;
}

int OrientationOfExif(absl::string_view block) {
  if (absl::StartsWith(block, kExifPrefix)) block.remove_prefix(kExifPrefix.size());
  return ReadTiffOrientation(block);
}

}  // namespace cvtrain::formats
