#include "worker/agent/spool/record_log.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "common/crc32c.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/status_macros.h"

namespace cvtrain::worker {
namespace {

void AppendU32(uint32_t value, std::string& out) {
  for (int shift = 0; shift < 32; shift += 8) out.push_back(static_cast<char>(value >> shift));
}

uint32_t ReadU32(const char* bytes) {
  uint32_t value = 0;
  for (int i = 3; i >= 0; --i) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

}  // namespace

uint32_t RecordCrc(uint8_t type, absl::string_view payload) {
  const char type_byte = static_cast<char>(type);
  return ExtendCrc32c(Crc32c(absl::string_view(&type_byte, 1)), payload);
}

std::string EncodeRecord(uint8_t type, absl::string_view payload) {
  std::string record;
  record.reserve(kRecordHeaderSizeBytes + payload.size());
  AppendU32(static_cast<uint32_t>(payload.size()), record);
  AppendU32(RecordCrc(type, payload), record);
  record.push_back(static_cast<char>(type));
  absl::StrAppend(&record, payload);
  return record;
}

namespace {

// The place of the record at `offset` of a file of `size` bytes; nothing if none fits there.
absl::StatusOr<std::optional<RecordPlace>> ReadPlace(const RandomAccessFile& file, uint64_t offset,
                                                     uint64_t size) {
  char header[kRecordHeaderSizeBytes];
  CVT_ASSIGN_OR_RETURN(const size_t read, file.Read(offset, absl::MakeSpan(header)));
  if (read < kRecordHeaderSizeBytes) return std::nullopt;
  const RecordPlace place = {.type = static_cast<uint8_t>(header[8]),
                             .offset = offset + kRecordHeaderSizeBytes,
                             .size_bytes = ReadU32(header),
                             .crc32c = ReadU32(header + 4)};
  if (place.size_bytes > limits::kMessageSizeBytesMax || place.size_bytes > size - place.offset) {
    return std::nullopt;
  }
  return place;
}

}  // namespace

absl::StatusOr<ScannedRecords> ScanRecords(FileSystem& files, const std::string& path) {
  CVT_ASSIGN_OR_RETURN(const std::unique_ptr<RandomAccessFile> file,
                       files.NewRandomAccessFile(path));
  CVT_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  ScannedRecords scanned;
  std::string payload;
  while (scanned.good_bytes < size) {
    CVT_ASSIGN_OR_RETURN(const std::optional<RecordPlace> place,
                         ReadPlace(*file, scanned.good_bytes, size));
    if (!place) break;
    payload.resize(place->size_bytes);
    CVT_ASSIGN_OR_RETURN(const size_t read, file->Read(place->offset, absl::MakeSpan(payload)));
    if (read < payload.size() || RecordCrc(place->type, payload) != place->crc32c) break;
    scanned.places.push_back(*place);
    scanned.good_bytes = place->offset + place->size_bytes;
  }
  scanned.bad_bytes = size - scanned.good_bytes;
  return scanned;
}

absl::StatusOr<std::string> ReadRecord(const RandomAccessFile& file, const std::string& path,
                                       const RecordPlace& place) {
  std::string payload(place.size_bytes, '\0');
  CVT_ASSIGN_OR_RETURN(const size_t read, file.Read(place.offset, absl::MakeSpan(payload)));
  if (read < payload.size() || RecordCrc(place.type, payload) != place.crc32c) {
    return DataLoss(Reason::kDataBad, absl::StrCat(path, ": record at offset ", place.offset,
                                                   " has changed since it was written"));
  }
  return payload;
}

absl::StatusOr<std::string> ReadFirstRecord(const RandomAccessFile& file, const std::string& path) {
  CVT_ASSIGN_OR_RETURN(const uint64_t size, file.Size());
  CVT_ASSIGN_OR_RETURN(const std::optional<RecordPlace> place, ReadPlace(file, 0, size));
  if (!place) return DataLoss(Reason::kDataBad, absl::StrCat(path, ": begins with no record"));
  return ReadRecord(file, path, *place);
}

}  // namespace cvtrain::worker
