#include "coordinator/storage/log_damage.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/crc32c.h"

// A log of RocksDB is a sequence of blocks of 32 KiB. In a block, records: CRC (4 bytes, little-
// endian, masked, over type and payload), length (2), type (1), payload. Fewer than 7 bytes at the
// end of a block are zero.

namespace cvtrain::coordinator {
namespace {

constexpr size_t kBlockSize = 32 << 10;
constexpr size_t kHeaderSize = 7;

uint32_t LittleEndian(absl::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = bytes.size(); i > 0; --i) {
    value = (value << 8) | static_cast<uint8_t>(bytes[i - 1]);
  }
  return value;
}

uint32_t Unmask(uint32_t masked) {
  const uint32_t rotated = masked - 0xa282ead8u;
  return (rotated >> 17) | (rotated << 15);
}

// Offset in `block` of its first record that is not what its header says.
std::optional<size_t> FirstBadRecord(absl::string_view block, bool last) {
  size_t at = 0;
  while (at + kHeaderSize <= block.size()) {
    const absl::string_view header = block.substr(at, kHeaderSize);
    const size_t length = LittleEndian(header.substr(4, 2));
    if (header[6] == 0 && length == 0) {
      return std::nullopt;  // reserved, never written
    }
    if (at + kHeaderSize + length > block.size()) {
      return last ? std::nullopt : std::optional<size_t>(at);  // a torn end is normal
    }
    if (Unmask(LittleEndian(header.substr(0, 4))) != Crc32c(block.substr(at + 6, length + 1))) {
      return at;
    }
    at += kHeaderSize + length;
  }
  return std::nullopt;
}

std::optional<uint64_t> FirstBadRecord(const RandomAccessFile& file) {
  std::string block(kBlockSize, '\0');
  for (uint64_t offset = 0;; offset += kBlockSize) {
    const absl::StatusOr<size_t> size = file.Read(offset, absl::MakeSpan(block));
    if (!size.ok()) {
      return offset;
    }
    const bool last = *size < kBlockSize;
    if (auto at = FirstBadRecord(absl::string_view(block).substr(0, *size), last)) {
      return offset + *at;
    }
    if (last) {
      return std::nullopt;
    }
  }
}

}  // namespace

std::string DescribeLogDamage(FileSystem& files, const std::string& directory) {
  const auto names = files.ListDir(directory);
  if (!names.ok()) {
    return "";
  }
  for (const std::string& name : *names) {  // numbers have leading zeros: sorted by age
    if (!absl::EndsWith(name, ".log")) {
      continue;
    }
    const auto file = files.NewRandomAccessFile(JoinPath(directory, name));
    if (!file.ok()) {
      continue;
    }
    if (const auto offset = FirstBadRecord(**file)) {
      return absl::StrCat(name, " at offset ", *offset);
    }
  }
  return "";
}

}  // namespace cvtrain::coordinator
