#include "tests/unit/formats/image/tiff_fixtures.h"

#include <zlib.h>

#include <algorithm>
#include <utility>

#include "common/little_endian.h"
#include "common/status_macros.h"

namespace cvtrain::formats::testing {

TiffTags MakeTiffTags(uint32_t width, uint32_t height, uint32_t samples, uint32_t bits) {
  return {{256, {width}},
          {257, {height}},
          {258, std::vector<uint32_t>(samples, bits)},
          {259, {1}},  // uncompressed
          {262, {samples < 3 ? 1u : 2u}},
          {277, {samples}},
          {278, {height}}};  // rows of a strip
}

std::string MakeTiff(TiffTags tags, const std::vector<std::string>& blocks) {
  const bool tiled = tags.count(322) != 0;
  std::string file("II*\0\0\0\0\0", 8);
  for (const std::string& block : blocks) {
    tags[tiled ? 324 : 273].push_back(static_cast<uint32_t>(file.size()));
    tags[tiled ? 325 : 279].push_back(static_cast<uint32_t>(block.size()));
    file += block;
    if (file.size() % 2 != 0) file.push_back('\0');
  }
  StoreLittleEndian<uint32_t>(static_cast<uint32_t>(file.size()), file.data() + 4);
  const size_t beyond_at = file.size() + 2 + 12 * tags.size() + 4;
  std::string beyond;
  AppendLittleEndian<uint16_t>(static_cast<uint16_t>(tags.size()), &file);
  for (const auto& [tag, values] : tags) {
    const bool is_long =
        std::any_of(values.begin(), values.end(), [](uint32_t v) { return v > 0xffff; });
    std::string raw;
    for (const uint32_t value : values) {
      AppendLittleEndian<uint16_t>(static_cast<uint16_t>(value), &raw);
      if (is_long) AppendLittleEndian<uint16_t>(static_cast<uint16_t>(value >> 16), &raw);
    }
    AppendLittleEndian<uint16_t>(tag, &file);
    AppendLittleEndian<uint16_t>(is_long ? 4 : 3, &file);
    AppendLittleEndian<uint32_t>(static_cast<uint32_t>(values.size()), &file);
    if (raw.size() > 4) {
      AppendLittleEndian<uint32_t>(static_cast<uint32_t>(beyond_at + beyond.size()), &file);
      beyond += raw;
    } else {
      raw.resize(4);
      file += raw;
    }
  }
  AppendLittleEndian<uint32_t>(0, &file);  // no other directory
  return file + beyond;
}

std::string MakeFlatTiff(uint32_t width, uint32_t height) {
  const std::string raw(uint64_t{width} * height, '\0');
  uLongf size = compressBound(raw.size());
  std::string packed(size, '\0');
  CVT_CHECK(compress(reinterpret_cast<Bytef*>(packed.data()), &size,
                     reinterpret_cast<const Bytef*>(raw.data()), raw.size()) == Z_OK);
  packed.resize(size);
  TiffTags tags = MakeTiffTags(width, height);
  tags[259] = {8};  // Deflate
  return MakeTiff(std::move(tags), {packed});
}

}  // namespace cvtrain::formats::testing
