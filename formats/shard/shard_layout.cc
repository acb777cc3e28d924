#include "formats/shard/shard_layout.h"

#include <array>
#include <cstring>

namespace cvtrain::formats::internal {

ShardPlan PlanShard(const ShardCounts& counts) {
  ShardPlan plan;
  const size_t extents =
      counts.section_bytes.size() + (counts.version == kShardVersionAnnotated ? 1 : 0);
  plan.record_bytes = static_cast<int64_t>(kRecordFixedBytes + kRecordExtentBytes * extents);
  plan.table_at = kShardPageBytes;
  plan.keys_at = PageAlign(plan.table_at + counts.records * plan.record_bytes);
  plan.digests_at = PageAlign(plan.keys_at + counts.key_bytes);
  plan.annotations_at =
      PageAlign(plan.digests_at + counts.records * static_cast<int64_t>(kSourceDigestBytes));
  plan.index_end = PageAlign(plan.annotations_at + counts.annotation_bytes);
  int64_t at = plan.index_end;
  for (const int64_t bytes : counts.section_bytes) {
    plan.sections.push_back({at, bytes});
    at = PageAlign(at + bytes);
  }
  plan.footer_at = at;
  plan.blocks = (plan.footer_at + kShardBlockBytes - 1) / kShardBlockBytes;
  plan.file_bytes = plan.footer_at + FooterBytes(plan.blocks);
  return plan;
}

Uuid ShardUuid(absl::string_view index_digest) {
  std::array<uint8_t, 16> bytes;
  std::memcpy(bytes.data(), index_digest.data(), bytes.size());
  bytes[6] = static_cast<uint8_t>((bytes[6] & 0x0f) | 0x80);
  bytes[8] = static_cast<uint8_t>((bytes[8] & 0x3f) | 0x80);
  return Uuid(bytes);
}

}  // namespace cvtrain::formats::internal
