#ifndef CVTRAIN_FORMATS_CHECKPOINT_CHECKPOINT_MANIFEST_H_
#define CVTRAIN_FORMATS_CHECKPOINT_CHECKPOINT_MANIFEST_H_

// Inside the checkpoint library: what a manifest must be, for whoever reads one.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "formats/checkpoint/checkpoint.h"
#include "formats/checkpoint/checkpoint_header.h"

namespace cvtrain::formats::internal {

// Reads the manifest from the first bytes of a file, which hold it whole: its CRC, then the number
// of its tensors and states before it is parsed. Returns DATA_LOSS (CHECKPOINT_BAD).
absl::StatusOr<CheckpointManifest> ParseManifest(absl::string_view file, absl::string_view name,
                                                 const CheckpointHeader& header);

// The tensors of a manifest.
struct TensorTable {
  std::vector<int64_t> bytes;  // length of the data of each
  absl::flat_hash_map<std::string, int> by_name;
};

// Checks each tensor by itself, that names are unique, and that their data fill the data section:
// each at the next multiple of kCheckpointTensorAlignment after the one before. Not the padding,
// which must be zero. Returns DATA_LOSS (CHECKPOINT_BAD).
absl::StatusOr<TensorTable> CheckTensors(const CheckpointManifest& manifest, absl::string_view name,
                                         const CheckpointHeader& header);

// Bytes of the file, from its beginning.
struct ByteRange {
  int64_t begin = 0;
  int64_t end = 0;
};

// What of the file before its trailer must be zero, in order: none is empty. For tensors that were
// checked.
std::vector<ByteRange> PaddingOf(const CheckpointManifest& manifest, const TensorTable& table,
                                 const CheckpointHeader& header);

}  // namespace cvtrain::formats::internal

#endif  // CVTRAIN_FORMATS_CHECKPOINT_CHECKPOINT_MANIFEST_H_
