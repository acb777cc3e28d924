#include "formats/checkpoint/checkpoint_header.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/crc32c.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/little_endian.h"
#include "common/text.h"

namespace cvtrain::formats {

int64_t ElementBytes(storage::v1::Tensor::DataType type) {
  switch (type) {
    case storage::v1::Tensor::DATA_TYPE_BOOL:
    case storage::v1::Tensor::DATA_TYPE_U8:
    case storage::v1::Tensor::DATA_TYPE_I8:
      return 1;
    case storage::v1::Tensor::DATA_TYPE_I16:
    case storage::v1::Tensor::DATA_TYPE_F16:
    case storage::v1::Tensor::DATA_TYPE_BF16:
      return 2;
    case storage::v1::Tensor::DATA_TYPE_I32:
    case storage::v1::Tensor::DATA_TYPE_F32:
      return 4;
    case storage::v1::Tensor::DATA_TYPE_I64:
    case storage::v1::Tensor::DATA_TYPE_F64:
      return 8;
    default:
      return 0;
  }
}

namespace internal {
namespace {

constexpr size_t kVersionAt = 8;
constexpr size_t kHeaderBytesAt = 12;
constexpr size_t kFileBytesAt = 16;
constexpr size_t kManifestBytesAt = 24;
constexpr size_t kDataOffsetAt = 32;
constexpr size_t kDataBytesAt = 40;
constexpr size_t kBlockBytesAt = 48;
constexpr size_t kManifestCrcAt = 52;
constexpr size_t kReservedAt = 56;
constexpr size_t kHeaderCrcAt = 60;

constexpr auto kManifestBytesMax = static_cast<int64_t>(limits::kCheckpointManifestSizeBytesMax);
constexpr auto kFileBytesMax = static_cast<int64_t>(limits::kCheckpointSizeBytesMax);

bool IsPlain(absl::string_view name) {
  if (name.empty() || name.size() > static_cast<size_t>(kCheckpointNameBytesMax)) return false;
  for (const char c : name) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_' && c != '-' &&
        c != '/') {
      return false;
    }
  }
  return true;
}

}  // namespace

int64_t AlignUp(int64_t offset, int64_t alignment) {
  return (offset + alignment - 1) / alignment * alignment;
}

int64_t CheckpointHeader::blocks() const {
  return (trailer_offset() + kCheckpointBlockBytes - 1) / kCheckpointBlockBytes;
}

int64_t CheckpointHeader::ExpectedFileBytes() const {
  return trailer_offset() + kTrailerFixedBytes + 4 * blocks() + 4 + kDigestBytes;
}

std::string SerializeHeader(const CheckpointHeader& header) {
  std::string bytes(kCheckpointHeaderBytes, '\0');
  char* to = bytes.data();
  kCheckpointMagic.copy(to, kCheckpointMagic.size());
  StoreLittleEndian<uint32_t>(kCheckpointVersion, to + kVersionAt);
  StoreLittleEndian<uint32_t>(static_cast<uint32_t>(kCheckpointHeaderBytes), to + kHeaderBytesAt);
  StoreLittleEndian<int64_t>(header.file_bytes, to + kFileBytesAt);
  StoreLittleEndian<int64_t>(header.manifest_bytes, to + kManifestBytesAt);
  StoreLittleEndian<int64_t>(header.data_offset, to + kDataOffsetAt);
  StoreLittleEndian<int64_t>(header.data_bytes, to + kDataBytesAt);
  StoreLittleEndian<uint32_t>(static_cast<uint32_t>(kCheckpointBlockBytes), to + kBlockBytesAt);
  StoreLittleEndian<uint32_t>(header.manifest_crc32c, to + kManifestCrcAt);
  StoreLittleEndian<uint32_t>(Crc32c(absl::string_view(bytes).substr(0, kHeaderCrcAt)),
                              to + kHeaderCrcAt);
  return bytes;
}

