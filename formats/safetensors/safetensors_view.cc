#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/little_endian.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "formats/safetensors/data_types.h"
#include "formats/safetensors/header_parser.h"
#include "formats/safetensors/safetensors.h"

namespace cvtrain::formats {
namespace {

constexpr size_t kLengthBytes = 8;

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

absl::StatusOr<SafetensorsView> SafetensorsView::Open(absl::string_view file,
                                                      absl::string_view name) {
  const auto bad = [&](absl::string_view problem) {
    return InvalidArgument(Reason::kDataBad,
                           absl::StrCat("safetensors ", SafeText(name), ": ", problem));
  };
  if (file.size() < kLengthBytes) return bad("truncated before the length of its header");
  const auto header_bytes = LoadLittleEndian<uint64_t>(file.data());
  if (header_bytes > static_cast<uint64_t>(kSafetensorsHeaderBytesMax)) {
    return bad(
        absl::StrCat("a header of ", header_bytes, " bytes, at most ", kSafetensorsHeaderBytesMax));
  }
  if (header_bytes > file.size() - kLengthBytes) return bad("truncated within its header");
  const absl::string_view json = file.substr(kLengthBytes, header_bytes);
  const absl::string_view data = file.substr(kLengthBytes + header_bytes);
  if (json.empty() || json[0] != '{') return bad("the header must begin with '{'");
  auto header = internal::ParseSafetensorsHeader(json);
  if (!header.ok()) return Annotate(header.status(), "safetensors", SafeText(name));

  std::stable_sort(header->entries.begin(), header->entries.end(),
                   [](const auto& a, const auto& b) { return a.data_offsets < b.data_offsets; });
  SafetensorsView view;
  int64_t end = 0;
  for (internal::SafetensorsHeader::Entry& entry : header->entries) {
    const auto bad_tensor = [&](absl::string_view problem) {
      return bad(absl::StrCat("tensor ", SafeText(entry.name), " at offset ", entry.data_offsets[0],
                              ": ", problem));
    };
    const auto type = internal::DataTypeFromSafetensors(entry.dtype);
    if (type == storage::v1::Tensor::DATA_TYPE_UNSPECIFIED) {
      return bad_tensor(absl::StrCat("unknown dtype ", SafeText(entry.dtype)));
    }
    const auto [from, to] = entry.data_offsets;
    if (from != end) return bad_tensor(absl::StrCat("its data must begin at ", end));
    if (to < from || static_cast<uint64_t>(to) > data.size()) {
      return bad_tensor("its data ends outside the file");
    }
    if (ShapeBytes(entry.shape, ElementBytes(type)) != to - from) {
      return bad_tensor("its shape and its length differ");
    }
    view.tensors_.push_back(
        {std::move(entry.name), type, std::move(entry.shape),
         data.substr(static_cast<size_t>(from), static_cast<size_t>(to - from))});
    end = to;
  }
  if (static_cast<uint64_t>(end) != data.size()) {
    return bad(absl::StrCat("the tensors end at ", end, ", the file at ", data.size()));
  }
  view.metadata_ = std::move(header->metadata);
  return view;
}

}  // namespace cvtrain::formats
