#ifndef CVTRAIN_FORMATS_LADDER_PICTURE_CACHE_H_
#define CVTRAIN_FORMATS_LADDER_PICTURE_CACHE_H_

#include <cstdint>
#include <deque>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "formats/image/image.h"
#include "formats/shard/shard_reader.h"

namespace cvtrain::formats {

// Decoded pictures in memory, as far as a budget goes: what epoch after epoch is cut from the same
// rung is decoded once. An entry is exactly what a decoder would give again, so no pixel of a batch
// depends on what the cache holds.
//
// Epochs walk over all pictures in an order that is new each time, so of a set that does not fit,
// the least recently used picture is as likely to be next as any other: a full cache keeps what it
// has, and gives up only what no recent epoch has asked for, such as the rungs of a past stage.
//
// Thread-safe.
class PictureCache {
 public:
  // One decoding of one picture.
  struct Key {
    const ShardReader* shard = nullptr;
    int64_t record = 0;
    int rung = 0;
    int scale_denominator = 1;

    friend bool operator==(const Key& a, const Key& b) {
      return a.shard == b.shard && a.record == b.record && a.rung == b.rung &&
             a.scale_denominator == b.scale_denominator;
    }
    template <typename H>
    friend H AbslHashValue(H state, const Key& key) {
      return H::combine(std::move(state), key.shard, key.record, key.rung, key.scale_denominator);
    }
  };

  // Of decoded pixels; 0 keeps nothing.
  explicit PictureCache(int64_t budget_bytes) : budget_bytes_(budget_bytes) {}

  // Null if it is not there. The picture stays valid while it is held.
  std::shared_ptr<const Image> Find(const Key& key) ABSL_LOCKS_EXCLUDED(mu_);

  // Makes room for a picture that is about to be decoded; false if there is none. What was reserved
  // is used by Insert() or given back by Release().
  bool Reserve(int64_t bytes) ABSL_LOCKS_EXCLUDED(mu_);
  void Release(int64_t bytes) ABSL_LOCKS_EXCLUDED(mu_);

  // Keeps `image`, for which `reserved_bytes`, at least its size, were reserved.
  void Insert(const Key& key, std::shared_ptr<const Image> image, int64_t reserved_bytes)
      ABSL_LOCKS_EXCLUDED(mu_);

  // A new epoch begins. What no epoch has asked for since kEpochsKept epochs may go.
  void BeginEpoch() ABSL_LOCKS_EXCLUDED(mu_);
  static constexpr int64_t kEpochsKept = 4;

  struct Facts {
    int64_t bytes = 0;
    int64_t pictures = 0;
    int64_t hits = 0;
    int64_t misses = 0;
  };
  Facts facts() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Entry {
    std::shared_ptr<const Image> image;
    int64_t bytes = 0;
    int64_t last_used = 0;  // epoch
  };

  // Gives up old entries until `bytes` fit, looking at a few only.
  void MakeRoom(int64_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const int64_t budget_bytes_;

  mutable absl::Mutex mu_;
  absl::flat_hash_map<Key, Entry> entries_ ABSL_GUARDED_BY(mu_);
  // Entries in the order in which they will be looked at for being old.
  std::deque<Key> queue_ ABSL_GUARDED_BY(mu_);
  int64_t epoch_ ABSL_GUARDED_BY(mu_) = 0;
  // Of entries and of what is reserved.
  int64_t bytes_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t hits_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t misses_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_LADDER_PICTURE_CACHE_H_
