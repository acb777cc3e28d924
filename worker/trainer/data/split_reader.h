#ifndef CVTRAIN_WORKER_TRAINER_DATA_SPLIT_READER_H_
#define CVTRAIN_WORKER_TRAINER_DATA_SPLIT_READER_H_

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
#include "worker/trainer/data/shard_provider.h"

namespace cvtrain::trainer {

// The pictures of one split by position, whatever shards they lie in. A shard is
// fetched and mapped when a picture of it is first asked for. Thread-safe.
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

  // Asks for the shards of these pictures that are not here, in this order, as far as may be.
  void Prefetch(absl::Span<const int64_t> positions);

  // `position` is in [0, images()). Waits for the shard the first time. Errors of
  // ShardProvider::GetShard() and ShardReader::Open(); DATA_LOSS (SHARD_BAD) if
  // the shard is not the one that the data set lists. They stay.
  absl::StatusOr<Picture> Find(int64_t position);

 private:
  struct Shard {
    int32_t index = 0;
    int64_t first_image = 0;
    int64_t images = 0;

    absl::Mutex mu;
    absl::Status status ABSL_GUARDED_BY(mu);
    std::unique_ptr<MappedFile> file ABSL_GUARDED_BY(mu);
    std::unique_ptr<formats::ShardReader> reader ABSL_GUARDED_BY(mu);
  };

  SplitReader(ShardProvider& shards, std::string split)
      : shards_(shards), split_(std::move(split)) {}

  Shard& ShardOf(int64_t position) const;
  absl::Status Open(Shard& shard) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard.mu);

  ShardProvider& shards_;
  const std::string split_;
  int64_t images_ = 0;
  // By first image; constant after Create().
  std::vector<std::unique_ptr<Shard>> by_position_;
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_DATA_SPLIT_READER_H_
