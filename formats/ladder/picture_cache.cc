#include "formats/ladder/picture_cache.h"

#include <utility>

namespace cvtrain::formats {
namespace {

// Entries that one reservation looks at: a full cache of current pictures must not cost a walk.
constexpr int kLookedAtMax = 8;

}  // namespace

std::shared_ptr<const Image> PictureCache::Find(const Key& key) {
  absl::MutexLock lock(&mu_);
  const auto found = entries_.find(key);
  if (found == entries_.end()) {
    ++misses_;
    return nullptr;
  }
  ++hits_;
  found->second.last_used = epoch_;
  return found->second.image;
}

bool PictureCache::Reserve(int64_t bytes) {
  if (bytes > budget_bytes_) return false;
  absl::MutexLock lock(&mu_);
  MakeRoom(bytes);
  if (bytes_ + bytes > budget_bytes_) return false;
  bytes_ += bytes;
  return true;
}

void PictureCache::Release(int64_t bytes) {
  absl::MutexLock lock(&mu_);
  bytes_ -= bytes;
}

void PictureCache::Insert(const Key& key, std::shared_ptr<const Image> image,
                          int64_t reserved_bytes) {
  absl::MutexLock lock(&mu_);
  const auto [entry, is_new] = entries_.try_emplace(
      key, Entry{.image = std::move(image), .bytes = reserved_bytes, .last_used = epoch_});
  if (is_new) {
    queue_.push_back(key);
  } else {
    bytes_ -= reserved_bytes;  // another thread has decoded the same
  }
}

void PictureCache::BeginEpoch() {
  absl::MutexLock lock(&mu_);
  ++epoch_;
}

PictureCache::Facts PictureCache::facts() const {
  absl::MutexLock lock(&mu_);
  return {.bytes = bytes_,
          .pictures = static_cast<int64_t>(entries_.size()),
          .hits = hits_,
          .misses = misses_};
}

void PictureCache::MakeRoom(int64_t bytes) {
  for (int i = 0; i < kLookedAtMax && bytes_ + bytes > budget_bytes_ && !queue_.empty(); ++i) {
    const Key key = queue_.front();
    queue_.pop_front();
    const auto found = entries_.find(key);
    if (found->second.last_used + kEpochsKept < epoch_) {
      bytes_ -= found->second.bytes;
      entries_.erase(found);
    } else {
      queue_.push_back(key);
    }
  }
}

}  // namespace cvtrain::formats
