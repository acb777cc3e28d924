#ifndef CVTRAIN_WORKER_TRAINER_DATA_SPLIT_READER_H_
#define CVTRAIN_WORKER_TRAINER_DATA_SPLIT_READER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "common/mapped_file.h"
#include "cvtrain/v1/dataset.pb.h"
#include "formats/shard/shard_reader.h"
#include "worker/trainer/data/section_set.h"
#include "worker/trainer/data/shard_provider.h"

namespace cvtrain::trainer {

// The pictures of one split by position, whatever shards they lie in. A shard is fetched and mapped
// when a picture of it is first asked for, and only the sections that are read: those that are
// expected to be, at once, the others as they are required.
//
// Thread-safe. Waits only where something has to be fetched: what is here is found without a lock.
class SplitReader {
 public:
  struct Picture {
    formats::ShardReader* shard;  // valid as long as the SplitReader
    int64_t record;
  };

  // INVALID_ARGUMENT (RECIPE_INVALID) if `dataset` has no such split, or its
  // shards leave a gap. `shards` must outlive this.
  static absl::StatusOr<std::unique_ptr<SplitReader>> Create(
      const cvtrain::v1::DatasetVersion& dataset, const std::string& split, ShardProvider& shards);

  int64_t images() const { return images_; }
  int shard_count() const { return static_cast<int>(by_position_.size()); }

  // From now on a shard that is fetched comes with these sections. At first: with all.
  void Expect(SectionSet sections) { expected_.store(sections, std::memory_order_relaxed); }

  // Asks for the shards of these pictures that are not here, in this order, as far as may be.
  void Prefetch(absl::Span<const int64_t> positions);

  // `position` is in [0, images()). Waits for the shard the first time. Errors of
  // ShardProvider::GetShard() and ShardReader::Open(); DATA_LOSS (SHARD_BAD) if
  // the shard is not the one that the data set lists. They stay.
  absl::StatusOr<Picture> Find(int64_t position);

  // Waits until that section of the picture's shard is here; `*picture`, which Find() has
  // returned, is the same picture afterwards. Errors as of Find().
  absl::Status Require(int64_t position, int section, Picture* picture);
  bool IsHere(int64_t position, int section) const {
    return ShardOf(position).here.load(std::memory_order_acquire).Contains(section);
  }

  // Brings these sections of a shard, by its place in the split, ahead of who will require them.
  // Returns the bytes of sections that came. Errors as of Find(), but they do not stay: who
  // requires the shard asks again.
  absl::StatusOr<int64_t> Fetch(int shard, SectionSet sections);

 private:
  // A file that has come, and what reads it.
  struct Opened {
    MappedFile file;
    std::unique_ptr<formats::ShardReader> reader;
  };

  struct Shard {
    int32_t index = 0;
    int64_t first_image = 0;
    int64_t images = 0;

    // What readers find without a lock; written with it.
    std::atomic<formats::ShardReader*> reader{nullptr};
    std::atomic<SectionSet> here{SectionSet()};

    absl::Mutex mu;
    absl::Status status ABSL_GUARDED_BY(mu);
    // The newest is the last. Others stay: pictures refer to them.
    std::vector<std::unique_ptr<Opened>> opened ABSL_GUARDED_BY(mu);
  };

  SplitReader(ShardProvider& shards, std::string split)
      : shards_(shards), split_(std::move(split)) {}

  Shard& ShardOf(int64_t position) const;
  SectionSet expected() const { return expected_.load(std::memory_order_relaxed); }
  // Gets the shard with what it has and `sections`.
  absl::Status Get(Shard& shard, SectionSet sections) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard.mu);
  // Makes a file that has come, with sections `has` in it, the one that is read.
  absl::Status Take(Shard& shard, UniqueFd fd, SectionSet has) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard.mu);
  absl::StatusOr<std::unique_ptr<Opened>> Open(const Shard& shard, UniqueFd fd) const;

  ShardProvider& shards_;
  const std::string split_;
  int64_t images_ = 0;
  std::atomic<SectionSet> expected_{SectionSet::All()};
  // By first image; constant after Create().
  std::vector<std::unique_ptr<Shard>> by_position_;
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_DATA_SPLIT_READER_H_
