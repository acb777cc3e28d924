#include "formats/shard/shard_layout.h"

#include <array>
#include <cstring>

namespace cvtrain::formats::internal {

ShardPlan PlanShard(int64_t records, int64_t key_bytes, const std::vector<int64_t>& section_bytes) {
  ShardPlan plan;
  plan.record_bytes =
      static_cast<int64_t>(kRecordFixedBytes) + 8 * static_cast<int64_t>(section_bytes.size());
  plan.table_at = kShardPageBytes;
  plan.keys_at = PageAlign(plan.table_at + records * plan.record_bytes);
  plan.digests_at = PageAlign(plan.keys_at + key_bytes);
  plan.index_end = PageAlign(plan.digests_at + records * static_cast<int64_t>(kSourceDigestBytes));
  int64_t at = plan.index_end;
  for (const int64_t bytes : section_bytes) {
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
