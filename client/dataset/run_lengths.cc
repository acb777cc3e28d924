#include "client/dataset/run_lengths.h"

#include "common/errors.h"

namespace cvtrain::client {

absl::StatusOr<std::vector<uint32_t>> ParseCocoRuns(absl::string_view text, uint64_t pixels) {
  constexpr int kDigitsMax = 7;  // 35 bits
  std::vector<uint32_t> runs;
  uint64_t sum = 0;
  size_t at = 0;
  while (at < text.size()) {
    int64_t value = 0;
    int digits = 0;
    bool more = true;
    while (more) {
      if (at == text.size() || digits == kDigitsMax || text[at] < '0' || text[at] > '0' + 63) {
        return InvalidArgument(Reason::kDataBad, "mask: damaged run lengths");
      }
      const int code = text[at++] - '0';
      value |= int64_t{code & 0x1f} << (5 * digits);
      ++digits;
      more = (code & 0x20) != 0;
      if (!more && (code & 0x10) != 0) value -= int64_t{1} << (5 * digits);
    }
    if (runs.size() > 2) value += runs[runs.size() - 2];
    if (value < 0 || static_cast<uint64_t>(value) > pixels - sum) {
      return InvalidArgument(Reason::kDataBad, "mask: runs beyond the picture");
    }
    sum += static_cast<uint64_t>(value);
    runs.push_back(static_cast<uint32_t>(value));
  }
  return runs;
}

Bitmap Unpack(const storage::v1::RunLengths& runs) {
  Bitmap bitmap;
  bitmap.width = static_cast<int>(runs.width());
  bitmap.height = static_cast<int>(runs.height());
  bitmap.pixels.reserve(size_t{runs.width()} * runs.height());
  uint8_t value = 0;
  for (const uint32_t length : runs.lengths()) {
    bitmap.pixels.insert(bitmap.pixels.end(), length, value);
    value ^= 1;
  }
  return bitmap;
}

storage::v1::RunLengths Pack(const Bitmap& bitmap) {
  storage::v1::RunLengths runs;
  runs.set_width(static_cast<uint32_t>(bitmap.width));
  runs.set_height(static_cast<uint32_t>(bitmap.height));
  uint8_t value = 0;
  uint32_t length = 0;
  for (const uint8_t pixel : bitmap.pixels) {
    if (pixel != value) {
      runs.add_lengths(length);
      value = pixel;
      length = 0;
    }
    ++length;
  }
  runs.add_lengths(length);
  return runs;
}

}  // namespace cvtrain::client
