// A file of COCO: what is read of it is fitted to pictures of some sizes, and must keep the rules
// of a shard then.

#include <cstdint>

#include "absl/strings/string_view.h"
#include "client/dataset/coco_file.h"
#include "client/dataset/fit_annotation.h"
#include "common/status_macros.h"
#include "formats/shard/annotation_rules.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cvtrain;
  const auto file =
      client::ParseCocoFile(absl::string_view(reinterpret_cast<const char*>(data), size));
  if (!file.ok()) return 0;
  const auto classes = static_cast<uint32_t>(file->categories.size());
  for (const client::CocoFile::Picture& picture : file->pictures) {
    const formats::PictureSize known = picture.size == formats::PictureSize{} ||
                                               picture.size.width > 200 || picture.size.height > 200
                                           ? formats::PictureSize{20, 10}
                                           : picture.size;
    for (int orientation = 1; orientation <= 8; ++orientation) {
      const formats::PictureSize stored =
          orientation >= 5 ? formats::PictureSize{5, 10} : formats::PictureSize{10, 5};
      const auto fitted = client::FitAnnotation(
          {.annotation = picture.annotation, .size = {}},
          {.file = known, .orientation = orientation, .stored = stored}, classes);
      if (!fitted.ok()) continue;
      CVT_CHECK(formats::ProblemOf(fitted->annotation, stored, classes).empty());
    }
  }
  return 0;
}
