#include "common/block_digest.h"

#define XXH_INLINE_ALL  // its vector code, compiled here
#include <xxhash.h>

#include <string>

#include "common/little_endian.h"

namespace cvtrain {
namespace {

void Append(const XXH128_hash_t& hash, std::string* to) {
  XXH128_canonical_t bytes;
  XXH128_canonicalFromHash(&bytes, hash);
  to->append(reinterpret_cast<const char*>(bytes.digest), sizeof(bytes.digest));
}

}  // namespace

struct BlockDigest::Block {
  Block() { XXH3_128bits_reset(&state); }

  XXH3_state_t state;
  size_t size = 0;
};

BlockDigest::BlockDigest() : block_(std::make_unique<Block>()) {}
BlockDigest::BlockDigest(BlockDigest&&) noexcept = default;
BlockDigest& BlockDigest::operator=(BlockDigest&&) noexcept = default;
BlockDigest::~BlockDigest() = default;

void BlockDigest::Update(absl::string_view data) {
  size_bytes_ += data.size();
  while (!data.empty()) {
    const absl::string_view piece = data.substr(0, kBlockBytes - block_->size);
    data.remove_prefix(piece.size());
    if (piece.size() == kBlockBytes) {
      Append(XXH3_128bits(piece.data(), piece.size()), &hashes_);
      continue;
    }
    XXH3_128bits_update(&block_->state, piece.data(), piece.size());
    block_->size += piece.size();
    if (block_->size < kBlockBytes) return;
    Append(XXH3_128bits_digest(&block_->state), &hashes_);
    XXH3_128bits_reset(&block_->state);
    block_->size = 0;
  }
}

Sha256Digest BlockDigest::Peek() const {
  std::string all = hashes_;
  if (block_->size > 0) Append(XXH3_128bits_digest(&block_->state), &all);
  AppendLittleEndian<uint64_t>(size_bytes_, &all);
  return Sha256Of(all);
}

Sha256Digest BlockDigest::Finish() {
  const Sha256Digest digest = Peek();
  *this = BlockDigest();
  return digest;
}

Sha256Digest BlockDigestOf(absl::string_view data) {
  BlockDigest digest;
  digest.Update(data);
  return digest.Finish();
}

std::string BlockDigestHex(absl::string_view data) { return ToHex(BlockDigestOf(data)); }

}  // namespace cvtrain
