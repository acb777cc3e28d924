#ifndef CVTRAIN_FORMATS_SHARD_DATASET_DIGEST_H_
#define CVTRAIN_FORMATS_SHARD_DATASET_DIGEST_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "formats/shard/shard_format.h"

namespace cvtrain::formats {

// What a data set's shards were made with, as far as it changes what a trial sees.
struct LadderOptions {
  std::vector<int> rungs;
  int source_side = 0;
  int jpeg_quality = 0;
  bool keep_originals = false;
  ShardMedia media = ShardMedia::kPictures;
  // Pictures have boxes and masks.
  bool annotated = false;
};

// The identity of a data set version: SHA-256 over the sorted (split, key, class, SHA-256 of the
// source), the class names and the writer's options; with annotations, over those, too. The same
// whatever the order of Add(), the shards and the threads were; docs/formats/shard.md has the bytes
// that are hashed, which for plain pictures are those of version 1.
//
// Thread-compatible.
class DatasetDigest {
 public:
  // `source_digest` is 32 bytes. `annotation` is as the shard stores it; empty if there is none.
  void Add(absl::string_view split, absl::string_view key, uint32_t label,
           absl::string_view source_digest, absl::string_view annotation = {});

  // Lower-case hex.
  std::string Finish(const std::vector<std::string>& classes, const LadderOptions& options) const;

 private:
  struct Entry {
    std::string split;
    std::string key;
    uint32_t label;
    std::array<uint8_t, 32> source;
    std::array<uint8_t, 32> annotation;  // SHA-256
  };
  std::vector<Entry> entries_;
};

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_SHARD_DATASET_DIGEST_H_
