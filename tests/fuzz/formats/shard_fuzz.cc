// The header and the record table of a shard: the input lies over those of a good one, and all
// digests are put right, so that what reads them is reached.

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "formats/shard/shard_reader.h"
#include "tests/unit/formats/shard/shard_fixtures.h"

namespace {

// Reads all that there is. The answers do not matter.
void Use(absl::string_view bytes) {
  const auto reader = cvtrain::formats::ShardReader::Open(bytes, "fuzz");
  if (!reader.ok()) return;
  std::string scratch;
  for (int64_t i = 0; i < (*reader)->info().records; ++i) {
    const std::string key((*reader)->key(i));
    for (int rung = 0; rung <= static_cast<int>((*reader)->info().rungs.size()); ++rung) {
      const auto read = (*reader)->Read(i, rung, &scratch);
      if (read.ok()) const std::string copy(*read);  // touches every byte
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string& good =
      *new std::string(cvtrain::formats::testing::MakeShard(3, 40).bytes);
  Use(absl::string_view(reinterpret_cast<const char*>(data), size));
  // 264 bytes of header, then records.
  std::string bytes = good;
  const size_t header = std::min<size_t>(size, 264);
  std::copy(data, data + header, bytes.begin());
  const size_t records = std::min<size_t>(size - header, 4096);
  std::copy(data + header, data + header + records, bytes.begin() + 4096);
  cvtrain::formats::testing::SealSmallShard(&bytes);
  Use(bytes);
  return 0;
}
