#include "formats/shard/shard_header.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/crc32c.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/little_endian.h"
#include "common/status_macros.h"

namespace cvtrain::formats::internal {
namespace {

// Reads the fields of one header page, which the parsing ends with the first that is impossible.
class HeaderParser {
 public:
  HeaderParser(absl::string_view page, absl::string_view shard) : page_(page), shard_(shard) {}

  absl::StatusOr<ShardHeader> Parse();

 private:
  absl::Status Identity();
  absl::Status Version();
  absl::Status Counts();
  absl::Status Rungs();
  absl::Status Sections();
  absl::Status Split();

  uint32_t U32(size_t at) const { return LoadLittleEndian<uint32_t>(page_.data() + at); }
  int64_t I64(size_t at) const { return LoadLittleEndian<int64_t>(page_.data() + at); }
  absl::Status Bad(size_t at, absl::string_view problem) const {
    return BadShard(shard_, "header", static_cast<int64_t>(at), problem);
  }

  const absl::string_view page_;
  const absl::string_view shard_;
  ShardHeader header_;
};

absl::StatusOr<ShardHeader> HeaderParser::Parse() {
  CVT_RETURN_IF_ERROR(Identity());
  CVT_RETURN_IF_ERROR(Version());
  CVT_RETURN_IF_ERROR(Counts());
  CVT_RETURN_IF_ERROR(Rungs());
  CVT_RETURN_IF_ERROR(Sections());
  CVT_RETURN_IF_ERROR(Split());
  header_.uuid_bytes = std::string(page_.substr(kHeaderUuidAt, 16));
  header_.index_digest = std::string(page_.substr(kHeaderIndexDigestAt, 32));
  return std::move(header_);
}

absl::Status HeaderParser::Identity() {
  if (page_.substr(0, kShardMagic.size()) != kShardMagic) return Bad(0, "not a shard");
  header_.info.version = header_.counts.version = U32(kHeaderVersionAt);
  if (header_.info.version != kShardVersion && header_.info.version != kShardVersionAnnotated) {
    return Bad(kHeaderVersionAt,
               absl::StrCat("version ", header_.info.version, ", this program reads ",
                            kShardVersion, " and ", kShardVersionAnnotated));
  }
  if (U32(kHeaderCrcAt) != Crc32c(page_.substr(0, kHeaderCrcAt))) {
    return Bad(kHeaderCrcAt, "the header's CRC is wrong");
  }
  if (U32(kHeaderPageBytesAt) != kShardPageBytes) {
    return Bad(kHeaderPageBytesAt, "the page size must be 4096");
  }
  return absl::OkStatus();
}

// What version 2 adds, and that the rest is zero.
absl::Status HeaderParser::Version() {
  size_t end = kHeaderEnd;
  if (header_.info.version == kShardVersionAnnotated) {
    end = kHeaderAnnotatedEnd;
    const uint32_t media = U32(kHeaderMediaAt);
    header_.info.media = static_cast<ShardMedia>(media);
    if (header_.info.media < ShardMedia::kPictures || header_.info.media > ShardMedia::kFiles) {
      return Bad(kHeaderMediaAt, absl::StrCat("unknown media ", media));
    }
    if (U32(kHeaderMediaAt + 4) != 0) {
      return Bad(kHeaderMediaAt + 4, "reserved bytes must be zero");
    }
    const int64_t bytes = I64(kHeaderAnnotationBytesAt);
    if (bytes < 0 || bytes > static_cast<int64_t>(limits::kShardIndexSizeBytesMax) ||
        (bytes > 0 && header_.info.media != ShardMedia::kPictures)) {
      return Bad(kHeaderAnnotationBytesAt, "impossible length of the annotations");
    }
    header_.counts.annotation_bytes = bytes;
  }
  if (page_.substr(end, kHeaderCrcAt - end).find_first_not_of('\0') != absl::string_view::npos) {
    return Bad(end, "reserved bytes must be zero");
  }
  return absl::OkStatus();
}

absl::Status HeaderParser::Counts() {
  header_.info.file_bytes = I64(kHeaderFileBytesAt);
  const int64_t records = header_.info.records = header_.counts.records = I64(kHeaderRecordsAt);
  if (records < 1 || records > kShardRecordsMax) {
    return Bad(kHeaderRecordsAt, "impossible number of records");
  }
  header_.counts.key_bytes = I64(kHeaderKeyBytesAt);
  if (header_.counts.key_bytes < records ||
      header_.counts.key_bytes > records * kShardKeyBytesMax) {
    return Bad(kHeaderKeyBytesAt, "impossible length of the keys");
  }
  header_.info.classes = U32(kHeaderClassesAt);
  if (header_.info.classes == 0) return Bad(kHeaderClassesAt, "there must be a class");
  return absl::OkStatus();
}

absl::Status HeaderParser::Rungs() {
  std::vector<int>& rungs = header_.info.rungs;
  const uint32_t count = U32(kHeaderRungCountAt);
  if (count > kShardRungsMax) return Bad(kHeaderRungCountAt, "too many rungs");
  if (count > 0 && header_.info.media != ShardMedia::kPictures) {
    return Bad(kHeaderRungCountAt, "only pictures have rungs");
  }
  for (uint32_t i = 0; i < kShardRungsMax; ++i) {
    const size_t at = kHeaderRungsAt + 4 * i;
    const uint32_t side = U32(at);
    const auto previous = rungs.empty() ? 0 : static_cast<uint32_t>(rungs.back());
    const bool possible =
        i < count ? side > previous && side <= uint32_t{limits::kImageSideMax} : side == 0;
    if (!possible) return Bad(at, "the sides of the rungs must ascend, then be 0");
    if (i < count) rungs.push_back(static_cast<int>(side));
  }
  return absl::OkStatus();
}

absl::Status HeaderParser::Sections() {
  const size_t rungs = header_.info.rungs.size();
  for (size_t i = 0; i <= kShardRungsMax; ++i) {
    const size_t at = kHeaderSectionsAt + 8 * i;
    const int64_t bytes = I64(at);
    if (bytes < 0 || bytes > (i <= rungs ? kShardSectionBytesMax : 0)) {
      return Bad(at, "impossible length of a section");
    }
    if (i <= rungs) header_.counts.section_bytes.push_back(bytes);
  }
  return absl::OkStatus();
}

absl::Status HeaderParser::Split() {
  const absl::string_view split = page_.substr(kHeaderSplitAt, kShardSplitBytesMax + 1);
  const size_t split_bytes = split.find('\0');
  if (split_bytes == 0 || split_bytes == absl::string_view::npos ||
      split.find_first_not_of('\0', split_bytes) != absl::string_view::npos) {
    return Bad(kHeaderSplitAt, "the split must be 1 to 63 bytes, then zeros");
  }
  header_.info.split = std::string(split.substr(0, split_bytes));
  return absl::OkStatus();
}

}  // namespace

absl::Status BadShard(absl::string_view shard, absl::string_view part, int64_t offset,
                      absl::string_view problem) {
  return DataLoss(Reason::kShardBad,
                  absl::StrCat("shard ", shard, ": ", part, " at offset ", offset, ": ", problem));
}

absl::StatusOr<ShardHeader> ParseShardHeader(absl::string_view page, int64_t file_bytes,
                                             absl::string_view shard) {
  CVT_ASSIGN_OR_RETURN(ShardHeader header, HeaderParser(page, shard).Parse());
  header.plan = PlanShard(header.counts);
  if (header.plan.file_bytes != header.info.file_bytes || header.plan.file_bytes != file_bytes) {
    return BadShard(shard, "header", kHeaderFileBytesAt,
                    absl::StrCat("the file must have ", header.plan.file_bytes, " bytes, says ",
                                 header.info.file_bytes, " and has ", file_bytes));
  }
  if (header.plan.index_end > static_cast<int64_t>(limits::kShardIndexSizeBytesMax) ||
      header.plan.file_bytes > static_cast<int64_t>(limits::kShardSizeBytesMax)) {
    return BadShard(shard, "header", 0, "the shard is larger than any may be");
  }
  header.info.sections = header.plan.sections;
  return header;
}

absl::StatusOr<std::vector<uint32_t>> ParseShardFooter(absl::string_view footer, int64_t footer_at,
                                                       int64_t blocks, absl::string_view shard) {
  const auto bad = [&](absl::string_view problem) {
    return BadShard(shard, "footer", footer_at, problem);
  };
  if (footer.size() != static_cast<size_t>(FooterBytes(blocks))) return bad("it is cut off");
  const absl::string_view covered = footer.substr(0, footer.size() - 4);
  if (LoadLittleEndian<uint32_t>(footer.data() + covered.size()) != Crc32c(covered)) {
    return bad("the footer's CRC is wrong");
  }
  if (footer.substr(0, kShardFooterMagic.size()) != kShardFooterMagic ||
      LoadLittleEndian<uint32_t>(footer.data() + 8) != kShardBlockBytes ||
      LoadLittleEndian<uint32_t>(footer.data() + 12) != blocks) {
    return bad("not the footer of this shard");
  }
  std::vector<uint32_t> crcs(static_cast<size_t>(blocks));
  std::memcpy(crcs.data(), footer.data() + kFooterFixedBytes, crcs.size() * 4);
  return crcs;
}

}  // namespace cvtrain::formats::internal
