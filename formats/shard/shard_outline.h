#ifndef CVTRAIN_FORMATS_SHARD_SHARD_OUTLINE_H_
#define CVTRAIN_FORMATS_SHARD_SHARD_OUTLINE_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "formats/shard/shard_format.h"

namespace cvtrain::formats {

// Where the parts of a shard lie, and the CRC of each of its blocks: what somebody needs who
// fetches parts of a shard, and wants to know of each that it came whole.
//
//   1. the first page says where everything is;
//   2. the footer has the CRCs;
//   3. a block is sound if it has its CRC, whatever else is there.
struct ShardOutline {
  int64_t file_bytes = 0;
  // Header and index end here.
  int64_t index_end = 0;
  // Blocks of kShardBlockBytes fill the file up to here, the last one shorter; then the footer.
  int64_t footer_at = 0;
  // Each rung, ascending, then the sources.
  std::vector<ShardRecord::Extent> sections;
  // CRC32C of each block; none before the footer was read.
  std::vector<uint32_t> block_crcs;

  int64_t blocks() const { return (footer_at + kShardBlockBytes - 1) / kShardBlockBytes; }
  int64_t BlockBytes(int64_t block) const;
};

// Reads the first page, of kShardPageBytes, of a file of `file_bytes`; `shard` is what errors call
// it. DATA_LOSS (SHARD_BAD) if it is not the first page of such a shard.
absl::StatusOr<ShardOutline> OutlineOfPage(absl::string_view page, int64_t file_bytes,
                                           absl::string_view shard);

// Fills in the CRCs from all bytes behind `footer_at`. DATA_LOSS (SHARD_BAD).
absl::Status AddFooter(absl::string_view footer, absl::string_view shard, ShardOutline& outline);

// DATA_LOSS (SHARD_BAD) unless `bytes` are that block. The outline must have its CRCs.
absl::Status CheckBlock(const ShardOutline& outline, int64_t block, absl::string_view bytes,
                        absl::string_view shard);

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_SHARD_SHARD_OUTLINE_H_
