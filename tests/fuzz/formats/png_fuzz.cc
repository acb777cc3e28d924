// A PNG as it is, and one whose chunks have the right CRCs, so that what reads them is reached.

#include <algorithm>
#include <cstdint>
#include <string>

#include "tests/fuzz/formats/picture_use.h"
#include "tests/unit/formats/image/image_fixtures.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cvtrain::formats::testing;
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  UsePicture(bytes);
  constexpr size_t kSignature = 8;
  std::string sealed(bytes.substr(0, kSignature));
  for (size_t at = kSignature; at + 12 <= size;) {
    size_t length = 0;
    for (size_t i = 0; i < 4; ++i) length = length << 8 | data[at + i];
    length = std::min(length, size - at - 12);
    sealed += MakePngChunk(bytes.substr(at + 4, 4 + length));
    at += 12 + length;
  }
  UsePicture(sealed);
  return 0;
}
