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
  std::vector<int32_t> wanted;
  for (const int64_t position : positions) {
    Shard& shard = ShardOf(position);
    if (!seen.insert(shard.index).second) continue;
    if (!shard.mu.TryLock()) continue;  // a decoding thread is asking for it
    if (shard.reader == nullptr && shard.status.ok()) wanted.push_back(shard.index);
    shard.mu.Unlock();
    if (wanted.size() == ShardProvider::kPrefetchMax) break;
  }
  shards_.Prefetch(wanted);
}

absl::StatusOr<SplitReader::Picture> SplitReader::Find(int64_t position) {
  Shard& shard = ShardOf(position);
  // Decoding threads wait here for a shard that one of them fetches.
  absl::MutexLock lock(&shard.mu);
  if (shard.reader == nullptr && shard.status.ok()) shard.status = Open(shard);
  CVT_RETURN_IF_ERROR(shard.status);
  return Picture{.shard = shard.reader.get(), .record = position - shard.first_image};
}

absl::Status SplitReader::Open(Shard& shard) const {
  CVT_ASSIGN_OR_RETURN(UniqueFd fd, shards_.GetShard(shard.index));
  CVT_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Map(std::move(fd)));
  shard.file = std::make_unique<MappedFile>(std::move(file));
  const std::string name = absl::StrCat("shard ", shard.index, " of split ", split_);
  CVT_ASSIGN_OR_RETURN(auto reader, formats::ShardReader::Open(shard.file->bytes(), name));
  if (reader->info().records != shard.images || reader->info().split != split_) {
    return DataLoss(Reason::kShardBad,
                    absl::StrCat(name, ": has ", reader->info().records, " pictures of split ",
                                 reader->info().split, ", the data set lists ", shard.images));
  }
  shard.reader = std::move(reader);
  return absl::OkStatus();
}

}  // namespace cvtrain::trainer
