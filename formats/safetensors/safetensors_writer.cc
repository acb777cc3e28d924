#include <algorithm>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/errors.h"
#include "common/little_endian.h"
#include "common/status_macros.h"
#include "formats/safetensors/data_types.h"
#include "formats/safetensors/safetensors.h"

namespace cvtrain::formats {
namespace {

std::string Quote(absl::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      absl::StrAppend(&quoted, "\\", absl::string_view(&c, 1));
    } else if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppendFormat(&quoted, "\\u%04x", static_cast<unsigned>(c));
    } else {
      quoted.push_back(c);
    }
  }
  quoted.push_back('"');
  return quoted;
}

std::string Metadata(const CheckpointView& checkpoint) {
  const CheckpointManifest& manifest = checkpoint.manifest();
  const std::pair<absl::string_view, std::string> items[] = {
      {"format", "pt"},  // says to Python's library that its torch reader may take it
      {"cvtrain.attempt", manifest.attempt()},
      {"cvtrain.checkpoint", manifest.checkpoint()},
      {"cvtrain.checkpoint_digest", checkpoint.file_digest()},
      {"cvtrain.dataset_digest", manifest.dataset_digest()},
      {"cvtrain.epoch", absl::StrCat(manifest.epoch())},
      {"cvtrain.plan_version", absl::StrCat(manifest.plan_version())},
      {"cvtrain.program_version", manifest.program_version()},
      {"cvtrain.recipe_digest", manifest.recipe_digest()},
      {"cvtrain.seed", absl::StrCat(manifest.seed())},
      {"cvtrain.step", absl::StrCat(manifest.step())},
      {"cvtrain.trial", manifest.trial()},
  };
  std::string json = "{";
  for (const auto& [key, value] : items) {
    absl::StrAppend(&json, json.size() > 1 ? "," : "", Quote(key), ":", Quote(value));
  }
  return json + "}";
}

bool HasAverages(const CheckpointView& checkpoint) {
  for (int i = 0; i < checkpoint.tensor_count(); ++i) {
    if (checkpoint.tensor(i).role == storage::v1::Tensor::ROLE_AVERAGE) return true;
  }
  return false;
}

// Parameters and buffers; with averages, the data of those that have one is theirs.
std::vector<CheckpointView::Tensor> WeightsOf(const CheckpointView& checkpoint, Weights weights) {
  std::vector<CheckpointView::Tensor> tensors;
  for (int i = 0; i < checkpoint.tensor_count(); ++i) {
    CheckpointView::Tensor tensor = checkpoint.tensor(i);
    if (tensor.role != storage::v1::Tensor::ROLE_PARAMETER &&
        tensor.role != storage::v1::Tensor::ROLE_BUFFER) {
      continue;
    }
    if (weights == Weights::kAveraged) {
      const auto average = checkpoint.FindTensor(absl::StrCat("ema/", tensor.name));
      if (average.ok()) tensor.data = average->data;
    }
    tensors.push_back(tensor);
  }
  return tensors;
}

}  // namespace

Weights EvaluatedWeights(const CheckpointView& checkpoint) {
  return HasAverages(checkpoint) ? Weights::kAveraged : Weights::kTrained;
}

absl::Status WriteSafetensors(const CheckpointView& checkpoint, Weights weights,
                              const ByteSink& sink) {
  if (weights == Weights::kAveraged && !HasAverages(checkpoint)) {
    return FailedPrecondition(Reason::kWrongState,
                              "checkpoint: has no averages: its recipe has no ema");
  }
  std::vector<CheckpointView::Tensor> tensors = WeightsOf(checkpoint, weights);
  if (tensors.empty()) {
    return FailedPrecondition(Reason::kWrongState,
                              "checkpoint: has no parameters or buffers to export");
  }
  // Wide types first: with the data at a multiple of 8, every tensor is aligned to its elements.
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
    const int64_t a_width = ElementBytes(a.data_type);
    const int64_t b_width = ElementBytes(b.data_type);
    return std::tie(b_width, a.name) < std::tie(a_width, b.name);
  });
  std::string header = absl::StrCat("{\"__metadata__\":", Metadata(checkpoint));
  size_t offset = 0;
  for (const CheckpointView::Tensor& tensor : tensors) {
    absl::StrAppend(&header, ",", Quote(tensor.name), ":{\"dtype\":\"",
                    internal::SafetensorsName(tensor.data_type), "\",\"shape\":[",
                    absl::StrJoin(tensor.shape, ","), "],\"data_offsets\":[", offset, ",",
                    offset + tensor.data.size(), "]}");
    offset += tensor.data.size();
  }
  header += '}';
  header.resize((header.size() + 7) / 8 * 8, ' ');
  std::string length;
  AppendLittleEndian<uint64_t>(header.size(), &length);
  CVT_RETURN_IF_ERROR(sink(length));
  CVT_RETURN_IF_ERROR(sink(header));
  for (const CheckpointView::Tensor& tensor : tensors) {
    if (!tensor.data.empty()) CVT_RETURN_IF_ERROR(sink(tensor.data));
  }
  return absl::OkStatus();
}

}  // namespace cvtrain::formats
