// A checkpoint as it is, and one whose manifest is the input and whose digests are right.

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "formats/checkpoint/checkpoint.h"
#include "tests/unit/formats/checkpoint/checkpoint_fixtures.h"

namespace {

void Use(absl::string_view file) {
  using cvtrain::formats::CheckpointView;
  const auto view = CheckpointView::Open(file, "fuzz");
  if (!view.ok()) return;
  for (int i = 0; i < view->tensor_count(); ++i) {
    const std::string copy(view->tensor(i).data);  // touches every byte
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  Use(bytes);
  cvtrain::formats::ReadManifest(bytes, "fuzz").status().IgnoreError();  // either answer is right
  Use(cvtrain::formats::testing::ForgeCheckpoint(bytes, 192));
  return 0;
}
