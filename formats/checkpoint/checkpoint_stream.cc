#include "formats/checkpoint/checkpoint_stream.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "formats/checkpoint/checkpoint_header.h"
#include "formats/checkpoint/checkpoint_manifest.h"
#include "formats/checkpoint/checkpoint_trailer.h"

namespace cvtrain::formats {
namespace {

// Cuts what it is given into pieces, and takes their digests.
class PieceWriter {
 public:
  explicit PieceWriter(const ByteSink& sink) : sink_(sink) { piece_.reserve(kPieceBytes); }

  int64_t offset() const { return offset_; }

  absl::Status Append(absl::string_view bytes) {
    maker_.Update(bytes);
    return Cut(bytes);
  }

  absl::Status PadTo(int64_t offset) {
    return Append(std::string(static_cast<size_t>(offset - offset_), '\0'));
  }

  absl::StatusOr<CheckpointDigests> Finish() {
    CheckpointDigests digests;
    CVT_RETURN_IF_ERROR(Cut(maker_.Finish(&digests)));
    if (!piece_.empty()) CVT_RETURN_IF_ERROR(sink_(piece_));
    return digests;
  }

 private:
  static constexpr auto kPieceBytes = static_cast<size_t>(kCheckpointBlockBytes);

  absl::Status Cut(absl::string_view bytes) {
    offset_ += static_cast<int64_t>(bytes.size());
    while (!bytes.empty()) {
      const absl::string_view part = bytes.substr(0, kPieceBytes - piece_.size());
      piece_.append(part.data(), part.size());
      bytes.remove_prefix(part.size());
      if (piece_.size() < kPieceBytes) continue;
      CVT_RETURN_IF_ERROR(sink_(piece_));
      piece_.clear();
    }
    return absl::OkStatus();
  }

  const ByteSink& sink_;
  internal::TrailerMaker maker_;
  std::string piece_;
  int64_t offset_ = 0;
};

absl::Status WriteTensor(const CheckpointLayout& layout, int index, const TensorSource& source,
                         PieceWriter& writer) {
  int64_t left = layout.tensor_bytes(index);
  const auto wrong = [&] {
    return InvalidArgument(
        Reason::kFieldInvalid,
        absl::StrCat("checkpoint: tensor ", index, " has ", layout.tensor_bytes(index),
                     " bytes, its source gives ", left < 0 ? "more" : "fewer"));
  };
  CVT_RETURN_IF_ERROR(source(index, [&](absl::string_view bytes) {
    left -= static_cast<int64_t>(bytes.size());
    return left < 0 ? wrong() : writer.Append(bytes);
  }));
  return left == 0 ? absl::OkStatus() : wrong();
}

}  // namespace

absl::StatusOr<CheckpointDigests> WriteCheckpoint(const CheckpointLayout& layout,
                                                  const CheckpointManifest& manifest,
                                                  const TensorSource& source,
                                                  const ByteSink& sink) {
  PieceWriter writer(sink);
  {
    std::string head(static_cast<size_t>(layout.data_offset()), '\0');
    CVT_RETURN_IF_ERROR(layout.WriteHead(manifest, absl::MakeSpan(head)));
    CVT_RETURN_IF_ERROR(writer.Append(head));
  }
  for (int i = 0; i < layout.tensor_count(); ++i) {
    CVT_RETURN_IF_ERROR(writer.PadTo(layout.tensor_offset(i)));
    CVT_RETURN_IF_ERROR(WriteTensor(layout, i, source, writer));
  }
  CVT_RETURN_IF_ERROR(writer.PadTo(layout.data_end()));
  return writer.Finish();
}

// --- Checking -----------------------------------------------------------------

// In this order, so that nothing is believed before it is checked:
//   1. the header, once its bytes are here;
//   2. the manifest and its tensors, once its bytes are: from then on it is known what is padding;
//   3. padding and length, as bytes come;
//   4. at the end the trailer, which must be the one that the bytes before it make.
class CheckpointStreamCheck::State {
 public:
  explicit State(std::string name) : name_(std::move(name)) {}

