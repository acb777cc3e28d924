#include "formats/image/tiff_directory.h"

#include <cstddef>

#include "absl/strings/match.h"

namespace cvtrain::formats {
namespace {

constexpr uint64_t kBigVersion = 43;  // 64-bit offsets; that of the others is 42

// An unsigned number of `count` bytes at `offset`, which the caller has checked.
uint64_t ReadNumber(absl::string_view bytes, size_t offset, size_t count, bool big_endian) {
  uint64_t value = 0;
  for (size_t i = 0; i < count; ++i) {
    const size_t at = offset + (big_endian ? i : count - 1 - i);
    value = value << 8 | static_cast<uint8_t>(bytes[at]);
  }
  return value;
}

// Bytes of a value of this type of TIFF, if it is an unsigned number; else 0.
size_t NumberBytes(uint64_t type) {
  switch (type) {
    case 1:  // BYTE
      return 1;
    case 3:  // SHORT
      return 2;
    case 4:  // LONG
      return 4;
    case 16:  // LONG8
      return 8;
    default:
      return 0;
  }
}

}  // namespace

bool IsTiff(absl::string_view bytes) {
  return absl::StartsWith(bytes, absl::string_view("II*\0", 4)) ||
         absl::StartsWith(bytes, absl::string_view("MM\0*", 4)) ||
         absl::StartsWith(bytes, absl::string_view("II+\0\x08\0\0\0", 8)) ||
         absl::StartsWith(bytes, absl::string_view("MM\0+\0\x08\0\0", 8));
}

std::optional<uint64_t> ReadTiffNumber(absl::string_view tiff, uint16_t tag) {
  if (!IsTiff(tiff)) return std::nullopt;
  const bool big_endian = tiff[0] == 'M';
  const bool wide = ReadNumber(tiff, 2, 2, big_endian) == kBigVersion;
  const size_t word = wide ? 8 : 4;           // bytes of an offset and of what an entry holds
  const size_t count_bytes = wide ? 8 : 2;    // of the number of entries
  const size_t entry_bytes = 4 + 2 * word;    // tag, type, count, value
  const size_t header_bytes = wide ? 16 : 8;  // ends with the place of the first directory
  if (tiff.size() < header_bytes) return std::nullopt;
  const uint64_t directory = ReadNumber(tiff, header_bytes - word, word, big_endian);
  if (directory > tiff.size() || tiff.size() - directory < count_bytes) return std::nullopt;
  const uint64_t entries = ReadNumber(tiff, directory, count_bytes, big_endian);
  size_t at = directory + count_bytes;
  for (uint64_t i = 0; i < entries && tiff.size() - at >= entry_bytes; ++i, at += entry_bytes) {
    if (ReadNumber(tiff, at, 2, big_endian) != tag) continue;
    const size_t bytes = NumberBytes(ReadNumber(tiff, at + 2, 2, big_endian));
    if (bytes == 0 || bytes > word) return std::nullopt;
    return ReadNumber(tiff, at + 4 + word, bytes, big_endian);
  }
  return std::nullopt;
}

int ReadTiffOrientation(absl::string_view tiff) {
  const uint64_t value = ReadTiffNumber(tiff, kTiffOrientationTag).value_or(1);
  return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
}

}  // namespace cvtrain::formats
