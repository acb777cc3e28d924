#include "client/dataset/raw_png.h"

#include <zlib.h>

#include <cstdint>

#include "common/status_macros.h"

namespace cvtrain::client {
namespace {

// PNG is big-endian.
void AppendU32(uint32_t value, std::string* to) {
  for (int shift = 24; shift >= 0; shift -= 8) to->push_back(static_cast<char>(value >> shift));
}

void AppendChunk(absl::string_view type_and_data, std::string* to) {
  AppendU32(static_cast<uint32_t>(type_and_data.size() - 4), to);
  to->append(type_and_data.data(), type_and_data.size());
  AppendU32(static_cast<uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(type_and_data.data()),
                                        static_cast<uInt>(type_and_data.size()))),
            to);
}

}  // namespace

std::string EncodeRawPng(const RawPicture& picture) {
  const auto row_bytes = static_cast<size_t>(picture.width) * static_cast<size_t>(picture.channels);
  const auto rows = static_cast<size_t>(picture.height);
  CVT_CHECK(picture.pixels.size() == row_bytes * rows);
  std::string filtered;
  filtered.reserve((row_bytes + 1) * rows);
  for (size_t row = 0; row < rows; ++row) {
    filtered.push_back('\0');  // no filter: what is this small gains nothing by one
    filtered.append(picture.pixels.data() + row * row_bytes, row_bytes);
  }
  uLongf packed_bytes = compressBound(static_cast<uLong>(filtered.size()));
  std::string data = "IDAT";
  data.resize(4 + packed_bytes);
  CVT_CHECK(compress2(reinterpret_cast<Bytef*>(data.data() + 4), &packed_bytes,
                      reinterpret_cast<const Bytef*>(filtered.data()),
                      static_cast<uLong>(filtered.size()), Z_BEST_COMPRESSION) == Z_OK);
  data.resize(4 + packed_bytes);

  std::string header = "IHDR";
  AppendU32(static_cast<uint32_t>(picture.width), &header);
  AppendU32(static_cast<uint32_t>(picture.height), &header);
  header.push_back(8);                              // bits
  header.push_back(picture.channels == 1 ? 0 : 2);  // grey, RGB
  header.append(3, '\0');                           // the one compression and filter; no passes
  std::string png = "\x89PNG\r\n\x1a\n";
  AppendChunk(header, &png);
  AppendChunk(data, &png);
  AppendChunk("IEND", &png);
  return png;
}

}  // namespace cvtrain::client
