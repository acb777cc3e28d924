#include "formats/shard/shard_writer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/crc32c.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/little_endian.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "common/uuid.h"
#include "formats/shard/annotation_rules.h"

namespace cvtrain::formats {
namespace {

// Of a record without its key and its annotation, at most, with what pages round up.
constexpr int64_t kIndexBytesPerRecord = 1 << 10;

// Hands bytes on to the file and computes, as they pass, the CRC of each block and the digest of
// the whole.
class BlockSink {
 public:
  explicit BlockSink(WritableFile& file) : file_(file) {}

  absl::Status Append(absl::string_view bytes) {
    digest_.Update(bytes);
    CVT_RETURN_IF_ERROR(file_.Append(bytes));
    while (!bytes.empty()) {
      const auto room = static_cast<size_t>(kShardBlockBytes - offset_ % kShardBlockBytes);
      const absl::string_view part = bytes.substr(0, room);
      crc_ = ExtendCrc32c(crc_, part);
      offset_ += static_cast<int64_t>(part.size());
      bytes.remove_prefix(part.size());
      if (offset_ % kShardBlockBytes == 0) EndBlock();
    }
    return absl::OkStatus();
  }

  absl::Status PadTo(int64_t offset) {
    return Append(std::string(static_cast<size_t>(offset - offset_), '\0'));
  }

  absl::Status AppendFooter() {
    if (offset_ % kShardBlockBytes != 0) EndBlock();
    std::string footer(kShardFooterMagic);
    AppendLittleEndian<uint32_t>(static_cast<uint32_t>(kShardBlockBytes), &footer);
    AppendLittleEndian<uint32_t>(static_cast<uint32_t>(crcs_.size()), &footer);
    for (const uint32_t crc : crcs_) AppendLittleEndian<uint32_t>(crc, &footer);
    AppendLittleEndian<uint32_t>(Crc32c(footer), &footer);
    digest_.Update(footer);
    return file_.Append(footer);
  }

  std::string Digest() { return ToHex(digest_.Finish()); }

 private:
  void EndBlock() {
    crcs_.push_back(crc_);
    crc_ = 0;
  }

