#ifndef CVTRAIN_COMMON_BLOCK_DIGEST_H_
#define CVTRAIN_COMMON_BLOCK_DIGEST_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "common/sha256.h"

namespace cvtrain {

// A digest of large files at the speed of memory (docs/decisions/0013):
//
//   SHA-256(XXH3-128 of each block of 1 MiB, the last one shorter, then the length in 64 bits)
//
// XXH3 in its canonical, big-endian form, the length in little-endian. It finds whatever happens to
// bytes by accident, and tells two files apart. It is no proof against somebody who makes two
// blocks on purpose that have the same XXH3.
//
// Takes bytes that arrive in pieces of any size. Thread-compatible.
class BlockDigest {
 public:
  static constexpr size_t kBlockBytes = size_t{1} << 20;

  BlockDigest();
  BlockDigest(BlockDigest&&) noexcept;
  BlockDigest& operator=(BlockDigest&&) noexcept;
  ~BlockDigest();

  void Update(absl::string_view data);
  // The digest of all bytes so far; goes on with them.
  Sha256Digest Peek() const;
  // The digest of all bytes so far; starts again from nothing.
  Sha256Digest Finish();

 private:
  struct Block;

  std::unique_ptr<Block> block_;  // the one that is not full
  std::string hashes_;            // of those that are
  uint64_t size_bytes_ = 0;
};

Sha256Digest BlockDigestOf(absl::string_view data);
// 64 lower-case hexadecimal digits.
std::string BlockDigestHex(absl::string_view data);

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_BLOCK_DIGEST_H_
