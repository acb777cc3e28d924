#include "formats/checkpoint/checkpoint_manifest.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/wire_format_lite.h>

#include "absl/strings/str_cat.h"
#include "common/crc32c.h"
#include "common/limits.h"
#include "common/text.h"

namespace cvtrain::formats::internal {
namespace {

using ::google::protobuf::internal::WireFormatLite;
using ::google::protobuf::io::CodedInputStream;

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

}  // namespace

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

absl::StatusOr<TensorTable> CheckTensors(const CheckpointManifest& manifest, absl::string_view name,
                                         const CheckpointHeader& header) {
  TensorTable table;
  int64_t end = 0;
  for (int i = 0; i < manifest.tensors_size(); ++i) {
    const storage::v1::Tensor& tensor = manifest.tensors(i);
    const auto bad = [&](absl::string_view problem) {
      return BadCheckpoint(name, absl::StrCat("tensor ", i, " ", SafeText(tensor.name())),
                           header.data_offset + end, problem);
    };
    int64_t bytes = 0;
    const std::string problem = CheckTensor(tensor, &bytes);
    if (!problem.empty()) return bad(problem);
    const int64_t expected = AlignUp(end, kCheckpointTensorAlignment);
    if (tensor.offset() != expected) {
      return bad(absl::StrCat("its data must begin at ", expected, ", not ", tensor.offset()));
    }
    if (bytes > header.data_bytes - expected) return bad("its data ends after the data section");
    if (!table.by_name.emplace(tensor.name(), i).second) return bad("its name is used twice");
    table.bytes.push_back(bytes);
    end = expected + bytes;
  }
  if (AlignUp(end, kCheckpointTensorAlignment) != header.data_bytes) {
    return BadCheckpoint(name, "data", header.data_offset + end,
                         "there is more than the tensors have");
  }
  return table;
}

std::vector<ByteRange> PaddingOf(const CheckpointManifest& manifest, const TensorTable& table,
                                 const CheckpointHeader& header) {
  std::vector<ByteRange> padding;
  int64_t end = kCheckpointHeaderBytes + header.manifest_bytes;
  const auto skip_to = [&](int64_t begin) {
    if (begin > end) padding.push_back({end, begin});
  };
  skip_to(header.data_offset);
  end = header.data_offset;
  for (int i = 0; i < manifest.tensors_size(); ++i) {
    const int64_t begin = header.data_offset + manifest.tensors(i).offset();
    skip_to(begin);
    end = begin + table.bytes[static_cast<size_t>(i)];
  }
  skip_to(header.trailer_offset());
  return padding;
}

}  // namespace cvtrain::formats::internal
