#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "common/crc32c.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "formats/checkpoint/checkpoint.h"
#include "formats/checkpoint/checkpoint_header.h"
#include "formats/checkpoint/checkpoint_trailer.h"

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

absl::Status CheckRoom(absl::Span<char> buffer, int64_t bytes) {
  if (static_cast<int64_t>(buffer.size()) == bytes) return absl::OkStatus();
  return InvalidArgument(Reason::kFieldInvalid, absl::StrCat("checkpoint: the buffer must have ",
                                                             bytes, " bytes, got ", buffer.size()));
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
  CVT_RETURN_IF_ERROR(CheckRoom(file, file_bytes_));
  CVT_RETURN_IF_ERROR(
      WriteHead(std::move(manifest), file.subspan(0, static_cast<size_t>(data_offset_))));
  int64_t end = data_offset_;
  for (int i = 0; i < tensor_count(); ++i) {
    Zero(file, end, tensor_offset(i));
    end = tensor_offset(i) + tensor_bytes(i);
  }
  // The trailer too: that of an earlier checkpoint in this buffer must not vouch for this one.
  Zero(file, end, file_bytes_);
  return absl::OkStatus();
}

absl::Status CheckpointLayout::WriteHead(CheckpointManifest manifest, absl::Span<char> head) const {
  CVT_RETURN_IF_ERROR(CheckRoom(head, data_offset_));
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
  char* at = head.data() + kCheckpointHeaderBytes;
  CVT_CHECK(manifest.SerializeToArray(at, static_cast<int>(header.manifest_bytes)));
  header.manifest_crc32c =
      Crc32c(absl::string_view(at, static_cast<size_t>(header.manifest_bytes)));
  internal::SerializeHeader(header).copy(head.data(), kCheckpointHeaderBytes);
  Zero(head, kCheckpointHeaderBytes + header.manifest_bytes, data_offset_);
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
  internal::TrailerMaker maker;
  maker.Update(bytes.substr(0, covered));
  CheckpointDigests digests;
  const std::string trailer = maker.Finish(&digests);
  CVT_CHECK(covered + trailer.size() == file.size());
  trailer.copy(file.data() + covered, trailer.size());
  return digests;
}

}  // namespace cvtrain::formats
