#include "formats/checkpoint/checkpoint_trailer.h"

#include <algorithm>
#include <utility>

#include "common/crc32c.h"
#include "common/little_endian.h"
#include "common/text.h"

namespace cvtrain::formats::internal {

void TrailerMaker::Update(absl::string_view bytes) {
  while (!bytes.empty()) {
    if (block_room_ == 0) {
      block_crc32c_.push_back(0);
      block_room_ = static_cast<size_t>(kCheckpointBlockBytes);
    }
    const absl::string_view part = bytes.substr(0, std::min(bytes.size(), block_room_));
    block_crc32c_.back() = ExtendCrc32c(block_crc32c_.back(), part);
    whole_.Update(part);
    block_room_ -= part.size();
    bytes.remove_prefix(part.size());
  }
}

std::string TrailerMaker::Finish(CheckpointDigests* digests) {
  std::string trailer(kCheckpointTrailerMagic);
  AppendLittleEndian<uint32_t>(static_cast<uint32_t>(kCheckpointBlockBytes), &trailer);
  AppendLittleEndian<uint32_t>(static_cast<uint32_t>(block_crc32c_.size()), &trailer);
  for (const uint32_t crc : block_crc32c_) AppendLittleEndian<uint32_t>(crc, &trailer);
  AppendLittleEndian<uint32_t>(Crc32c(trailer), &trailer);
  whole_.Update(trailer);
  const Sha256Digest digest = whole_.Peek();
  const absl::string_view digest_bytes(reinterpret_cast<const char*>(digest.data()), digest.size());
  whole_.Update(digest_bytes);
  trailer.append(digest_bytes.data(), digest_bytes.size());
  digests->block_crc32c = std::move(block_crc32c_);
  digests->file_digest = ToHex(whole_.Finish());
  return trailer;
}

}  // namespace cvtrain::formats::internal
