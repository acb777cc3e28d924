#ifndef CVTRAIN_WORKER_AGENT_SPOOL_RECORD_LOG_H_
#define CVTRAIN_WORKER_AGENT_SPOOL_RECORD_LOG_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/file_system.h"

// Files of checksummed records, the only format of the spool:
//
//   file   = record*
//   record = length of payload (4 bytes, little-endian) | CRC32C of type and payload
//            (4 bytes, little-endian) | type (1 byte) | payload
//
// A record counts if it is whole and its CRC agrees. The first one that does not ends
// the file: what follows it is cut off by the next writer.
namespace cvtrain::worker {

inline constexpr uint64_t kRecordHeaderSizeBytes = 9;

// Where a record lies, so that its payload can be read again.
struct RecordPlace {
  uint8_t type = 0;
  uint64_t offset = 0;  // of its payload
  uint32_t size_bytes = 0;
  uint32_t crc32c = 0;
};

// What the CRC of a record covers.
uint32_t RecordCrc(uint8_t type, absl::string_view payload);

// The bytes of one record.
std::string EncodeRecord(uint8_t type, absl::string_view payload);

struct ScannedRecords {
  std::vector<RecordPlace> places;
  uint64_t good_bytes = 0;  // end of the last good record
  uint64_t bad_bytes = 0;   // after it
};

// Finds the records of a file, whose payloads it reads but does not keep.
// Errors of FileSystem only; bytes that are no records are in `bad_bytes`.
absl::StatusOr<ScannedRecords> ScanRecords(FileSystem& files, const std::string& path);

// Reads a payload. DATA_LOSS (DATA_BAD), with path and offset, if it has changed since it
// was written.
absl::StatusOr<std::string> ReadRecord(const RandomAccessFile& file, const std::string& path,
                                       const RecordPlace& place);

// Reads the payload of the record at the beginning. DATA_LOSS (DATA_BAD) if there is none.
absl::StatusOr<std::string> ReadFirstRecord(const RandomAccessFile& file, const std::string& path);

}  // namespace cvtrain::worker

#endif  // CVTRAIN_WORKER_AGENT_SPOOL_RECORD_LOG_H_
