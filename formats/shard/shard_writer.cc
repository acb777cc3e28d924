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

namespace cvtrain::formats {
namespace {

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
  for (size_t i = 0; i < options_.rungs.size(); ++i) {
    CVT_CHECK(options_.rungs[i] > (i == 0 ? 0 : options_.rungs[i - 1]) &&
              options_.rungs[i] <= limits::kImageSideMax);
  }
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
  const int shorter = std::min(picture.size.width, picture.size.height);
  if (shorter < 1 || std::max(picture.size.width, picture.size.height) > limits::kImageSideMax) {
    return Broken(picture, absl::StrCat("a side must be in 1 to ", limits::kImageSideMax, ", got ",
                                        picture.size.width, "x", picture.size.height));
  }
  if (picture.source_orientation < 1 || picture.source_orientation > 8) {
    return Broken(picture, "the orientation must be in 1 to 8");
  }
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
  const auto section_room = [&](size_t section, absl::string_view bytes) {
    return static_cast<int64_t>(sections_[section].size() + bytes.size()) <= kShardSectionBytesMax;
  };
  int64_t added = 0;
  bool fits = records() < kShardRecordsMax && section_room(options_.rungs.size(), picture.source);
  for (size_t i = 0; i < picture.rungs.size(); ++i) {
    fits = fits && section_room(i, picture.rungs[i]);
    added += static_cast<int64_t>(picture.rungs[i].size());
  }
  added += static_cast<int64_t>(picture.source.size() + picture.key.size()) + (1 << 10);
  if (!fits || pending_bytes() + added > static_cast<int64_t>(limits::kShardSizeBytesMax)) {
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
  for (size_t i = 0; i < sections_.size(); ++i) {
    const absl::string_view bytes = i < picture.rungs.size() ? picture.rungs[i] : picture.source;
    record.offsets[i] = static_cast<uint32_t>(sections_[i].size());
    record.lengths[i] = static_cast<uint32_t>(bytes.size());
    sections_[i].append(bytes.data(), bytes.size());
  }
  return absl::OkStatus();
}

int64_t ShardWriter::pending_bytes() const {
  int64_t bytes =
      static_cast<int64_t>(keys_.size() + source_digests_.size()) +
      records() * static_cast<int64_t>(internal::kRecordFixedBytes + 8 * sections_.size()) +
      kShardPageBytes;
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
  }
  pad();
  index += keys_;
  pad();
  index += source_digests_;
  pad();
  return index;
}

std::string ShardWriter::HeaderPage(const internal::ShardPlan& plan,
                                    absl::string_view index_digest) const {
  std::string page(kShardPageBytes, '\0');
  char* to = page.data();
  kShardMagic.copy(to + internal::kHeaderMagicAt, kShardMagic.size());
  StoreLittleEndian<uint32_t>(kShardVersion, to + internal::kHeaderVersionAt);
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
  StoreLittleEndian<uint32_t>(Crc32c(absl::string_view(page).substr(0, internal::kHeaderCrcAt)),
                              to + internal::kHeaderCrcAt);
  return page;
}

absl::StatusOr<ShardSummary> ShardWriter::Finish(WritableFile& file) {
  if (pictures_.empty()) {
    return FailedPrecondition(Reason::kWrongState, "shard: must have a picture");
  }
  std::vector<int64_t> section_bytes;
  for (const std::string& section : sections_) {
    section_bytes.push_back(static_cast<int64_t>(section.size()));
  }
  const internal::ShardPlan plan =
      internal::PlanShard(records(), static_cast<int64_t>(keys_.size()), section_bytes);
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
  for (std::string& section : sections_) section.clear();
  return summary;
}

}  // namespace cvtrain::formats
