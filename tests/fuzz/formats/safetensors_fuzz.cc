// A safetensors file as it is, and one whose header is the input.

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/little_endian.h"
#include "formats/safetensors/safetensors.h"

namespace {

void Use(absl::string_view file) {
  const auto view = cvtrain::formats::SafetensorsView::Open(file, "fuzz");
  if (!view.ok()) return;
  for (const auto& tensor : view->tensors()) {
    const std::string copy(tensor.data);  // touches every byte
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  Use(bytes);
  std::string file;
  cvtrain::AppendLittleEndian<uint64_t>(size, &file);
  Use(absl::StrCat(file, bytes, std::string(24, 'd')));
  return 0;
}
