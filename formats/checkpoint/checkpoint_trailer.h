#ifndef CVTRAIN_FORMATS_CHECKPOINT_CHECKPOINT_TRAILER_H_
#define CVTRAIN_FORMATS_CHECKPOINT_CHECKPOINT_TRAILER_H_

// Inside the checkpoint library: the trailer, as a function of what precedes it.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/block_digest.h"
#include "formats/checkpoint/checkpoint.h"

namespace cvtrain::formats::internal {

// Digests of a checkpoint's bytes, which come from front to back. Thread-compatible.
class TrailerMaker {
 public:
  // Takes the next bytes, in pieces of any size.
  void Update(absl::string_view bytes);

  // The trailer of all of them, and the digests of the file that ends with it. Call it once.
  std::string Finish(CheckpointDigests* digests);

 private:
  BlockDigest whole_;
  std::vector<uint32_t> block_crc32c_;
  size_t block_room_ = 0;  // of the last block
};

}  // namespace cvtrain::formats::internal

#endif  // CVTRAIN_FORMATS_CHECKPOINT_CHECKPOINT_TRAILER_H_
