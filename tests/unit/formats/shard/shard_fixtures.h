#ifndef CVTRAIN_TESTS_UNIT_FORMATS_SHARD_SHARD_FIXTURES_H_
#define CVTRAIN_TESTS_UNIT_FORMATS_SHARD_SHARD_FIXTURES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "formats/shard/shard_writer.h"

namespace cvtrain::formats::testing {

// A picture whose bytes are arbitrary: a shard does not look into them.
struct PictureFixture {
  std::string key;
  uint32_t label = 0;
  PictureSize size;
  std::string digest;
  std::vector<std::string> rungs;
  std::string source;

  ShardPicture View() const;
};

// Number `index` of pictures of different sizes, some smaller than some rungs; `bytes` is about the
// length of the source. A function of its arguments.
PictureFixture MakePictureFixture(int index, const std::vector<int>& rungs, size_t bytes);

ShardWriterOptions SmallOptions();

struct ShardFixture {
  std::string bytes;
  ShardSummary summary;
  std::vector<PictureFixture> pictures;
};
ShardFixture MakeShard(int pictures, size_t source_bytes,
                       const ShardWriterOptions& options = SmallOptions());

// Puts all digests of a shard that MakeShard(3, ...) made, and somebody changed, right again: of
// one whose index ends at 16,384 and that is one block long.
void SealSmallShard(std::string* bytes);

}  // namespace cvtrain::formats::testing

#endif  // CVTRAIN_TESTS_UNIT_FORMATS_SHARD_SHARD_FIXTURES_H_
