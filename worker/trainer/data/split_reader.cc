#include "worker/trainer/data/split_reader.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/status_macros.h"

namespace cvtrain::trainer {

absl::StatusOr<std::unique_ptr<SplitReader>> SplitReader::Create(
    const cvtrain::v1::DatasetVersion& dataset, const std::string& split, ShardProvider& shards) {
  auto reader = std::unique_ptr<SplitReader>(new SplitReader(shards, split));
  for (const cvtrain::v1::Shard& listed : dataset.shards()) {
    if (listed.split() != split) continue;
    auto shard = std::make_unique<Shard>();
    shard->index = listed.index();
    shard->first_image = listed.first_image();
    shard->images = listed.images();
    reader->by_position_.push_back(std::move(shard));
  }
  std::sort(reader->by_position_.begin(), reader->by_position_.end(),
            [](const auto& a, const auto& b) { return a->first_image < b->first_image; });
  for (const auto& shard : reader->by_position_) {
    if (shard->first_image != reader->images_) {
      return InvalidArgument(Reason::kRecipeInvalid,
                             absl::StrCat(dataset.name(), ": shards of split ", split,
                                          " leave a gap at picture ", reader->images_));
    }
    reader->images_ += shard->images;
  }
  if (reader->images_ == 0) {
    return InvalidArgument(Reason::kRecipeInvalid,
                           absl::StrCat(dataset.name(), ": has no split ", split));
  }
  return reader;
}

SplitReader::Shard& SplitReader::ShardOf(int64_t position) const {
  CVT_CHECK(position >= 0 && position < images_) << position << " of " << images_;
  const auto after = std::upper_bound(
      by_position_.begin(), by_position_.end(), position,
      [](int64_t wanted, const auto& shard) { return wanted < shard->first_image; });
  return **std::prev(after);
}

void SplitReader::Prefetch(absl::Span<const int64_t> positions) {
  std::set<int32_t> seen;
  std::vector<ShardParts> wanted;
  for (const int64_t position : positions) {
    Shard& shard = ShardOf(position);
    if (!seen.insert(shard.index).second) continue;
    if (!shard.mu.TryLock()) continue;  // a decoding thread is asking for it
    if (shard.opened.empty() && shard.status.ok()) {
      wanted.push_back({.index = shard.index, .sections = expected()});
    }
    shard.mu.Unlock();
    if (wanted.size() == ShardProvider::kPrefetchMax) break;
  }
  shards_.Prefetch(wanted);
}

absl::StatusOr<SplitReader::Picture> SplitReader::Find(int64_t position) {
  Shard& shard = ShardOf(position);
  formats::ShardReader* reader = shard.reader.load(std::memory_order_acquire);
  if (reader == nullptr) {
    // Decoding threads wait here for a shard that one of them fetches.
    absl::MutexLock lock(&shard.mu);
    if (shard.opened.empty() && shard.status.ok()) shard.status = Get(shard, expected());
    CVT_RETURN_IF_ERROR(shard.status);
    reader = shard.opened.back()->reader.get();
  }
  return Picture{.shard = reader, .record = position - shard.first_image};
}

absl::Status SplitReader::Require(int64_t position, int section, Picture* picture) {
  Shard& shard = ShardOf(position);
  // The newest file has all that ever came; the one that the picture was found in may not.
  const bool is_here = shard.here.load(std::memory_order_acquire).Contains(section) &&
                       shard.reader.load(std::memory_order_acquire) == picture->shard;
  if (is_here) return absl::OkStatus();
  absl::MutexLock lock(&shard.mu);
  if (!shard.here.load(std::memory_order_relaxed).Contains(section) && shard.status.ok()) {
    shard.status = Get(shard, SectionSet::Of(section) | expected());
  }
  CVT_RETURN_IF_ERROR(shard.status);
  picture->shard = shard.opened.back()->reader.get();
  return absl::OkStatus();
}

absl::StatusOr<int64_t> SplitReader::Fetch(int shard_number, SectionSet sections) {
  Shard& shard = *by_position_[static_cast<size_t>(shard_number)];
  const SectionSet before = shard.here.load(std::memory_order_acquire);
  if (before.Contains(sections)) return 0;
  // Without the lock: who requires something of the shard meanwhile asks for it itself.
  const SectionSet wanted = before | sections;
  CVT_ASSIGN_OR_RETURN(UniqueFd fd,
                       shards_.GetShard({.index = shard.index, .sections = wanted, .ahead = true}));
  absl::MutexLock lock(&shard.mu);
  CVT_RETURN_IF_ERROR(shard.status);
  CVT_RETURN_IF_ERROR(Take(shard, std::move(fd), wanted));
  const std::vector<formats::ShardRecord::Extent>& extents =
      shard.opened.back()->reader->info().sections;
  int64_t bytes = 0;
  for (size_t s = 0; s < extents.size(); ++s) {
    const int section = static_cast<int>(s);
    if (sections.Contains(section) && !before.Contains(section)) bytes += extents[s].length;
  }
  return bytes;
}

absl::Status SplitReader::Get(Shard& shard, SectionSet sections) const {
  const SectionSet wanted = shard.here.load(std::memory_order_relaxed) | sections;
  CVT_ASSIGN_OR_RETURN(UniqueFd fd, shards_.GetShard({.index = shard.index, .sections = wanted}));
  return Take(shard, std::move(fd), wanted);
}

absl::Status SplitReader::Take(Shard& shard, UniqueFd fd, SectionSet has) const {
  const bool known = !shard.opened.empty() && shard.opened.back()->file.IsOf(fd);
  if (!known) {
    CVT_ASSIGN_OR_RETURN(std::unique_ptr<Opened> opened, Open(shard, std::move(fd)));
    // In between no section counts as here: none is read from the wrong file.
    shard.here.store(SectionSet(), std::memory_order_release);
    shard.opened.push_back(std::move(opened));
    shard.reader.store(shard.opened.back()->reader.get(), std::memory_order_release);
  } else {
    has |= shard.here.load(std::memory_order_relaxed);
  }
  // After the reader: who sees the sections reads the file that has them.
  shard.here.store(has, std::memory_order_release);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<SplitReader::Opened>> SplitReader::Open(const Shard& shard,
                                                                       UniqueFd fd) const {
  CVT_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Map(std::move(fd)));
  auto opened = std::make_unique<Opened>(Opened{.file = std::move(file), .reader = nullptr});
  const std::string name = absl::StrCat("shard ", shard.index, " of split ", split_);
  CVT_ASSIGN_OR_RETURN(opened->reader, formats::ShardReader::Open(opened->file.bytes(), name));
  const formats::ShardInfo& info = opened->reader->info();
  if (info.records != shard.images || info.split != split_) {
    return DataLoss(Reason::kShardBad,
                    absl::StrCat(name, ": has ", info.records, " pictures of split ", info.split,
                                 ", the data set lists ", shard.images));
  }
  return opened;
}

}  // namespace cvtrain::trainer
