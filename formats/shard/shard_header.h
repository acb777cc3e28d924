#ifndef CVTRAIN_FORMATS_SHARD_SHARD_HEADER_H_
#define CVTRAIN_FORMATS_SHARD_SHARD_HEADER_H_

// Inside the shard library: reads the page that a shard begins with, and the footer that it ends
// with. What one of them says is believed only once its CRC has been found right.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "formats/shard/shard_format.h"
#include "formats/shard/shard_layout.h"

namespace cvtrain::formats::internal {

// DATA_LOSS (SHARD_BAD) that names shard, part and offset.
absl::Status BadShard(absl::string_view shard, absl::string_view part, int64_t offset,
                      absl::string_view problem);

struct ShardHeader {
  ShardInfo info;  // but for the uuid, which belongs to the index
  ShardCounts counts;
  ShardPlan plan;
  std::string uuid_bytes;
  std::string index_digest;
};

// `page` has kShardPageBytes, `file_bytes` is how long the file is.
absl::StatusOr<ShardHeader> ParseShardHeader(absl::string_view page, int64_t file_bytes,
                                             absl::string_view shard);

// The CRC32C of each block. `footer` has FooterBytes(blocks), and lies at `footer_at`.
absl::StatusOr<std::vector<uint32_t>> ParseShardFooter(absl::string_view footer, int64_t footer_at,
                                                       int64_t blocks, absl::string_view shard);

}  // namespace cvtrain::formats::internal

#endif  // CVTRAIN_FORMATS_SHARD_SHARD_HEADER_H_
