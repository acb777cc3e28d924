#ifndef CVTRAIN_TESTS_UNIT_FORMATS_SHARD_SHARD_FIXTURES_H_
#define CVTRAIN_TESTS_UNIT_FORMATS_SHARD_SHARD_FIXTURES_H_

#include <cstdint>
#include <optional>
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
  std::optional<storage::v1::Annotation> annotation = std::nullopt;

  // Valid as long as this.
  ShardPicture View() const;
};

// Number `index` of pictures of different sizes, some smaller than some rungs; `bytes` is about the
// length of the source. A function of its arguments.
PictureFixture MakePictureFixture(int index, const std::vector<int>& rungs, size_t bytes);

ShardWriterOptions SmallOptions();
// Of version 2.
ShardWriterOptions AnnotatedOptions();

// Boxes of a picture of `size`: one with polygons, one with runs that is a crowd, one that is
// difficult. A function of its arguments.
storage::v1::Annotation MakeAnnotation(PictureSize size, uint32_t label);

struct ShardFixture {
  std::string bytes;
  ShardSummary summary;
  std::vector<PictureFixture> pictures;
};
// With annotations, every picture but those of odd numbers has one. What is no picture has no size
// and no rungs.
ShardFixture MakeShard(int pictures, size_t source_bytes,
                       const ShardWriterOptions& options = SmallOptions());

// Puts all digests of a shard that MakeShard(3, ...) made, and somebody changed, right again: of
// one that is one block long, whose index ends at `index_end`: 16,384, or 20,480 with annotations.
void SealSmallShard(std::string* bytes, size_t index_end = 4 * 4096);

}  // namespace cvtrain::formats::testing

#endif  // CVTRAIN_TESTS_UNIT_FORMATS_SHARD_SHARD_FIXTURES_H_
