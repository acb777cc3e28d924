#include "formats/shard/shard_outline.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/crc32c.h"
#include "common/status_macros.h"
#include "formats/shard/shard_header.h"

namespace cvtrain::formats {

int64_t ShardOutline::BlockBytes(int64_t block) const {
  return std::min(kShardBlockBytes, footer_at - block * kShardBlockBytes);
}

absl::StatusOr<ShardOutline> OutlineOfPage(absl::string_view page, int64_t file_bytes,
                                           absl::string_view shard) {
  CVT_ASSIGN_OR_RETURN(const internal::ShardHeader header,
                       internal::ParseShardHeader(page, file_bytes, shard));
  return ShardOutline{.file_bytes = header.plan.file_bytes,
                      .index_end = header.plan.index_end,
                      .footer_at = header.plan.footer_at,
                      .sections = header.plan.sections,
                      .block_crcs = {}};
}

absl::Status AddFooter(absl::string_view footer, absl::string_view shard, ShardOutline& outline) {
  CVT_ASSIGN_OR_RETURN(outline.block_crcs, internal::ParseShardFooter(footer, outline.footer_at,
                                                                      outline.blocks(), shard));
  return absl::OkStatus();
}

absl::Status CheckBlock(const ShardOutline& outline, int64_t block, absl::string_view bytes,
                        absl::string_view shard) {
  if (Crc32c(bytes) == outline.block_crcs[static_cast<size_t>(block)]) return absl::OkStatus();
  return internal::BadShard(shard, absl::StrCat("block ", block), block * kShardBlockBytes,
                            "its CRC is wrong");
}

}  // namespace cvtrain::formats
