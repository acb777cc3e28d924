// A WebP as it is, and one whose file header says the right length.

#include <cstdint>
#include <string>

#include "common/little_endian.h"
#include "tests/fuzz/formats/picture_use.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  cvtrain::formats::testing::UsePicture(bytes);
  if (size < 12) return 0;
  std::string fitting(bytes);
  cvtrain::StoreLittleEndian<uint32_t>(static_cast<uint32_t>(size - 8), fitting.data() + 4);
  cvtrain::formats::testing::UsePicture(fitting);
  return 0;
}
