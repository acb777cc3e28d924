#ifndef CVTRAIN_FORMATS_CHECKPOINT_CHECKPOINT_HEADER_H_
#define CVTRAIN_FORMATS_CHECKPOINT_CHECKPOINT_HEADER_H_

// Inside the checkpoint library: what its writer and its reader must agree on.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cvtrain/storage/v1/checkpoint.pb.h"
#include "formats/checkpoint/checkpoint.h"

namespace cvtrain::formats::internal {

// The fixed header; docs/formats/checkpoint.md shows its bytes.
struct CheckpointHeader {
  int64_t file_bytes = 0;
  int64_t manifest_bytes = 0;
  int64_t data_offset = 0;
  int64_t data_bytes = 0;
  uint32_t manifest_crc32c = 0;

  int64_t trailer_offset() const { return data_offset + data_bytes; }
  int64_t blocks() const;
  // Length of a file with this data, trailer included.
  int64_t ExpectedFileBytes() const;
};

// Trailer: magic, u32 block bytes, u32 number of blocks, u32 CRC of each, u32 CRC of the trailer
// so far, BlockDigest of everything before it.
inline constexpr int64_t kTrailerFixedBytes = 16;
inline constexpr int64_t kDigestBytes = 32;

// kCheckpointHeaderBytes.
std::string SerializeHeader(const CheckpointHeader& header);

// Returns DATA_LOSS (CHECKPOINT_BAD) if the header is not one, or if its numbers are impossible or
// contradict each other. Does not look at the size of anything but the header.
absl::StatusOr<CheckpointHeader> ParseHeader(absl::string_view file, absl::string_view name);

// DATA_LOSS (CHECKPOINT_BAD): "checkpoint NAME: PART at offset N: PROBLEM".
absl::Status BadCheckpoint(absl::string_view name, absl::string_view part, int64_t offset,
                           absl::string_view problem);

int64_t AlignUp(int64_t offset, int64_t alignment);

// Says what is wrong with name, type, role or shape, and returns ""  if nothing is; then `*bytes`
// has the length of its data.
std::string CheckTensor(const storage::v1::Tensor& tensor, int64_t* bytes);

}  // namespace cvtrain::formats::internal

#endif  // CVTRAIN_FORMATS_CHECKPOINT_CHECKPOINT_HEADER_H_
