#include "formats/shard/dataset_digest.h"

#include <algorithm>
#include <cstring>
#include <tuple>

#include "common/little_endian.h"
#include "common/sha256.h"
#include "common/status_macros.h"

namespace cvtrain::formats {
namespace {

constexpr absl::string_view kMagic = "cvtrain dataset digest v1\n";
constexpr absl::string_view kAnnotatedMagic = "cvtrain dataset digest v2\n";

void AppendText(absl::string_view text, std::string* to) {
  AppendLittleEndian<uint64_t>(text.size(), to);
  to->append(text.data(), text.size());
}

}  // namespace

void DatasetDigest::Add(absl::string_view split, absl::string_view key, uint32_t label,
                        absl::string_view source_digest, absl::string_view annotation) {
  Entry& entry = entries_.emplace_back();
  CVT_CHECK(source_digest.size() == entry.source.size());
  entry.split = std::string(split);
  entry.key = std::string(key);
  entry.label = label;
  std::memcpy(entry.source.data(), source_digest.data(), entry.source.size());
  entry.annotation = Sha256Of(annotation);
}

std::string DatasetDigest::Finish(const std::vector<std::string>& classes,
                                  const LadderOptions& options) const {
  std::vector<const Entry*> sorted;
  sorted.reserve(entries_.size());
  for (const Entry& entry : entries_) sorted.push_back(&entry);
  std::sort(sorted.begin(), sorted.end(), [](const Entry* a, const Entry* b) {
    return std::tie(a->split, a->key, a->label, a->source, a->annotation) <
           std::tie(b->split, b->key, b->label, b->source, b->annotation);
  });

  const bool plain = options.media == ShardMedia::kPictures && !options.annotated;
  Sha256 digest;
  std::string bytes(plain ? kMagic : kAnnotatedMagic);
  if (!plain) {
    AppendLittleEndian<uint64_t>(static_cast<uint64_t>(options.media), &bytes);
    AppendLittleEndian<uint64_t>(options.annotated ? 1 : 0, &bytes);
  }
  AppendLittleEndian<uint64_t>(options.rungs.size(), &bytes);
  for (const int side : options.rungs) AppendLittleEndian<int64_t>(side, &bytes);
  AppendLittleEndian<int64_t>(options.source_side, &bytes);
  AppendLittleEndian<int64_t>(options.jpeg_quality, &bytes);
  AppendLittleEndian<int64_t>(options.keep_originals ? 1 : 0, &bytes);
  AppendLittleEndian<uint64_t>(classes.size(), &bytes);
  for (const std::string& name : classes) AppendText(name, &bytes);
  AppendLittleEndian<uint64_t>(sorted.size(), &bytes);
  digest.Update(bytes);
  for (const Entry* entry : sorted) {
    bytes.clear();
    AppendText(entry->split, &bytes);
    AppendText(entry->key, &bytes);
    AppendLittleEndian<uint64_t>(entry->label, &bytes);
    bytes.append(reinterpret_cast<const char*>(entry->source.data()), entry->source.size());
    if (!plain) {
      bytes.append(reinterpret_cast<const char*>(entry->annotation.data()),
                   entry->annotation.size());
    }
    digest.Update(bytes);
  }
  return ToHex(digest.Finish());
}

}  // namespace cvtrain::formats
