// A safetensors file as it is, and one whose header is the input; what can be imported is.

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/little_endian.h"
#include "common/memory_file_system.h"
#include "common/status_macros.h"
#include "formats/safetensors/imported_weights.h"
#include "formats/safetensors/safetensors.h"

namespace {

// A checkpoint that is made of it opens.
void Import(absl::string_view file) {
  cvtrain::InMemoryFileSystem files;
  CVT_CHECK_OK(cvtrain::WriteFileAtomic(files, "/file", file));
  const auto opened = files.NewRandomAccessFile("/file");
  CVT_CHECK_OK(opened.status());
  const auto weights = cvtrain::formats::ImportedWeights::Open(**opened, "fuzz", {});
  if (!weights.ok()) return;
  std::string checkpoint;
  CVT_CHECK_OK(weights
                   ->Write("checkpoints/00000000-0000-4000-8000-000000000000",
                           [&](absl::string_view piece) {
                             checkpoint.append(piece.data(), piece.size());
                             return absl::OkStatus();
                           })
                   .status());
  CVT_CHECK_OK(cvtrain::formats::CheckpointView::Open(checkpoint, "fuzz").status());
}

void Use(absl::string_view file) {
  Import(file);
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
