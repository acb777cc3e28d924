// Opening, in this order, so that nothing is believed before it is checked:
//   1. the header: magic, version, CRC, ranges; the file must have just the length that it says;
//   2. the trailer: magic, CRC, number of blocks;
//   3. if asked, every block, and the SHA-256 of everything before the last 32 bytes;
//   4. the manifest: its CRC, the number of its tensors before it is parsed, then each tensor.

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <cstring>
#include <utility>

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

using ::google::protobuf::internal::WireFormatLite;
using ::google::protobuf::io::CodedInputStream;
using internal::BadCheckpoint;
using internal::CheckpointHeader;

// How often each of the repeated fields occurs, without building anything: a manifest of 16 MiB
// could hold eight million empty tensors, which would take half a gigabyte.
struct FieldCounts {
  size_t tensors = 0;
  size_t states = 0;
};

bool CountFields(absl::string_view manifest, FieldCounts* counts) {
  CodedInputStream in(reinterpret_cast<const uint8_t*>(manifest.data()),
                      static_cast<int>(manifest.size()));
  while (const uint32_t tag = in.ReadTag()) {
    const int field = WireFormatLite::GetTagFieldNumber(tag);
    if (field == CheckpointManifest::kTensorsFieldNumber) ++counts->tensors;
    if (field == CheckpointManifest::kStatesFieldNumber) ++counts->states;
    if (!WireFormatLite::SkipField(&in, tag)) return false;
  }
  return in.ConsumedEntireMessage();
}

absl::StatusOr<CheckpointManifest> ParseManifest(absl::string_view file, absl::string_view name,
                                                 const CheckpointHeader& header) {
  const absl::string_view bytes =
      file.substr(kCheckpointHeaderBytes, static_cast<size_t>(header.manifest_bytes));
  const auto bad = [&](absl::string_view problem) {
    return BadCheckpoint(name, "manifest", kCheckpointHeaderBytes, problem);
  };
  if (Crc32c(bytes) != header.manifest_crc32c) return bad("its CRC is wrong");
  FieldCounts counts;
  if (!CountFields(bytes, &counts)) return bad("not a manifest");
  if (counts.tensors > limits::kTensorsPerCheckpointMax) {
    return bad(
        absl::StrCat(counts.tensors, " tensors, at most ", limits::kTensorsPerCheckpointMax));
  }
  if (counts.states > static_cast<size_t>(kCheckpointStatesMax)) {
    return bad(absl::StrCat(counts.states, " states, at most ", kCheckpointStatesMax));
  }
  CheckpointManifest manifest;
  const google::protobuf::LogSilencer silence;  // it would print what is returned here
  if (!manifest.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return bad("not a manifest");
  }
  return manifest;
}

absl::Status CheckTrailer(absl::string_view file, absl::string_view name,
                          const CheckpointHeader& header) {
  const absl::string_view trailer = file.substr(static_cast<size_t>(header.trailer_offset()));
  const absl::string_view covered =
      trailer.substr(0, trailer.size() - 4 - static_cast<size_t>(internal::kSha256Bytes));
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

// Each block by its CRC and, if `sha256` is given, everything by its SHA-256 too; then it holds the
// bytes of the whole file.
absl::Status CheckBytes(absl::string_view file, absl::string_view name,
                        const CheckpointHeader& header, Sha256* sha256) {
  const auto covered = static_cast<size_t>(header.trailer_offset());
  const char* crcs = file.data() + covered + internal::kTrailerFixedBytes;
  for (int64_t block = 0; block < header.blocks(); ++block) {
    const auto at = static_cast<size_t>(block * kCheckpointBlockBytes);
    const absl::string_view bytes =
        file.substr(at, std::min(covered - at, static_cast<size_t>(kCheckpointBlockBytes)));
    if (Crc32c(bytes) != LoadLittleEndian<uint32_t>(crcs + 4 * block)) {
      return BadCheckpoint(name, absl::StrCat("block ", block), static_cast<int64_t>(at),
                           "its CRC is wrong");
    }
    if (sha256 != nullptr) sha256->Update(bytes);
  }
  if (sha256 == nullptr) return absl::OkStatus();
  const size_t digest_at = file.size() - static_cast<size_t>(internal::kSha256Bytes);
  sha256->Update(file.substr(covered, digest_at - covered));
  const Sha256Digest digest = sha256->Peek();
  if (std::memcmp(digest.data(), file.data() + digest_at, digest.size()) != 0) {
    return BadCheckpoint(name, "digest", static_cast<int64_t>(digest_at),
                         "it is not the SHA-256 of what precedes it");
  }
  sha256->Update(file.substr(digest_at));
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
  return ParseManifest(prefix, name, header);
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
  if (verify == CheckpointVerify::kAll) {
    Sha256 sha256;
    CVT_RETURN_IF_ERROR(CheckBytes(file, name, header, &sha256));
    view.file_sha256_ = ToHex(sha256.Finish());
  } else if (verify == CheckpointVerify::kBlocks) {
    CVT_RETURN_IF_ERROR(CheckBytes(file, name, header, nullptr));
  }
  CVT_ASSIGN_OR_RETURN(view.manifest_, ParseManifest(file, name, header));
  const auto manifest_end = static_cast<size_t>(kCheckpointHeaderBytes + header.manifest_bytes);
  const auto data_offset = static_cast<size_t>(header.data_offset);
  if (!IsZero(file.substr(manifest_end, data_offset - manifest_end))) {
    return BadCheckpoint(name, "padding", static_cast<int64_t>(manifest_end), "must be zero");
  }
  view.data_ = file.substr(data_offset, static_cast<size_t>(header.data_bytes));
  CVT_RETURN_IF_ERROR(view.CheckTensors(name, header.data_offset));
  return view;
}

absl::Status CheckpointView::CheckTensors(absl::string_view name, int64_t data_offset) {
  int64_t end = 0;
  const auto padding = [&](int64_t to) {
    return data_.substr(static_cast<size_t>(end), static_cast<size_t>(to - end));
  };
  for (int i = 0; i < manifest_.tensors_size(); ++i) {
    const storage::v1::Tensor& tensor = manifest_.tensors(i);
    const auto bad = [&](absl::string_view problem) {
      return BadCheckpoint(name, absl::StrCat("tensor ", i, " ", SafeText(tensor.name())),
                           data_offset + end, problem);
    };
    int64_t bytes = 0;
    const std::string problem = internal::CheckTensor(tensor, &bytes);
    if (!problem.empty()) return bad(problem);
    const int64_t expected = internal::AlignUp(end, kCheckpointTensorAlignment);
    if (tensor.offset() != expected) {
      return bad(absl::StrCat("its data must begin at ", expected, ", not ", tensor.offset()));
    }
    if (bytes > static_cast<int64_t>(data_.size()) - expected) {
      return bad("its data ends after the data section");
    }
    if (!IsZero(padding(expected))) return bad("the padding before it must be zero");
    if (!by_name_.emplace(tensor.name(), i).second) return bad("its name is used twice");
    tensor_bytes_.push_back(bytes);
    end = expected + bytes;
  }
  if (internal::AlignUp(end, kCheckpointTensorAlignment) != static_cast<int64_t>(data_.size()) ||
      !IsZero(padding(static_cast<int64_t>(data_.size())))) {
    return BadCheckpoint(name, "data", data_offset + end, "there is more than the tensors have");
  }
  return absl::OkStatus();
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
