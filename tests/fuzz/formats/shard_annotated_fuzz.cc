// Version 2 of a shard: the input lies over header, records and annotations of a good one, and all
// digests are put right, so that what reads them is reached.

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "common/status_macros.h"
#include "formats/shard/annotation_rules.h"
#include "formats/shard/shard_reader.h"
#include "tests/unit/formats/shard/shard_fixtures.h"

namespace {

constexpr size_t kHeaderBytes = 288;
constexpr size_t kRecordsBytes = 3 * 48;
constexpr size_t kTableAt = 4096;
constexpr size_t kAnnotationsAt = 4 * 4096;
constexpr size_t kIndexEnd = 5 * 4096;

void Use(absl::string_view bytes) {
  using namespace cvtrain::formats;
  const auto reader = ShardReader::Open(bytes, "fuzz");
  if (!reader.ok()) return;
  std::string scratch;
  for (int64_t i = 0; i < (*reader)->info().records; ++i) {
    const auto annotation = (*reader)->annotation(i);
    CVT_CHECK(
        ProblemOf(annotation, (*reader)->record(i).source, (*reader)->info().classes).empty());
    for (int rung = 0; rung <= static_cast<int>((*reader)->info().rungs.size()); ++rung) {
      const auto read = (*reader)->Read(i, rung, &scratch);
      if (read.ok()) const std::string copy(*read);  // touches every byte
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cvtrain::formats::testing;
  static const std::string& good = *new std::string(MakeShard(3, 40, AnnotatedOptions()).bytes);
  std::string bytes = good;
  const auto put = [&](size_t length, size_t at) {
    length = std::min(length, size);
    std::copy(data, data + length, bytes.begin() + static_cast<ptrdiff_t>(at));
    data += length;
    size -= length;
  };
  put(kHeaderBytes, 0);
  put(kRecordsBytes, kTableAt);
  put(kIndexEnd - kAnnotationsAt, kAnnotationsAt);
  SealSmallShard(&bytes, kIndexEnd);
  Use(bytes);
  return 0;
}
