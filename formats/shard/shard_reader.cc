// Opening, in this order, so that nothing is believed before it is checked:
//   1. the header page: magic, version, CRC, ranges of its counts;
//   2. from the counts alone, where everything must be; the file must have just that length;
//   3. the footer: magic, CRC, number of blocks;
//   4. the blocks of the index: their CRCs are in the footer; or else its SHA-256, from the header;
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
#include "formats/shard/shard_header.h"

namespace cvtrain::formats {

namespace {
size_t Index(int64_t value) { return static_cast<size_t>(value); }
}  // namespace

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
  return internal::BadShard(name_, part, offset, problem);
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
  std::string scratch;
  CVT_ASSIGN_OR_RETURN(const absl::string_view page, Fetch(0, kShardPageBytes, &scratch));
  CVT_ASSIGN_OR_RETURN(internal::ShardHeader header,
                       internal::ParseShardHeader(page, file_bytes_, name_));
  info_ = std::move(header.info);
  plan_ = std::move(header.plan);
  CVT_ASSIGN_OR_RETURN(const absl::string_view footer,
                       Fetch(plan_.footer_at, internal::FooterBytes(plan_.blocks), &scratch));
  CVT_ASSIGN_OR_RETURN(crcs_,
                       internal::ParseShardFooter(footer, plan_.footer_at, plan_.blocks, name_));
  checked_ = std::make_unique<std::atomic<bool>[]>(crcs_.size());
  index_digest_ = std::move(header.index_digest);
  CVT_RETURN_IF_ERROR(LoadIndex(header.uuid_bytes));
  return CheckRecords(header.counts);
}

absl::Status ShardReader::LoadIndex(absl::string_view uuid_bytes) {
  const int64_t blocks_end =
      std::min((plan_.index_end + kShardBlockBytes - 1) / kShardBlockBytes * kShardBlockBytes,
               plan_.footer_at);
  CVT_ASSIGN_OR_RETURN(const absl::string_view blocks, Fetch(0, blocks_end, &index_copy_));
  index_ = blocks.substr(Index(plan_.table_at), Index(plan_.index_end - plan_.table_at));
  // The CRCs of whole blocks cost a tenth of the SHA-256. That one decides where a block is bad
  // that also holds pictures: it may be one of those.
  if (!AreSound(blocks)) CVT_RETURN_IF_ERROR(CheckIndexDigest());
  const Uuid uuid = internal::ShardUuid(index_digest_);
  if (std::memcmp(uuid.bytes().data(), uuid_bytes.data(), uuid.bytes().size()) != 0) {
    return Bad("header", internal::kHeaderUuidAt, "the id does not belong to the index");
  }
  info_.uuid = uuid.ToString();
  return absl::OkStatus();
}

// Of the first blocks of the shard, which Read() need not check again.
bool ShardReader::AreSound(absl::string_view blocks) const {
  for (int64_t block = 0; !blocks.empty(); ++block) {
    const absl::string_view bytes = blocks.substr(0, Index(kShardBlockBytes));
    if (!CheckBlock(block, bytes).ok()) return false;
    checked_[Index(block)].store(true, std::memory_order_relaxed);
    blocks.remove_prefix(bytes.size());
  }
  return true;
}

absl::Status ShardReader::CheckIndexDigest() const {
  const Sha256Digest digest = Sha256Of(index_);
  if (std::memcmp(digest.data(), index_digest_.data(), digest.size()) == 0) return absl::OkStatus();
  return Bad("index", plan_.table_at, "its SHA-256 is not the one in the header");
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
  CVT_RETURN_IF_ERROR(CheckIndexDigest());
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