  WritableFile& file_;
  Sha256 digest_;
  int64_t offset_ = 0;
  uint32_t crc_ = 0;
  std::vector<uint32_t> crcs_;
};

absl::Status Broken(const ShardPicture& picture, absl::string_view rule) {
  return InvalidArgument(Reason::kFieldInvalid,
                         absl::StrCat("picture ", SafeText(picture.key), ": ", rule));
}

}  // namespace

ShardWriter::ShardWriter(ShardWriterOptions options)
    : options_(std::move(options)), sections_(options_.rungs.size() + 1) {
  CVT_CHECK(!options_.split.empty() &&
            static_cast<int64_t>(options_.split.size()) <= kShardSplitBytesMax);
  CVT_CHECK(options_.rungs.size() <= kShardRungsMax && options_.classes > 0);
  CVT_CHECK(options_.media == ShardMedia::kPictures ||
            (options_.rungs.empty() && !options_.annotated));
  for (size_t i = 0; i < options_.rungs.size(); ++i) {
    CVT_CHECK(options_.rungs[i] > (i == 0 ? 0 : options_.rungs[i - 1]) &&
              options_.rungs[i] <= limits::kImageSideMax);
  }
}

absl::Status ShardWriter::CheckSource(const ShardPicture& picture) const {
  if (options_.media != ShardMedia::kPictures) {
    const bool plain = picture.size == PictureSize{} && picture.source_orientation == 1 &&
                       picture.source_format == SourceFormat::kOther;
    return plain ? absl::OkStatus()
                 : Broken(picture, "only pictures have a size, a format and an orientation");
  }
  const auto [shorter, longer] = std::minmax({picture.size.width, picture.size.height});
  if (shorter < 1 || longer > limits::kImageSideMax) {
    return Broken(picture, absl::StrCat("a side must be in 1 to ", limits::kImageSideMax, ", got ",
                                        picture.size.width, "x", picture.size.height));
  }
  if (picture.source_orientation < 1 || picture.source_orientation > 8) {
    return Broken(picture, "the orientation must be in 1 to 8");
  }
  if (picture.annotation == nullptr) return absl::OkStatus();
  if (!options_.annotated) return Broken(picture, "the shard is not one with annotations");
  const std::string problem = ProblemOf(*picture.annotation, picture.size, options_.classes);
  return problem.empty() ? absl::OkStatus() : Broken(picture, problem);
}

absl::Status ShardWriter::Check(const ShardPicture& picture) const {
  const auto too_long = [](absl::string_view bytes, int64_t max) {
    return static_cast<int64_t>(bytes.size()) > max;
  };
  if (picture.key.empty() || too_long(picture.key, kShardKeyBytesMax)) {
    return Broken(picture, absl::StrCat("the key must have 1 to ", kShardKeyBytesMax, " bytes"));
  }
  if (picture.label >= options_.classes) {
    return Broken(picture, absl::StrCat("the label must be below ", options_.classes, ", got ",
                                        picture.label));
  }
  CVT_RETURN_IF_ERROR(CheckSource(picture));
  const int shorter = std::min(picture.size.width, picture.size.height);
  if (picture.source_digest.size() != internal::kSourceDigestBytes) {
    return Broken(picture, "the digest of the source must have 32 bytes");
  }
  if (picture.source.empty() || too_long(picture.source, kShardPictureBytesMax)) {
    return Broken(picture,
                  absl::StrCat("the source must have 1 to ", kShardPictureBytesMax, " bytes"));
  }
  if (picture.rungs.size() != options_.rungs.size()) {
    return Broken(picture, absl::StrCat("must have ", options_.rungs.size(), " rungs, got ",
                                        picture.rungs.size()));
  }
  for (size_t i = 0; i < picture.rungs.size(); ++i) {
    if (picture.rungs[i].empty() != (shorter <= options_.rungs[i]) ||
        too_long(picture.rungs[i], kShardPictureBytesMax)) {
      return Broken(picture,
                    absl::StrCat("rung ", options_.rungs[i], " must ",
                                 shorter <= options_.rungs[i] ? "be empty" : "have bytes"));
    }
  }
  return absl::OkStatus();
}

absl::Status ShardWriter::Add(const ShardPicture& picture) {
  CVT_RETURN_IF_ERROR(Check(picture));
  std::string annotation;
  if (picture.annotation != nullptr) annotation = picture.annotation->SerializeAsString();
  if (static_cast<int64_t>(annotation.size()) > kShardAnnotationBytesMax) {
    return Broken(picture, absl::StrCat("the annotation must have at most ",
                                        kShardAnnotationBytesMax, " bytes"));
  }
  const auto section_room = [&](size_t section, absl::string_view bytes) {
    return static_cast<int64_t>(sections_[section].size() + bytes.size()) <= kShardSectionBytesMax;
  };
  int64_t added = 0;
  bool fits = records() < kShardRecordsMax && section_room(options_.rungs.size(), picture.source);
  for (size_t i = 0; i < picture.rungs.size(); ++i) {
    fits = fits && section_room(i, picture.rungs[i]);
    added += static_cast<int64_t>(picture.rungs[i].size());
  }
  const auto added_index =
      static_cast<int64_t>(picture.key.size() + annotation.size()) + kIndexBytesPerRecord;
  added += static_cast<int64_t>(picture.source.size()) + added_index;
  if (!fits || pending_bytes() + added > static_cast<int64_t>(limits::kShardSizeBytesMax) ||
      pending_index_bytes() + added_index > static_cast<int64_t>(limits::kShardIndexSizeBytesMax)) {
    return LimitExceeded("kShardSizeBytesMax",
                         absl::StrCat("shard: has no room for another picture after ", records()));
  }

  Picture& record = pictures_.emplace_back();
  record.label = picture.label;
  record.size = picture.size;
  record.format = picture.source_format;
  record.orientation = picture.source_orientation;
  record.key_offset = static_cast<uint32_t>(keys_.size());
  record.key_length = static_cast<uint16_t>(picture.key.size());
  keys_.append(picture.key.data(), picture.key.size());
  source_digests_.append(picture.source_digest.data(), picture.source_digest.size());
  record.annotation_offset = static_cast<uint32_t>(annotations_.size());
  record.annotation_length = static_cast<uint32_t>(annotation.size());
  annotations_ += annotation;
  for (size_t i = 0; i < sections_.size(); ++i) {
    const absl::string_view bytes = i < picture.rungs.size() ? picture.rungs[i] : picture.source;
    record.offsets[i] = static_cast<uint32_t>(sections_[i].size());
    record.lengths[i] = static_cast<uint32_t>(bytes.size());
    sections_[i].append(bytes.data(), bytes.size());
  }
  return absl::OkStatus();
}

int64_t ShardWriter::pending_index_bytes() const {
  const size_t extents = sections_.size() + (is_annotated() ? 1 : 0);
  return static_cast<int64_t>(keys_.size() + source_digests_.size() + annotations_.size()) +
         records() * static_cast<int64_t>(internal::kRecordFixedBytes +
                                          internal::kRecordExtentBytes * extents);
}

int64_t ShardWriter::pending_bytes() const {
  int64_t bytes = pending_index_bytes() + kShardPageBytes;
  for (const std::string& section : sections_) bytes += static_cast<int64_t>(section.size());
  return bytes;
}

std::string ShardWriter::Index() const {
  std::string index;
  const auto pad = [&] {
    index.resize(static_cast<size_t>(internal::PageAlign(static_cast<int64_t>(index.size()))));
  };
  for (const Picture& picture : pictures_) {
    AppendLittleEndian<uint32_t>(picture.label, &index);
    AppendLittleEndian<uint16_t>(static_cast<uint16_t>(picture.size.width), &index);
    AppendLittleEndian<uint16_t>(static_cast<uint16_t>(picture.size.height), &index);
    AppendLittleEndian<uint32_t>(picture.key_offset, &index);
    AppendLittleEndian<uint16_t>(picture.key_length, &index);
    AppendLittleEndian<uint8_t>(static_cast<uint8_t>(picture.format), &index);
    AppendLittleEndian<uint8_t>(static_cast<uint8_t>(picture.orientation), &index);
    for (size_t i = 0; i < sections_.size(); ++i) {
      AppendLittleEndian<uint32_t>(picture.offsets[i], &index);
      AppendLittleEndian<uint32_t>(picture.lengths[i], &index);
    }
    if (!is_annotated()) continue;
    AppendLittleEndian<uint32_t>(picture.annotation_offset, &index);
    AppendLittleEndian<uint32_t>(picture.annotation_length, &index);
  }
  pad();
  index += keys_;
  pad();
  index += source_digests_;
  pad();
  index += annotations_;
  pad();
  return index;
}

std::string ShardWriter::HeaderPage(const internal::ShardPlan& plan,
                                    absl::string_view index_digest) const {
  std::string page(kShardPageBytes, '\0');
  char* to = page.data();
  kShardMagic.copy(to + internal::kHeaderMagicAt, kShardMagic.size());
  StoreLittleEndian<uint32_t>(is_annotated() ? kShardVersionAnnotated : kShardVersion,
                              to + internal::kHeaderVersionAt);
  StoreLittleEndian<uint32_t>(static_cast<uint32_t>(kShardPageBytes),
                              to + internal::kHeaderPageBytesAt);
  const Uuid uuid = internal::ShardUuid(index_digest);
  std::copy(uuid.bytes().begin(), uuid.bytes().end(), to + internal::kHeaderUuidAt);
  StoreLittleEndian<int64_t>(plan.file_bytes, to + internal::kHeaderFileBytesAt);
  StoreLittleEndian<int64_t>(records(), to + internal::kHeaderRecordsAt);
  StoreLittleEndian<uint64_t>(keys_.size(), to + internal::kHeaderKeyBytesAt);
  StoreLittleEndian<uint32_t>(options_.classes, to + internal::kHeaderClassesAt);
  StoreLittleEndian<uint32_t>(static_cast<uint32_t>(options_.rungs.size()),
                              to + internal::kHeaderRungCountAt);
  for (size_t i = 0; i < options_.rungs.size(); ++i) {
    StoreLittleEndian<uint32_t>(static_cast<uint32_t>(options_.rungs[i]),
                                to + internal::kHeaderRungsAt + 4 * i);
  }
  for (size_t i = 0; i < sections_.size(); ++i) {
    StoreLittleEndian<uint64_t>(sections_[i].size(), to + internal::kHeaderSectionsAt + 8 * i);
  }
  index_digest.copy(to + internal::kHeaderIndexDigestAt, index_digest.size());
  options_.split.copy(to + internal::kHeaderSplitAt, options_.split.size());
  if (is_annotated()) {
    StoreLittleEndian<uint32_t>(static_cast<uint32_t>(options_.media),
                                to + internal::kHeaderMediaAt);
    StoreLittleEndian<uint64_t>(annotations_.size(), to + internal::kHeaderAnnotationBytesAt);
  }
  StoreLittleEndian<uint32_t>(Crc32c(absl::string_view(page).substr(0, internal::kHeaderCrcAt)),
                              to + internal::kHeaderCrcAt);
  return page;
}

internal::ShardCounts ShardWriter::Counts() const {
  internal::ShardCounts counts;
  counts.version = is_annotated() ? kShardVersionAnnotated : kShardVersion;
  counts.records = records();
  counts.key_bytes = static_cast<int64_t>(keys_.size());
  counts.annotation_bytes = static_cast<int64_t>(annotations_.size());
  for (const std::string& section : sections_) {
    counts.section_bytes.push_back(static_cast<int64_t>(section.size()));
  }
  return counts;
}

absl::StatusOr<ShardSummary> ShardWriter::Finish(WritableFile& file) {
  if (pictures_.empty()) {
    return FailedPrecondition(Reason::kWrongState, "shard: must have a picture");
  }
  const internal::ShardPlan plan = internal::PlanShard(Counts());
  const std::string index = Index();
  const Sha256Digest digest = Sha256Of(index);
  const absl::string_view index_digest(reinterpret_cast<const char*>(digest.data()), digest.size());
  BlockSink sink(file);
  CVT_RETURN_IF_ERROR(sink.Append(HeaderPage(plan, index_digest)));
  CVT_RETURN_IF_ERROR(sink.Append(index));
  for (size_t i = 0; i < sections_.size(); ++i) {
    CVT_RETURN_IF_ERROR(sink.Append(sections_[i]));
    CVT_RETURN_IF_ERROR(
        sink.PadTo(i + 1 < sections_.size() ? plan.sections[i + 1].offset : plan.footer_at));
  }
  CVT_RETURN_IF_ERROR(sink.AppendFooter());

  ShardSummary summary;
  summary.uuid = internal::ShardUuid(index_digest).ToString();
  summary.records = records();
  summary.file_bytes = plan.file_bytes;
  summary.digest = sink.Digest();
  pictures_.clear();
  keys_.clear();
  source_digests_.clear();
  annotations_.clear();
  for (std::string& section : sections_) section.clear();
  return summary;
}

}  // namespace cvtrain::formats