absl::StatusOr<CheckpointHeader> ParseHeader(absl::string_view file, absl::string_view name) {
  const auto bad = [&](size_t at, absl::string_view problem) {
    return BadCheckpoint(name, "header", static_cast<int64_t>(at), problem);
  };
  if (file.size() < static_cast<size_t>(kCheckpointHeaderBytes)) {
    return bad(file.size(), "truncated");
  }
  const auto u32 = [&](size_t at) { return LoadLittleEndian<uint32_t>(file.data() + at); };
  const auto i64 = [&](size_t at) { return LoadLittleEndian<int64_t>(file.data() + at); };
  if (file.substr(0, kCheckpointMagic.size()) != kCheckpointMagic) {
    return bad(0, "not a checkpoint");
  }
  if (u32(kVersionAt) != kCheckpointVersion) {
    return bad(kVersionAt, absl::StrCat("version ", u32(kVersionAt), ", this program reads ",
                                        kCheckpointVersion));
  }
  if (u32(kHeaderCrcAt) != Crc32c(file.substr(0, kHeaderCrcAt))) {
    return bad(kHeaderCrcAt, "the header's CRC is wrong");
  }
  if (u32(kHeaderBytesAt) != kCheckpointHeaderBytes ||
      u32(kBlockBytesAt) != kCheckpointBlockBytes || u32(kReservedAt) != 0) {
    return bad(kHeaderBytesAt, "sizes that are fixed in this version have other values");
  }
  CheckpointHeader header;
  header.file_bytes = i64(kFileBytesAt);
  header.manifest_bytes = i64(kManifestBytesAt);
  header.data_offset = i64(kDataOffsetAt);
  header.data_bytes = i64(kDataBytesAt);
  header.manifest_crc32c = u32(kManifestCrcAt);
  if (header.manifest_bytes < 0 || header.manifest_bytes > kManifestBytesMax) {
    return bad(kManifestBytesAt, absl::StrCat("a manifest of ", header.manifest_bytes,
                                              " bytes; at most ", kManifestBytesMax));
  }
  if (header.data_offset < kCheckpointHeaderBytes + header.manifest_bytes ||
      header.data_offset % kCheckpointDataAlignment != 0 ||
      header.data_offset > 2 * kCheckpointDataAlignment + kManifestBytesMax) {
    return bad(kDataOffsetAt, absl::StrCat("data at an impossible place, ", header.data_offset));
  }
  if (header.data_bytes < 0 || header.data_bytes > kFileBytesMax ||
      header.data_bytes % kCheckpointTensorAlignment != 0) {
    return bad(kDataBytesAt, absl::StrCat("impossible length of the data, ", header.data_bytes));
  }
  if (header.file_bytes != header.ExpectedFileBytes() || header.file_bytes > kFileBytesMax) {
    return bad(kFileBytesAt, absl::StrCat("a file with this data has ", header.ExpectedFileBytes(),
                                          " bytes, not ", header.file_bytes));
  }
  return header;
}

absl::Status BadCheckpoint(absl::string_view name, absl::string_view part, int64_t offset,
                           absl::string_view problem) {
  return DataLoss(Reason::kCheckpointBad, absl::StrCat("checkpoint ", SafeText(name), ": ", part,
                                                       " at offset ", offset, ": ", problem));
}

std::string CheckTensor(const storage::v1::Tensor& tensor, int64_t* bytes) {
  if (!IsPlain(tensor.name())) {
    return absl::StrCat("the name must have 1 to ", kCheckpointNameBytesMax,
                        " characters of A-Z, a-z, 0-9, '.', '_', '-', '/'");
  }
  *bytes = ElementBytes(tensor.data_type());
  if (*bytes == 0) return absl::StrCat("unknown data type ", static_cast<int>(tensor.data_type()));
  if (tensor.role() < storage::v1::Tensor::ROLE_PARAMETER ||
      tensor.role() > storage::v1::Tensor::ROLE_AVERAGE) {
    return absl::StrCat("unknown role ", static_cast<int>(tensor.role()));
  }
  if (tensor.shape_size() > limits::kTensorRankMax) {
    return absl::StrCat("has ", tensor.shape_size(), " dimensions, at most ",
                        limits::kTensorRankMax);
  }
  bool empty = false;
  for (const int64_t side : tensor.shape()) {
    if (side < 0) return "a dimension is negative";
    empty = empty || side == 0;
    // Multiplied as if no side were 0: an overflow is one in any order of the sides.
    if (__builtin_mul_overflow(*bytes, side == 0 ? 1 : side, bytes) || *bytes > kFileBytesMax) {
      return "its shape is too large";
    }
  }
  if (empty) *bytes = 0;
  return "";
}

}  // namespace internal
}  // namespace cvtrain::formats
