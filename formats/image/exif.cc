#include "formats/image/exif.h"

#include <cstddef>
#include <cstdint>

#include "absl/strings/match.h"

namespace cvtrain::formats {
namespace {

constexpr absl::string_view kExifPrefix("Exif\0\0", 6);
constexpr uint32_t kOrientationTag = 0x0112;
constexpr uint32_t kTypeShort = 3;

// An unsigned number of `count` bytes at `offset`, which the caller has checked.
uint32_t ReadNumber(absl::string_view bytes, size_t offset, size_t count, bool big_endian) {
  uint32_t value = 0;
  for (size_t i = 0; i < count; ++i) {
    const size_t at = offset + (big_endian ? i : count - 1 - i);
    value = value << 8 | static_cast<uint8_t>(bytes[at]);
  }
  return value;
}

// `tiff` is a TIFF header with its directories, of which the first is read.
int OrientationOfTiff(absl::string_view tiff) {
  if (tiff.size() < 8) return 1;
  const bool big_endian = absl::StartsWith(tiff, "MM");
  if (!big_endian && !absl::StartsWith(tiff, "II")) return 1;
  if (ReadNumber(tiff, 2, 2, big_endian) != 42) return 1;
  const size_t directory = ReadNumber(tiff, 4, 4, big_endian);
  if (directory > tiff.size() - 2) return 1;
  const size_t entries = ReadNumber(tiff, directory, 2, big_endian);
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + 12 * i;
    if (entry + 12 > tiff.size()) return 1;
    if (ReadNumber(tiff, entry, 2, big_endian) != kOrientationTag) continue;
    if (ReadNumber(tiff, entry + 2, 2, big_endian) != kTypeShort) return 1;
    const uint32_t value = ReadNumber(tiff, entry + 8, 2, big_endian);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

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
    const size_t length = ReadNumber(jpeg, at + 2, 2, true);
    if (length < 2 || at + 2 + length > jpeg.size()) return 1;
    const absl::string_view content = jpeg.substr(at + 4, length - 2);
    if (marker == 0xe1 && absl::StartsWith(content, kExifPrefix)) {
      return OrientationOfTiff(content.substr(kExifPrefix.size()));
    }
    at += 2 + length;
  }
  return 1;
}

}  // namespace cvtrain::formats
