#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "common/errors.h"
#include "common/little_endian.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "formats/safetensors/data_types.h"
#include "formats/safetensors/header_parser.h"
#include "formats/safetensors/index_parser.h"
#include "formats/safetensors/safetensors.h"

namespace cvtrain::formats {
namespace {

using internal::BadFile;

// Bytes of a shape; -1 if they are more than fit in 63 bits.
int64_t ShapeBytes(const std::vector<int64_t>& shape, int64_t element_bytes) {
  int64_t bytes = element_bytes;
  bool empty = false;
  for (const int64_t side : shape) {
    empty = empty || side == 0;
    if (__builtin_mul_overflow(bytes, std::max<int64_t>(side, 1), &bytes)) return -1;
  }
  return empty ? 0 : bytes;
}

}  // namespace

namespace internal {

absl::Status BadFile(absl::string_view name, absl::string_view problem) {
  return InvalidArgument(Reason::kDataBad,
                         absl::StrCat("safetensors ", SafeText(name), ": ", problem));
}

absl::StatusOr<uint64_t> DataOffset(absl::string_view begin, uint64_t file_bytes,
                                    absl::string_view name) {
  if (begin.size() < kHeaderLengthBytes || file_bytes < kHeaderLengthBytes) {
    return BadFile(name, "truncated before the length of its header");
  }
  const auto header_bytes = LoadLittleEndian<uint64_t>(begin.data());
  if (header_bytes > static_cast<uint64_t>(kSafetensorsHeaderBytesMax)) {
    return BadFile(name, absl::StrCat("a header of ", header_bytes, " bytes, at most ",
                                      kSafetensorsHeaderBytesMax));
  }
  if (header_bytes > file_bytes - kHeaderLengthBytes) {
    return BadFile(name, "truncated within its header");
  }
  return kHeaderLengthBytes + header_bytes;
}

absl::StatusOr<SafetensorsIndex> ParseIndex(absl::string_view json, uint64_t file_bytes,
                                            absl::string_view name) {
  const uint64_t data_offset = kHeaderLengthBytes + json.size();
  const uint64_t data_bytes = file_bytes - data_offset;
  if (json.empty() || json[0] != '{') return BadFile(name, "the header must begin with '{'");
  auto header = ParseSafetensorsHeader(json);
  if (!header.ok()) return Annotate(header.status(), "safetensors", SafeText(name));

  std::stable_sort(header->entries.begin(), header->entries.end(),
                   [](const auto& a, const auto& b) { return a.data_offsets < b.data_offsets; });
  SafetensorsIndex index;
  int64_t end = 0;
  for (SafetensorsHeader::Entry& entry : header->entries) {
    const auto bad_tensor = [&](absl::string_view problem) {
      return BadFile(name, absl::StrCat("tensor ", SafeText(entry.name), " at offset ",
                                        entry.data_offsets[0], ": ", problem));
    };
    const auto type = DataTypeFromSafetensors(entry.dtype);
    if (type == storage::v1::Tensor::DATA_TYPE_UNSPECIFIED) {
      return bad_tensor(absl::StrCat("unknown dtype ", SafeText(entry.dtype)));
    }
    const auto [from, to] = entry.data_offsets;
    if (from != end) return bad_tensor(absl::StrCat("its data must begin at ", end));
    if (to < from || static_cast<uint64_t>(to) > data_bytes) {
      return bad_tensor("its data ends outside the file");
    }
    if (ShapeBytes(entry.shape, ElementBytes(type)) != to - from) {
      return bad_tensor("its shape and its length differ");
    }
    index.tensors.push_back({std::move(entry.name), type, std::move(entry.shape),
                             data_offset + static_cast<uint64_t>(from),
                             static_cast<uint64_t>(to - from)});
    end = to;
  }
  if (static_cast<uint64_t>(end) != data_bytes) {
    return BadFile(name, absl::StrCat("the tensors end at ", end, ", the file at ", data_bytes));
  }
  index.metadata = std::move(header->metadata);
  return index;
}

}  // namespace internal

absl::StatusOr<SafetensorsIndex> ReadSafetensorsIndex(const RandomAccessFile& file,
                                                      absl::string_view name) {
  CVT_ASSIGN_OR_RETURN(const uint64_t file_bytes, file.Size());
  std::string bytes(internal::kHeaderLengthBytes, '\0');
  CVT_ASSIGN_OR_RETURN(const size_t begin_bytes, file.Read(0, absl::MakeSpan(bytes)));
  CVT_ASSIGN_OR_RETURN(
      const uint64_t data_offset,
      internal::DataOffset(absl::string_view(bytes).substr(0, begin_bytes), file_bytes, name));
  bytes.resize(data_offset - internal::kHeaderLengthBytes);
  CVT_ASSIGN_OR_RETURN(const size_t json_bytes,
                       file.Read(internal::kHeaderLengthBytes, absl::MakeSpan(bytes)));
  if (json_bytes != bytes.size()) return BadFile(name, "became shorter while it was read");
  return internal::ParseIndex(bytes, file_bytes, name);
}

}  // namespace cvtrain::formats
