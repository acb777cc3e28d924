// A checkpoint as it is, and one whose manifest is the input and whose digests are right; each at
// once and in pieces.

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "common/status_macros.h"
#include "formats/checkpoint/checkpoint.h"
#include "formats/checkpoint/checkpoint_stream.h"
#include "tests/unit/formats/checkpoint/checkpoint_fixtures.h"

namespace {

// Whether the check of a file that comes in pieces takes it.
bool IsTaken(absl::string_view file) {
  cvtrain::formats::CheckpointStreamCheck check("fuzz");
  constexpr size_t kPiece = 100;
  for (size_t at = 0; at < file.size(); at += kPiece) {
    if (!check.Update(file.substr(at, kPiece)).ok()) return false;
  }
  return check.Finish().ok();
}

void Use(absl::string_view file) {
  using cvtrain::formats::CheckpointView;
  const auto view = CheckpointView::Open(file, "fuzz");
  CVT_CHECK(IsTaken(file) == view.ok()) << "reading at once and in pieces differ";
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
