// Opening, in this order, so that nothing is believed before it is checked:
//   1. the header: magic, version, CRC, ranges; the file must have just the length that it says;
//   2. the trailer: magic, CRC, number of blocks;
//   3. if asked, every block, and the digest of everything before the last 32 bytes;
//   4. the manifest: its CRC, the number of its tensors before it is parsed, then each tensor.

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/block_digest.h"
#include "common/crc32c.h"
#include "common/errors.h"
#include "common/little_endian.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "formats/checkpoint/checkpoint.h"
#include "formats/checkpoint/checkpoint_header.h"
#include "formats/checkpoint/checkpoint_manifest.h"

namespace cvtrain::formats {
namespace {

using internal::BadCheckpoint;
using internal::CheckpointHeader;

absl::Status CheckTrailer(absl::string_view file, absl::string_view name,
                          const CheckpointHeader& header) {
  const absl::string_view trailer = file.substr(static_cast<size_t>(header.trailer_offset()));
  const absl::string_view covered =
      trailer.substr(0, trailer.size() - 4 - static_cast<size_t>(internal::kDigestBytes));
  const auto bad = [&](absl::string_view problem) {
    return BadCheckpoint(name, "trailer", header.trailer_offset(), problem);
  };
  if (covered.substr(0, kCheckpointTrailerMagic.size()) != kCheckpointTrailerMagic) {
    return bad("there is none: the checkpoint was not completed");
  }
  if (LoadLittleEndian<uint32_t>(covered.end()) != Crc32c(covered)) return bad("its CRC is wrong");
  if (LoadLittleEndian<uint32_t>(covered.data() + 8) != kCheckpointBlockBytes ||
      LoadLittleEndian<uint32_t>(covered.data() + 12) != header.blocks()) {
    return bad("not the trailer of this file");
  }
  return absl::OkStatus();
}

// Everything by its digest, where `whole` holds what precedes the trailer; then the whole file.
absl::Status CheckDigest(absl::string_view file, absl::string_view name,
                         const CheckpointHeader& header, BlockDigest& whole) {
  const size_t digest_at = file.size() - static_cast<size_t>(internal::kDigestBytes);
  const auto trailer_at = static_cast<size_t>(header.trailer_offset());
  whole.Update(file.substr(trailer_at, digest_at - trailer_at));
  const Sha256Digest digest = whole.Peek();
  if (std::memcmp(digest.data(), file.data() + digest_at, digest.size()) != 0) {
    return BadCheckpoint(name, "digest", static_cast<int64_t>(digest_at),
                         "it is not that of what precedes it");
  }
  whole.Update(file.substr(digest_at));
  return absl::OkStatus();
}

bool IsZero(absl::string_view bytes) {
  return bytes.find_first_not_of('\0') == absl::string_view::npos;
}

}  // namespace

absl::StatusOr<CheckpointManifest> ReadManifest(absl::string_view prefix, absl::string_view name) {
  if (prefix.size() < static_cast<size_t>(kCheckpointHeaderBytes)) {
    return absl::OutOfRangeError("checkpoint: the header has not arrived");
  }
  CVT_ASSIGN_OR_RETURN(const CheckpointHeader header, internal::ParseHeader(prefix, name));
  if (static_cast<int64_t>(prefix.size()) < kCheckpointHeaderBytes + header.manifest_bytes) {
    return absl::OutOfRangeError("checkpoint: the manifest has not arrived");
  }
  return internal::ParseManifest(prefix, name, header);
}

absl::StatusOr<CheckpointView> CheckpointView::Open(absl::string_view file, absl::string_view name,
                                                    CheckpointVerify verify) {
  CVT_ASSIGN_OR_RETURN(const CheckpointHeader header, internal::ParseHeader(file, name));
  if (header.file_bytes != static_cast<int64_t>(file.size())) {
    return BadCheckpoint(name, "end of file", static_cast<int64_t>(file.size()),
                         absl::StrCat("the header says ", header.file_bytes, " bytes"));
  }
  CVT_RETURN_IF_ERROR(CheckTrailer(file, name, header));
  CheckpointView view;
  view.name_ = std::string(name);
  view.covered_ = file.substr(0, static_cast<size_t>(header.trailer_offset()));
  view.block_count_ = header.blocks();
  view.block_crcs_ = file.data() + header.trailer_offset() + internal::kTrailerFixedBytes;
  if (verify == CheckpointVerify::kAll) {
    // The CRC of each block, and the digest, in one pass.
    BlockDigest whole;
    for (int64_t block = 0; block < view.block_count(); ++block) {
      CVT_ASSIGN_OR_RETURN(const absl::string_view bytes, view.Block(block));
      whole.Update(bytes);
    }
    CVT_RETURN_IF_ERROR(CheckDigest(file, name, header, whole));
    view.file_digest_ = ToHex(whole.Finish());
  }
  CVT_ASSIGN_OR_RETURN(view.manifest_, internal::ParseManifest(file, name, header));
  CVT_ASSIGN_OR_RETURN(internal::TensorTable table,
                       internal::CheckTensors(view.manifest_, name, header));
  for (const internal::ByteRange& zeros : internal::PaddingOf(view.manifest_, table, header)) {
    if (!IsZero(file.substr(static_cast<size_t>(zeros.begin),
                            static_cast<size_t>(zeros.end - zeros.begin)))) {
      return BadCheckpoint(name, "padding", zeros.begin, "must be zero");
    }
  }
  view.data_ =
      file.substr(static_cast<size_t>(header.data_offset), static_cast<size_t>(header.data_bytes));
  view.tensor_bytes_ = std::move(table.bytes);
  view.by_name_ = std::move(table.by_name);
  return view;
}

absl::StatusOr<absl::string_view> CheckpointView::Block(int64_t index) const {
  const auto at = static_cast<size_t>(index * kCheckpointBlockBytes);
  const absl::string_view bytes = covered_.substr(at, static_cast<size_t>(kCheckpointBlockBytes));
  if (Crc32c(bytes) != LoadLittleEndian<uint32_t>(block_crcs_ + 4 * index)) {
    return BadCheckpoint(name_, absl::StrCat("block ", index), static_cast<int64_t>(at),
                         "its CRC is wrong");
  }
  return bytes;
}

CheckpointView::Tensor CheckpointView::tensor(int index) const {
  CVT_CHECK(index >= 0 && index < tensor_count());
  const storage::v1::Tensor& tensor = manifest_.tensors(index);
  return {tensor.name(), tensor.data_type(), tensor.shape(), tensor.role(),
          data_.substr(static_cast<size_t>(tensor.offset()),
                       static_cast<size_t>(tensor_bytes_[static_cast<size_t>(index)]))};
}

absl::StatusOr<CheckpointView::Tensor> CheckpointView::FindTensor(
    absl::string_view tensor_name) const {
  const auto found = by_name_.find(tensor_name);
  if (found == by_name_.end()) {
    return NotFound(Reason::kUnknownName,
                    absl::StrCat("checkpoint: no tensor ", SafeText(tensor_name)));
  }
  return tensor(found->second);
}

}  // namespace cvtrain::formats
