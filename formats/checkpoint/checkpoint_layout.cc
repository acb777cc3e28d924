#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "common/crc32c.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/little_endian.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "formats/checkpoint/checkpoint.h"
#include "formats/checkpoint/checkpoint_header.h"

namespace cvtrain::formats {
namespace {

// A manifest with other text is written by protobuf, but not read.
bool IsUtf8(const CheckpointManifest& manifest) {
  for (const std::string* text :
       {&manifest.checkpoint(), &manifest.trial(), &manifest.attempt(), &manifest.recipe_digest(),
        &manifest.dataset_digest(), &manifest.sample_digest(), &manifest.program_version(),
        &manifest.build_id()}) {
    if (!IsValidUtf8(*text)) return false;
  }
  return std::all_of(manifest.states().begin(), manifest.states().end(),
                     [](const auto& state) { return IsValidUtf8(state.name()); });
}

void Zero(absl::Span<char> file, int64_t begin, int64_t end) {
  std::memset(file.data() + begin, 0, static_cast<size_t>(end - begin));
}

}  // namespace

absl::StatusOr<CheckpointLayout> CheckpointLayout::Plan(std::vector<TensorSpec> tensors,
                                                        int64_t extra_bytes) {
  if (tensors.size() > limits::kTensorsPerCheckpointMax) {
    return LimitExceeded("kTensorsPerCheckpointMax",
                         absl::StrCat("checkpoint: ", tensors.size(), " tensors, at most ",
                                      limits::kTensorsPerCheckpointMax));
  }
  CheckpointLayout layout;
  absl::flat_hash_set<std::string> names;
  int64_t end = 0;
  for (TensorSpec& spec : tensors) {
    storage::v1::Tensor& tensor = *layout.manifest_.add_tensors();
    tensor.set_name(std::move(spec.name));
    tensor.set_data_type(spec.data_type);
    tensor.set_role(spec.role);
    tensor.mutable_shape()->Add(spec.shape.begin(), spec.shape.end());
    int64_t bytes = 0;
    std::string problem = internal::CheckTensor(tensor, &bytes);
    if (problem.empty() && !names.insert(tensor.name()).second) problem = "the name is used twice";
    if (!problem.empty()) {
      return InvalidArgument(Reason::kFieldInvalid,
                             absl::StrCat("tensor ", SafeText(tensor.name()), ": ", problem));
    }
    tensor.set_offset(internal::AlignUp(end, kCheckpointTensorAlignment));
    end = tensor.offset() + bytes;
    layout.tensor_bytes_.push_back(bytes);
    if (end > static_cast<int64_t>(limits::kCheckpointSizeBytesMax)) break;
  }
  layout.manifest_room_ = static_cast<int64_t>(layout.manifest_.ByteSizeLong()) + extra_bytes;
  if (layout.manifest_room_ > static_cast<int64_t>(limits::kCheckpointManifestSizeBytesMax)) {
    return LimitExceeded("kCheckpointManifestSizeBytesMax",
                         absl::StrCat("checkpoint: a manifest of ", layout.manifest_room_,
                                      " bytes, at most ", limits::kCheckpointManifestSizeBytesMax));
  }
  internal::CheckpointHeader header;
  header.data_offset =
      internal::AlignUp(kCheckpointHeaderBytes + layout.manifest_room_, kCheckpointDataAlignment);
  header.data_bytes = internal::AlignUp(end, kCheckpointTensorAlignment);
  layout.data_offset_ = header.data_offset;
  layout.data_bytes_ = header.data_bytes;
  layout.file_bytes_ = header.ExpectedFileBytes();
  if (layout.file_bytes_ > static_cast<int64_t>(limits::kCheckpointSizeBytesMax)) {
    return LimitExceeded(
        "kCheckpointSizeBytesMax",
        absl::StrCat("checkpoint: over ", limits::kCheckpointSizeBytesMax, " bytes"));
  }
  return layout;
}

int64_t CheckpointLayout::tensor_offset(int index) const {
  CVT_CHECK(index >= 0 && index < tensor_count());
  return data_offset_ + manifest_.tensors(index).offset();
}

int64_t CheckpointLayout::tensor_bytes(int index) const {
  CVT_CHECK(index >= 0 && index < tensor_count());
  return tensor_bytes_[static_cast<size_t>(index)];
}

absl::Status CheckpointLayout::WriteHeaderAndManifest(CheckpointManifest manifest,
                                                      absl::Span<char> file) const {
  if (static_cast<int64_t>(file.size()) != file_bytes_) {
    return InvalidArgument(Reason::kFieldInvalid,
                           absl::StrCat("checkpoint: the buffer must have ", file_bytes_,
                                        " bytes, got ", file.size()));
  }
  if (manifest.states_size() > kCheckpointStatesMax) {
    return LimitExceeded("kCheckpointStatesMax",
                         absl::StrCat("checkpoint: ", manifest.states_size(), " states, at most ",
                                      kCheckpointStatesMax));
  }
  if (!IsUtf8(manifest)) {
    return InvalidArgument(Reason::kFieldInvalid, "checkpoint: the manifest has text in no UTF-8");
  }
  *manifest.mutable_tensors() = manifest_.tensors();
  internal::CheckpointHeader header;
  header.file_bytes = file_bytes_;
  header.manifest_bytes = static_cast<int64_t>(manifest.ByteSizeLong());
  header.data_offset = data_offset_;
  header.data_bytes = data_bytes_;
  if (header.manifest_bytes > manifest_room_) {
    return LimitExceeded("extra_bytes",
                         absl::StrCat("checkpoint: a manifest of ", header.manifest_bytes,
                                      " bytes has room for ", manifest_room_));
  }
  char* at = file.data() + kCheckpointHeaderBytes;
  CVT_CHECK(manifest.SerializeToArray(at, static_cast<int>(header.manifest_bytes)));
  header.manifest_crc32c =
      Crc32c(absl::string_view(at, static_cast<size_t>(header.manifest_bytes)));
  internal::SerializeHeader(header).copy(file.data(), kCheckpointHeaderBytes);

  Zero(file, kCheckpointHeaderBytes + header.manifest_bytes, data_offset_);
  int64_t end = data_offset_;
  for (int i = 0; i < tensor_count(); ++i) {
    Zero(file, end, tensor_offset(i));
    end = tensor_offset(i) + tensor_bytes(i);
  }
  // The trailer too: that of an earlier checkpoint in this buffer must not vouch for this one.
  Zero(file, end, file_bytes_);
  return absl::OkStatus();
}

absl::StatusOr<CheckpointDigests> FinishTrailer(absl::Span<char> file) {
  const absl::string_view bytes(file.data(), file.size());
  CVT_ASSIGN_OR_RETURN(const internal::CheckpointHeader header,
                       internal::ParseHeader(bytes, "in memory"));
  if (header.file_bytes != static_cast<int64_t>(file.size())) {
    return internal::BadCheckpoint(
        "in memory", "header", 0,
        absl::StrCat("says ", header.file_bytes, " bytes, has ", file.size()));
  }
  const auto covered = static_cast<size_t>(header.trailer_offset());
  CheckpointDigests digests;
  Sha256 sha256;
  for (size_t at = 0; at < covered; at += static_cast<size_t>(kCheckpointBlockBytes)) {
    const absl::string_view block =
        bytes.substr(at, std::min(covered - at, static_cast<size_t>(kCheckpointBlockBytes)));
    digests.block_crc32c.push_back(Crc32c(block));
    sha256.Update(block);
  }
  std::string trailer(kCheckpointTrailerMagic);
  AppendLittleEndian<uint32_t>(static_cast<uint32_t>(kCheckpointBlockBytes), &trailer);
  AppendLittleEndian<uint32_t>(static_cast<uint32_t>(digests.block_crc32c.size()), &trailer);
  for (const uint32_t crc : digests.block_crc32c) AppendLittleEndian<uint32_t>(crc, &trailer);
  AppendLittleEndian<uint32_t>(Crc32c(trailer), &trailer);
  sha256.Update(trailer);
  const Sha256Digest digest = sha256.Peek();
  const absl::string_view digest_bytes(reinterpret_cast<const char*>(digest.data()), digest.size());
  sha256.Update(digest_bytes);
  trailer.append(digest_bytes.data(), digest_bytes.size());
  CVT_CHECK(covered + trailer.size() == file.size());
  trailer.copy(file.data() + covered, trailer.size());
  digests.file_sha256 = ToHex(sha256.Finish());
  return digests;
}

}  // namespace cvtrain::formats
