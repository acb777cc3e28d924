#ifndef CVTRAIN_FORMATS_SHARD_SHARD_LAYOUT_H_
#define CVTRAIN_FORMATS_SHARD_SHARD_LAYOUT_H_

// Inside the shard library: where things lie in a header page, a record and a footer.
// docs/formats/shard.md shows the same as tables.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/uuid.h"
#include "formats/shard/shard_format.h"

namespace cvtrain::formats::internal {

// Header page: offset of each field.
inline constexpr size_t kHeaderMagicAt = 0;          // 8 bytes
inline constexpr size_t kHeaderVersionAt = 8;        // u32
inline constexpr size_t kHeaderPageBytesAt = 12;     // u32
inline constexpr size_t kHeaderUuidAt = 16;          // 16 bytes
inline constexpr size_t kHeaderFileBytesAt = 32;     // u64
inline constexpr size_t kHeaderRecordsAt = 40;       // u64
inline constexpr size_t kHeaderKeyBytesAt = 48;      // u64
inline constexpr size_t kHeaderClassesAt = 56;       // u32
inline constexpr size_t kHeaderRungCountAt = 60;     // u32
inline constexpr size_t kHeaderRungsAt = 64;         // 8 x u32
inline constexpr size_t kHeaderSectionsAt = 96;      // 9 x u64, bytes of each section
inline constexpr size_t kHeaderIndexDigestAt = 168;  // 32 bytes
inline constexpr size_t kHeaderSplitAt = 200;        // 64 bytes, zero-padded
inline constexpr size_t kHeaderEnd = 264;            // zeros from here to the CRC
// Version 2 goes on.
inline constexpr size_t kHeaderMediaAt = 264;            // u32
inline constexpr size_t kHeaderAnnotationBytesAt = 272;  // u64; u32 of zeros before it
inline constexpr size_t kHeaderAnnotatedEnd = 280;       // zeros from here to the CRC
inline constexpr size_t kHeaderCrcAt = 4092;             // u32, of all before it

// Record: 16 bytes, then (u32 offset in its section, u32 length) for each rung and the source; in
// version 2, for the annotation, too.
inline constexpr size_t kRecordFixedBytes = 16;
inline constexpr size_t kRecordExtentBytes = 8;
inline constexpr size_t kSourceDigestBytes = 32;

// Footer: magic, u32 block bytes, u32 number of blocks, u32 CRC of each, u32 CRC of all before it.
inline constexpr int64_t kFooterFixedBytes = 16;
inline constexpr int64_t FooterBytes(int64_t blocks) { return kFooterFixedBytes + 4 * blocks + 4; }

// What a header says of how much there is.
struct ShardCounts {
  uint32_t version = kShardVersion;
  int64_t records = 0;
  int64_t key_bytes = 0;
  int64_t annotation_bytes = 0;        // 0 in version 1
  std::vector<int64_t> section_bytes;  // of each rung, then of the sources
};

// Where the sections of a shard begin, all of it computed from the counts in its header.
struct ShardPlan {
  int64_t record_bytes = 0;
  int64_t table_at = 0;
  int64_t keys_at = 0;
  int64_t digests_at = 0;
  int64_t annotations_at = 0;
  int64_t index_end = 0;
  std::vector<ShardRecord::Extent> sections;
  int64_t footer_at = 0;
  int64_t blocks = 0;
  int64_t file_bytes = 0;
};

inline int64_t PageAlign(int64_t offset) {
  return (offset + kShardPageBytes - 1) / kShardPageBytes * kShardPageBytes;
}

// The counts must be within the limits of the format, so that nothing overflows.
ShardPlan PlanShard(const ShardCounts& counts);

// RFC 9562, version 8: the first bits of the index digest.
Uuid ShardUuid(absl::string_view index_digest);

}  // namespace cvtrain::formats::internal

#endif  // CVTRAIN_FORMATS_SHARD_SHARD_LAYOUT_H_