  absl::Status Update(absl::string_view bytes) {
    if (is_open_) return Take(bytes);
    head_.append(bytes.data(), bytes.size());
    CVT_RETURN_IF_ERROR(Open());
    return is_open_ ? Take(std::exchange(head_, {})) : absl::OkStatus();
  }

  absl::StatusOr<CheckpointManifest> Finish() {
    if (!is_open_ || at_ != header_.file_bytes) {
      return Bad("end of file", is_open_ ? at_ : static_cast<int64_t>(head_.size()), "truncated");
    }
    CheckpointDigests digests;
    if (maker_.Finish(&digests) != trailer_) {
      return Bad("trailer", header_.trailer_offset(), "it is not that of the bytes before it");
    }
    return std::move(manifest_);
  }

 private:
  absl::Status Bad(absl::string_view part, int64_t offset, absl::string_view problem) const {
    return internal::BadCheckpoint(name_, part, offset, problem);
  }

  // Reads header and manifest as soon as they are here.
  absl::Status Open() {
    const auto size = static_cast<int64_t>(head_.size());
    if (size < kCheckpointHeaderBytes) return absl::OkStatus();
    if (header_.file_bytes == 0) {
      CVT_ASSIGN_OR_RETURN(header_, internal::ParseHeader(head_, name_));
    }
    if (size < kCheckpointHeaderBytes + header_.manifest_bytes) return absl::OkStatus();
    CVT_ASSIGN_OR_RETURN(manifest_, internal::ParseManifest(head_, name_, header_));
    CVT_ASSIGN_OR_RETURN(const internal::TensorTable table,
                         internal::CheckTensors(manifest_, name_, header_));
    padding_ = internal::PaddingOf(manifest_, table, header_);
    is_open_ = true;
    return absl::OkStatus();
  }

  absl::Status Take(absl::string_view bytes) {
    const auto size = static_cast<int64_t>(bytes.size());
    if (size > header_.file_bytes - at_) {
      return Bad("end of file", header_.file_bytes, "more bytes follow");
    }
    const auto before =
        static_cast<size_t>(std::clamp<int64_t>(header_.trailer_offset() - at_, 0, size));
    CVT_RETURN_IF_ERROR(CheckPadding(bytes.substr(0, before)));
    maker_.Update(bytes.substr(0, before));
    trailer_.append(bytes.substr(before).data(), bytes.size() - before);
    at_ += size;
    return absl::OkStatus();
  }

  // `bytes` begin at `at_`.
  absl::Status CheckPadding(absl::string_view bytes) {
    const int64_t end = at_ + static_cast<int64_t>(bytes.size());
    for (; next_padding_ < padding_.size(); ++next_padding_) {
      const internal::ByteRange& zeros = padding_[next_padding_];
      const int64_t from = std::max(zeros.begin, at_);
      const int64_t to = std::min(zeros.end, end);
      if (from < to) {
        const absl::string_view part =
            bytes.substr(static_cast<size_t>(from - at_), static_cast<size_t>(to - from));
        if (part.find_first_not_of('\0') != absl::string_view::npos) {
          return Bad("padding", zeros.begin, "must be zero");
        }
      }
      if (zeros.end > end) break;
    }
    return absl::OkStatus();
  }

  const std::string name_;
  std::string head_;  // until it is open
  bool is_open_ = false;
  internal::CheckpointHeader header_;
  CheckpointManifest manifest_;
  std::vector<internal::ByteRange> padding_;
  size_t next_padding_ = 0;
  int64_t at_ = 0;
  internal::TrailerMaker maker_;
  std::string trailer_;
};

CheckpointStreamCheck::CheckpointStreamCheck(std::string name)
    : state_(std::make_unique<State>(std::move(name))) {}
CheckpointStreamCheck::~CheckpointStreamCheck() = default;

absl::Status CheckpointStreamCheck::Update(absl::string_view bytes) {
  if (status_.ok()) status_ = state_->Update(bytes);
  return status_;
}

absl::StatusOr<CheckpointManifest> CheckpointStreamCheck::Finish() {
  if (!status_.ok()) return status_;
  return state_->Finish();
}

}  // namespace cvtrain::formats
