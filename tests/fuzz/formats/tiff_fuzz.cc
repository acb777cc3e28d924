// A TIFF; libtiff is kept silent, and is shown only the compressions that we read.

#include <cstdint>

#include "tests/fuzz/formats/picture_use.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  cvtrain::formats::testing::UsePicture(
      absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
