// Opening, in this order, so that nothing is believed before it is checked:
//   1. the header page: magic, version, CRC, ranges of its counts;
//   2. from the counts alone, where everything must be; the file must have just that length;
//   3. the footer: magic, CRC, number of blocks;
//   4. the index: its SHA-256 is in the header;
//   5. each record: its bytes follow those of the record before, in each section; its annotation
//      keeps the rules.
// Data is checked by the CRC of its block when it is first read.

#include "formats/shard/shard_reader.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "common/crc32c.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/little_endian.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "formats/shard/annotation_rules.h"

namespace cvtrain::formats {

namespace {
size_t Index(int64_t value) { return static_cast<size_t>(value); }
}  // namespace

// What the header page says beyond ShardInfo.
struct ShardReader::Header {
  internal::ShardCounts counts;
  std::string uuid_bytes;
  std::string index_digest;
};

ShardReader::ShardReader(absl::string_view name, absl::string_view memory,
                         std::unique_ptr<RandomAccessFile> file, int64_t file_bytes)
    : name_(SafeText(name)), memory_(memory), file_(std::move(file)), file_bytes_(file_bytes) {}

absl::StatusOr<std::unique_ptr<ShardReader>> ShardReader::Open(absl::string_view bytes,
                                                               absl::string_view name) {
  auto reader =
      absl::WrapUnique(new ShardReader(name, bytes, nullptr, static_cast<int64_t>(bytes.size())));
  CVT_RETURN_IF_ERROR(reader->Load());
  return reader;
}

absl::StatusOr<std::unique_ptr<ShardReader>> ShardReader::Open(
    std::unique_ptr<RandomAccessFile> file, absl::string_view name) {
  CVT_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  auto reader =
      absl::WrapUnique(new ShardReader(name, {}, std::move(file), static_cast<int64_t>(size)));
  CVT_RETURN_IF_ERROR(reader->Load());
  return reader;
}

absl::Status ShardReader::Bad(absl::string_view part, int64_t offset,
                              absl::string_view problem) const {
  return DataLoss(Reason::kShardBad,
                  absl::StrCat("shard ", name_, ": ", part, " at offset ", offset, ": ", problem));
}

absl::StatusOr<absl::string_view> ShardReader::Fetch(int64_t offset, int64_t length,
                                                     std::string* scratch) const {
  if (offset + length > file_bytes_) {
    return Bad("end of file", file_bytes_,
               absl::StrCat("truncated: ", offset + length, " bytes are needed"));
  }
  if (file_ == nullptr) return memory_.substr(Index(offset), Index(length));
  scratch->resize(Index(length));
  CVT_ASSIGN_OR_RETURN(const size_t got,
                       file_->Read(static_cast<uint64_t>(offset), absl::MakeSpan(*scratch)));
  if (got != Index(length))
    return Bad("end of file", offset + static_cast<int64_t>(got), "truncated");
  return absl::string_view(*scratch);
}

absl::Status ShardReader::Load() {
  CVT_ASSIGN_OR_RETURN(const Header header, LoadHeader());
  plan_ = internal::PlanShard(header.counts);
  if (plan_.file_bytes != info_.file_bytes || plan_.file_bytes != file_bytes_) {
    return Bad("header", internal::kHeaderFileBytesAt,
               absl::StrCat("the file must have ", plan_.file_bytes, " bytes, says ",
                            info_.file_bytes, " and has ", file_bytes_));
  }
  if (plan_.index_end > static_cast<int64_t>(limits::kShardIndexSizeBytesMax) ||
      plan_.file_bytes > static_cast<int64_t>(limits::kShardSizeBytesMax)) {
    return Bad("header", 0, "the shard is larger than any may be");
  }
  info_.sections = plan_.sections;
  CVT_RETURN_IF_ERROR(LoadFooter());
  CVT_RETURN_IF_ERROR(LoadIndex(header));
  return CheckRecords(header.counts);
}

absl::StatusOr<ShardReader::Header> ShardReader::LoadHeader() {
  std::string scratch;
  CVT_ASSIGN_OR_RETURN(const absl::string_view page, Fetch(0, kShardPageBytes, &scratch));
  const auto u32 = [&](size_t at) { return LoadLittleEndian<uint32_t>(page.data() + at); };
  const auto i64 = [&](size_t at) { return LoadLittleEndian<int64_t>(page.data() + at); };
  const auto bad = [&](size_t at, absl::string_view problem) {
    return Bad("header", static_cast<int64_t>(at), problem);
  };
  if (page.substr(0, kShardMagic.size()) != kShardMagic) return bad(0, "not a shard");
  info_.version = u32(internal::kHeaderVersionAt);
  if (info_.version != kShardVersion && info_.version != kShardVersionAnnotated) {
    return bad(internal::kHeaderVersionAt,
               absl::StrCat("version ", info_.version, ", this program reads ", kShardVersion,
                            " and ", kShardVersionAnnotated));
  }
  if (u32(internal::kHeaderCrcAt) != Crc32c(page.substr(0, internal::kHeaderCrcAt))) {
    return bad(internal::kHeaderCrcAt, "the header's CRC is wrong");
  }
  if (u32(internal::kHeaderPageBytesAt) != kShardPageBytes) {
    return bad(internal::kHeaderPageBytesAt, "the page size must be 4096");
  }

  Header header;
  CVT_RETURN_IF_ERROR(LoadVersion(page, &header));
  info_.file_bytes = i64(internal::kHeaderFileBytesAt);
  info_.records = i64(internal::kHeaderRecordsAt);
  if (info_.records < 1 || info_.records > kShardRecordsMax) {
    return bad(internal::kHeaderRecordsAt, "impossible number of records");
  }
  header.counts.records = info_.records;
  int64_t& key_bytes = header.counts.key_bytes = i64(internal::kHeaderKeyBytesAt);
  if (key_bytes < info_.records || key_bytes > info_.records * kShardKeyBytesMax) {
    return bad(internal::kHeaderKeyBytesAt, "impossible length of the keys");
  }
  info_.classes = u32(internal::kHeaderClassesAt);
  if (info_.classes == 0) return bad(internal::kHeaderClassesAt, "there must be a class");
  const uint32_t rungs = u32(internal::kHeaderRungCountAt);
  if (rungs > kShardRungsMax) return bad(internal::kHeaderRungCountAt, "too many rungs");
  if (rungs > 0 && info_.media != ShardMedia::kPictures) {
    return bad(internal::kHeaderRungCountAt, "only pictures have rungs");
  }
  for (uint32_t i = 0; i < kShardRungsMax; ++i) {
    const size_t at = internal::kHeaderRungsAt + 4 * i;
    const uint32_t side = u32(at);
    const auto previous = info_.rungs.empty() ? 0 : static_cast<uint32_t>(info_.rungs.back());
    const bool possible =
        i < rungs ? side > previous && side <= uint32_t{limits::kImageSideMax} : side == 0;
    if (!possible) return bad(at, "the sides of the rungs must ascend, then be 0");
    if (i < rungs) info_.rungs.push_back(static_cast<int>(side));
  }
  for (uint32_t i = 0; i <= kShardRungsMax; ++i) {
    const size_t at = internal::kHeaderSectionsAt + 8 * i;
    const int64_t bytes = i64(at);
    if (bytes < 0 || bytes > (i <= rungs ? kShardSectionBytesMax : 0)) {
      return bad(at, "impossible length of a section");
    }
    if (i <= rungs) header.counts.section_bytes.push_back(bytes);
  }
  const absl::string_view split = page.substr(internal::kHeaderSplitAt, kShardSplitBytesMax + 1);
  const size_t split_bytes = split.find('\0');
  if (split_bytes == 0 || split_bytes == absl::string_view::npos ||
      split.find_first_not_of('\0', split_bytes) != absl::string_view::npos) {
    return bad(internal::kHeaderSplitAt, "the split must be 1 to 63 bytes, then zeros");
  }
  info_.split = std::string(split.substr(0, split_bytes));
  header.uuid_bytes = std::string(page.substr(internal::kHeaderUuidAt, 16));
  header.index_digest = std::string(page.substr(internal::kHeaderIndexDigestAt, 32));
  return header;
}

// What version 2 adds, and that the rest is zero.
absl::Status ShardReader::LoadVersion(absl::string_view page, Header* header) {
  header->counts.version = info_.version;
  size_t end = internal::kHeaderEnd;
  if (info_.version == kShardVersionAnnotated) {
    end = internal::kHeaderAnnotatedEnd;
    const auto media = LoadLittleEndian<uint32_t>(page.data() + internal::kHeaderMediaAt);
    info_.media = static_cast<ShardMedia>(media);
    if (info_.media < ShardMedia::kPictures || info_.media > ShardMedia::kFiles) {
      return Bad("header", internal::kHeaderMediaAt, absl::StrCat("unknown media ", media));
    }
    if (LoadLittleEndian<uint32_t>(page.data() + internal::kHeaderMediaAt + 4) != 0) {
      return Bad("header", internal::kHeaderMediaAt + 4, "reserved bytes must be zero");
    }
    const auto bytes = LoadLittleEndian<int64_t>(page.data() + internal::kHeaderAnnotationBytesAt);
    if (bytes < 0 || bytes > static_cast<int64_t>(limits::kShardIndexSizeBytesMax) ||
        (bytes > 0 && info_.media != ShardMedia::kPictures)) {
      return Bad("header", internal::kHeaderAnnotationBytesAt,
                 "impossible length of the annotations");
    }
    header->counts.annotation_bytes = bytes;
  }
  if (page.substr(end, internal::kHeaderCrcAt - end).find_first_not_of('\0') !=
      absl::string_view::npos) {
    return Bad("header", static_cast<int64_t>(end), "reserved bytes must be zero");
  }
  return absl::OkStatus();
}

absl::Status ShardReader::LoadFooter() {
  std::string scratch;
  const int64_t at = plan_.footer_at;
  CVT_ASSIGN_OR_RETURN(const absl::string_view footer,
                       Fetch(at, internal::FooterBytes(plan_.blocks), &scratch));
  const absl::string_view covered = footer.substr(0, footer.size() - 4);
  if (LoadLittleEndian<uint32_t>(footer.data() + covered.size()) != Crc32c(covered)) {
    return Bad("footer", at, "the footer's CRC is wrong");
  }
  if (footer.substr(0, kShardFooterMagic.size()) != kShardFooterMagic ||
      LoadLittleEndian<uint32_t>(footer.data() + 8) != kShardBlockBytes ||
      LoadLittleEndian<uint32_t>(footer.data() + 12) != plan_.blocks) {
    return Bad("footer", at, "not the footer of this shard");
  }
  crcs_.resize(Index(plan_.blocks));
  std::memcpy(crcs_.data(), footer.data() + internal::kFooterFixedBytes, crcs_.size() * 4);
  checked_ = std::make_unique<std::atomic<bool>[]>(crcs_.size());
  return absl::OkStatus();
}

absl::Status ShardReader::LoadIndex(const Header& header) {
  CVT_ASSIGN_OR_RETURN(index_,
                       Fetch(plan_.table_at, plan_.index_end - plan_.table_at, &index_copy_));
  const Sha256Digest digest = Sha256Of(index_);
  if (std::memcmp(digest.data(), header.index_digest.data(), digest.size()) != 0) {
    return Bad("index", plan_.table_at, "its SHA-256 is not the one in the header");
  }
  const Uuid uuid = internal::ShardUuid(header.index_digest);
  if (std::memcmp(uuid.bytes().data(), header.uuid_bytes.data(), uuid.bytes().size()) != 0) {
    return Bad("header", internal::kHeaderUuidAt, "the id does not belong to the index");
  }
  info_.uuid = uuid.ToString();
  return absl::OkStatus();
}

std::string ShardReader::ProblemOfSource(const ShardRecord& entry) const {
  if (entry.source_format < SourceFormat::kJpeg || entry.source_format > SourceFormat::kOther ||
      entry.source_orientation < 1 || entry.source_orientation > 8) {
    return "unknown format or orientation";
  }
  if (info_.media != ShardMedia::kPictures) {
    const bool plain = entry.source == PictureSize{} && entry.source_orientation == 1 &&
                       entry.source_format == SourceFormat::kOther;
    return plain ? "" : "only pictures have a size, a format and an orientation";
  }
  const bool possible = std::min(entry.source.width, entry.source.height) >= 1 &&
                        std::max(entry.source.width, entry.source.height) <= limits::kImageSideMax;
  return possible ? "" : "impossible size of the picture";
}

std::string ShardReader::ProblemOfAnnotation(int64_t record, const ShardRecord& entry) const {
  if (entry.annotation.length == 0) return "";
  storage::v1::Annotation annotation;
  const absl::string_view bytes = annotation_bytes(record);
  if (!annotation.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return "the annotation is no message";
  }
  return ProblemOf(annotation, entry.source, info_.classes);
}

absl::Status ShardReader::CheckRecords(const internal::ShardCounts& counts) const {
  const size_t sections = plan_.sections.size();
  std::vector<int64_t> ends(sections, 0);
  int64_t key_end = 0;
  int64_t annotation_end = 0;
  for (int64_t i = 0; i < info_.records; ++i) {
    const int64_t at = plan_.table_at + i * plan_.record_bytes;
    const char* raw = index_.data() + i * plan_.record_bytes;
    const auto bad = [&](absl::string_view problem) {
      return Bad(absl::StrCat("record ", i), at, problem);
    };
    const ShardRecord entry = record(i);
    if (entry.label >= info_.classes) return bad("the label is not below the number of classes");
    const std::string problem = ProblemOfSource(entry);
    if (!problem.empty()) return bad(problem);
    const int shorter = std::min(entry.source.width, entry.source.height);
    const auto key_length = LoadLittleEndian<uint16_t>(raw + 12);
    if (LoadLittleEndian<uint32_t>(raw + 8) != key_end || key_length == 0 ||
        key_length > kShardKeyBytesMax) {
      return bad("the key does not follow the one before");
    }
    key_end += key_length;
    for (size_t s = 0; s < sections; ++s) {
      const int64_t length = entry.extents[s].length;
      if (entry.extents[s].offset != plan_.sections[s].offset + ends[s] ||
          length > kShardPictureBytesMax) {
        return bad(absl::StrCat("bytes of rung ", s, " do not follow those of the record before"));
      }
      const bool absent = s < info_.rungs.size() && shorter <= info_.rungs[s];
      if ((length == 0) != absent) {
        return bad(absl::StrCat("rung ", s, " must be absent just where the picture is no larger"));
      }
      ends[s] += length;
    }
    if (info_.version != kShardVersionAnnotated) continue;
    if (entry.annotation.offset != plan_.annotations_at + annotation_end ||
        entry.annotation.length > kShardAnnotationBytesMax ||
        annotation_end + entry.annotation.length > counts.annotation_bytes) {
      return bad("the annotation does not follow the one before");
    }
    annotation_end += entry.annotation.length;
    const std::string wrong = ProblemOfAnnotation(i, entry);
    if (!wrong.empty()) return bad(wrong);
  }
  for (size_t s = 0; s < sections; ++s) {
    if (ends[s] != plan_.sections[s].length) {
      return Bad("index", plan_.table_at,
                 absl::StrCat("section ", s, " has other bytes than its records"));
    }
  }
  if (key_end != counts.key_bytes) {
    return Bad("index", plan_.keys_at, "there are other keys than the records have");
  }
  if (annotation_end != counts.annotation_bytes) {
    return Bad("index", plan_.annotations_at, "there are other annotations than the records have");
  }
  return absl::OkStatus();
}

ShardRecord ShardReader::record(int64_t record) const {
  CVT_CHECK(record >= 0 && record < info_.records) << "shard " << name_ << ", record " << record;
  const char* raw = index_.data() + record * plan_.record_bytes;
  ShardRecord entry;
  entry.label = LoadLittleEndian<uint32_t>(raw);
  entry.source.width = LoadLittleEndian<uint16_t>(raw + 4);
  entry.source.height = LoadLittleEndian<uint16_t>(raw + 6);
  entry.source_format = static_cast<SourceFormat>(LoadLittleEndian<uint8_t>(raw + 14));
  entry.source_orientation = LoadLittleEndian<uint8_t>(raw + 15);
  for (size_t s = 0; s < plan_.sections.size(); ++s) {
    const char* extent = raw + internal::kRecordFixedBytes + 8 * s;
    entry.extents[s].offset = plan_.sections[s].offset + LoadLittleEndian<uint32_t>(extent);
    entry.extents[s].length = LoadLittleEndian<uint32_t>(extent + 4);
  }
  if (info_.version == kShardVersionAnnotated) {
    const char* extent =
        raw + internal::kRecordFixedBytes + internal::kRecordExtentBytes * plan_.sections.size();
    entry.annotation.offset = plan_.annotations_at + LoadLittleEndian<uint32_t>(extent);
    entry.annotation.length = LoadLittleEndian<uint32_t>(extent + 4);
  }
  return entry;
}

absl::string_view ShardReader::key(int64_t record) const {
  CVT_CHECK(record >= 0 && record < info_.records) << "shard " << name_ << ", record " << record;
  const char* raw = index_.data() + record * plan_.record_bytes;
  return index_.substr(Index(plan_.keys_at - plan_.table_at) + LoadLittleEndian<uint32_t>(raw + 8),
                       LoadLittleEndian<uint16_t>(raw + 12));
}

absl::string_view ShardReader::source_digest(int64_t record) const {
  CVT_CHECK(record >= 0 && record < info_.records) << "shard " << name_ << ", record " << record;
  return index_.substr(
      Index(plan_.digests_at - plan_.table_at) + Index(record) * internal::kSourceDigestBytes,
      internal::kSourceDigestBytes);
}

absl::string_view ShardReader::annotation_bytes(int64_t record_number) const {
  const ShardRecord::Extent extent = record(record_number).annotation;
  if (extent.length == 0) return {};
  return index_.substr(Index(extent.offset - plan_.table_at), Index(extent.length));
}

storage::v1::Annotation ShardReader::annotation(int64_t record_number) const {
  storage::v1::Annotation annotation;
  const absl::string_view bytes = annotation_bytes(record_number);
  CVT_CHECK(annotation.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
      << "opening has parsed it";
  return annotation;
}

absl::StatusOr<absl::string_view> ShardReader::Read(int64_t record_number, int rung,
                                                    std::string* scratch) {
  const ShardRecord entry = record(record_number);
  CVT_CHECK(rung >= 0 && rung <= static_cast<int>(info_.rungs.size()));
  const ShardRecord::Extent extent = entry.extents[static_cast<size_t>(rung)];
  if (extent.length == 0) {
    return NotFound(Reason::kShardNotFound,
                    absl::StrCat("shard ", name_, ": record ", record_number, " has no rung ",
                                 info_.rungs[static_cast<size_t>(rung)]));
  }
  if (file_ != nullptr) return ReadFromFile(extent.offset, extent.length, scratch);
  CVT_RETURN_IF_ERROR(CheckMemory(extent.offset, extent.length));
  return memory_.substr(Index(extent.offset), Index(extent.length));
}

absl::Status ShardReader::CheckBlock(int64_t block, absl::string_view bytes) const {
  if (Crc32c(bytes) == crcs_[Index(block)]) return absl::OkStatus();
  return Bad(absl::StrCat("block ", block), block * kShardBlockBytes, "its CRC is wrong");
}

absl::Status ShardReader::CheckMemory(int64_t offset, int64_t length) {
  for (int64_t block = offset / kShardBlockBytes; block * kShardBlockBytes < offset + length;
       ++block) {
    std::atomic<bool>& checked = checked_[Index(block)];
    if (checked.load(std::memory_order_relaxed)) continue;
    const int64_t begin = block * kShardBlockBytes;
    const int64_t bytes = std::min(kShardBlockBytes, plan_.footer_at - begin);
    CVT_RETURN_IF_ERROR(CheckBlock(block, memory_.substr(Index(begin), Index(bytes))));
    checked.store(true, std::memory_order_relaxed);
  }
  return absl::OkStatus();
}

absl::StatusOr<absl::string_view> ShardReader::ReadFromFile(int64_t offset, int64_t length,
                                                            std::string* scratch) {
  scratch->clear();
  absl::MutexLock lock(&mu_);
  while (length > 0) {
    const int64_t block = offset / kShardBlockBytes;
    const int64_t begin = block * kShardBlockBytes;
    if (block != kept_block_) {
      kept_block_ = -1;
      const int64_t bytes = std::min(kShardBlockBytes, plan_.footer_at - begin);
      CVT_RETURN_IF_ERROR(Fetch(begin, bytes, &kept_bytes_).status());
      CVT_RETURN_IF_ERROR(CheckBlock(block, kept_bytes_));
      kept_block_ = block;
    }
    const absl::string_view part =
        absl::string_view(kept_bytes_).substr(Index(offset - begin), Index(length));
    scratch->append(part.data(), part.size());
    offset += static_cast<int64_t>(part.size());
    length -= static_cast<int64_t>(part.size());
  }
  return absl::string_view(*scratch);
}

absl::Status ShardReader::VerifyAll() {
  std::string scratch;
  for (int64_t block = 0; block < plan_.blocks; ++block) {
    const int64_t begin = block * kShardBlockBytes;
    const int64_t bytes = std::min(kShardBlockBytes, plan_.footer_at - begin);
    CVT_ASSIGN_OR_RETURN(const absl::string_view read, Fetch(begin, bytes, &scratch));
    CVT_RETURN_IF_ERROR(CheckBlock(block, read));
  }
  return absl::OkStatus();
}

}  // namespace cvtrain::formats
