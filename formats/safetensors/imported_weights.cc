#include "formats/safetensors/imported_weights.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/little_endian.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "formats/safetensors/data_types.h"
#include "formats/safetensors/index_parser.h"
#include "formats/safetensors/safetensors.h"

namespace cvtrain::formats {
namespace {

using internal::BadFile;
using storage::v1::Tensor;

// What torch's modules keep as buffers, by the last part of the name.
constexpr absl::string_view kBuffers[] = {"running_mean", "running_var", "num_batches_tracked",
                                          "relative_position_index", "attn_mask"};
// What DataParallel puts before each name.
constexpr absl::string_view kWrapper = "module.";
// How what torch.save() writes begins: a zip archive, or before that format a pickle.
constexpr absl::string_view kPickles[] = {"PK\3\4", "\x80\2"};
// Room in the manifest for the name of the checkpoint.
constexpr int64_t kManifestExtraBytes = 128;

// What people have at hand more often than a safetensors file. That begins with a length, which may
// have the same first bytes, but then is none that a header may have.
absl::Status CheckIsNoPickle(const RandomAccessFile& file, absl::string_view name) {
  std::string begin(sizeof(uint64_t), '\0');
  CVT_ASSIGN_OR_RETURN(const size_t got, file.Read(0, absl::MakeSpan(begin)));
  if (got < begin.size() || LoadLittleEndian<uint64_t>(begin.data()) <=
                                static_cast<uint64_t>(kSafetensorsHeaderBytesMax)) {
    return absl::OkStatus();
  }
  for (const absl::string_view mark : kPickles) {
    if (!absl::StartsWith(begin, mark)) continue;
    return BadFile(
        name,
        "looks like a file of torch.save(), which is pickle and not read: to open one is to "
        "run it; safetensors.torch.save_file(model.state_dict(), path) writes what is read");
  }
  return absl::OkStatus();
}

Tensor::Role RoleOf(absl::string_view name) {
  const size_t dot = name.rfind('.');
  const absl::string_view last = dot == absl::string_view::npos ? name : name.substr(dot + 1);
  const bool is_buffer =
      std::find(std::begin(kBuffers), std::end(kBuffers), last) != std::end(kBuffers);
  return is_buffer ? Tensor::ROLE_BUFFER : Tensor::ROLE_PARAMETER;
}

// The names that the tensors are to have.
absl::StatusOr<std::vector<std::string>> NamesOf(const SafetensorsIndex& index,
                                                 absl::string_view file,
                                                 const ImportOptions& options) {
  const absl::string_view prefix = options.strip_prefix;
  if (std::none_of(index.tensors.begin(), index.tensors.end(),
                   [&](const auto& tensor) { return absl::StartsWith(tensor.name, prefix); })) {
    return BadFile(file, absl::StrCat("no tensor's name begins with ", SafeText(prefix),
                                      "; the first is ", SafeText(index.tensors[0].name)));
  }
  std::vector<std::string> names;
  for (const SafetensorsIndex::Tensor& tensor : index.tensors) {
    names.emplace_back(absl::StripPrefix(tensor.name, prefix));
  }
  const bool wrapped = std::all_of(names.begin(), names.end(), [](absl::string_view name) {
    return absl::StartsWith(name, kWrapper);
  });
  if (wrapped) {
    return BadFile(file, absl::StrCat("all names begin with ", kWrapper,
                                      ", as DataParallel makes them, which those of no network do; "
                                      "--strip-prefix ",
                                      SafeText(prefix), kWrapper, " takes that away"));
  }
  return names;
}

absl::Status CheckType(const SafetensorsIndex::Tensor& tensor, absl::string_view file) {
  if (tensor.data_type == Tensor::DATA_TYPE_F32 || tensor.data_type == Tensor::DATA_TYPE_I64) {
    return absl::OkStatus();
  }
  return BadFile(file, absl::StrCat("tensor ", SafeText(tensor.name), ": is ",
                                    internal::SafetensorsName(tensor.data_type),
                                    "; a network takes weights and statistics as F32, counts and "
                                    "indices as I64: convert it before"));
}

}  // namespace

absl::StatusOr<ImportedWeights> ImportedWeights::Open(const RandomAccessFile& file,
                                                      absl::string_view name,
                                                      const ImportOptions& options) {
  CVT_RETURN_IF_ERROR(CheckIsNoPickle(file, name));
  CVT_ASSIGN_OR_RETURN(const SafetensorsIndex index, ReadSafetensorsIndex(file, name));
  if (index.tensors.empty()) return BadFile(name, "has no tensors");
  CVT_ASSIGN_OR_RETURN(std::vector<std::string> names, NamesOf(index, name, options));
  std::vector<TensorSpec> specs;
  std::vector<Source> sources;
  for (size_t i = 0; i < index.tensors.size(); ++i) {
    const SafetensorsIndex::Tensor& tensor = index.tensors[i];
    CVT_RETURN_IF_ERROR(CheckType(tensor, name));
    const Tensor::Role role = RoleOf(names[i]);
    specs.push_back({std::move(names[i]), tensor.data_type, tensor.shape, role});
    sources.push_back({tensor.offset, tensor.bytes});
  }
  auto layout = CheckpointLayout::Plan(std::move(specs), kManifestExtraBytes);
  if (!layout.ok()) return Annotate(layout.status(), "safetensors", SafeText(name));
  ImportedWeights weights(file, std::string(name), *std::move(layout));
  weights.sources_ = std::move(sources);
  return weights;
}

absl::StatusOr<CheckpointDigests> ImportedWeights::Write(const std::string& checkpoint,
                                                         const ByteSink& sink) const {
  CheckpointManifest manifest;
  manifest.set_checkpoint(checkpoint);
  const auto source = [this](int index, const ByteSink& to) {
    return Read(sources_[static_cast<size_t>(index)], to);
  };
  return WriteCheckpoint(layout_, manifest, source, sink);
}

absl::Status ImportedWeights::Read(const Source& source, const ByteSink& sink) const {
  std::string piece;
  for (uint64_t done = 0; done < source.bytes; done += piece.size()) {
    piece.resize(std::min<uint64_t>(limits::kChunkSizeBytes, source.bytes - done));
    CVT_ASSIGN_OR_RETURN(const size_t got,
                         file_->Read(source.offset + done, absl::MakeSpan(piece)));
    if (got != piece.size()) return BadFile(name_, "became shorter while it was read");
    CVT_RETURN_IF_ERROR(sink(piece));
  }
  return absl::OkStatus();
}

}  // namespace cvtrain::formats
