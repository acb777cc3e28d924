#ifndef CVTRAIN_WORKER_TRAINER_DATA_SHARD_BATCH_SOURCE_H_
#define CVTRAIN_WORKER_TRAINER_DATA_SHARD_BATCH_SOURCE_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "common/clock.h"
#include "worker/trainer/data/batch_source.h"
#include "worker/trainer/data/shard_provider.h"

namespace cvtrain::trainer {

struct ShardBatchSourceOptions {
  // Threads that decode. One is enough for small pictures, and leaves the cores to training.
  int decode_threads = 1;
  // Of the decoding threads, 0 to 19: training goes first.
  int nice = 10;
  // Batches that are decoded ahead of training: one that is ready, others on their way.
  int batches_ahead = 3;
  // Decoded training pictures that are kept in memory, bytes; see PictureCache.
  int64_t picture_cache_bytes = 0;
  // Sections of shards that a later stage will read and that are fetched while this one trains,
  // bytes; what this stage reads comes before them, whatever it takes. 0: nothing is fetched before
  // it is asked for.
  int64_t fetch_ahead_bytes = 0;
  // For training_stall().
  const Clock& clock = RealClock();
};

// A BatchSource over the shards of a registered data set: fetches those that the plan asks for,
// picks for each picture the smallest rung of its ladder that holds the crop, decodes, crops,
// resizes and flips; a training picture is jittered and given the operations of its policy.
//
// `context` is copied, what it refers to and `shards` must outlive the source. Errors as of
// BatchSourceFactory.
absl::StatusOr<std::unique_ptr<BatchSource>> NewShardBatchSource(
    const BatchSourceContext& context, ShardProvider& shards,
    const ShardBatchSourceOptions& options);

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_DATA_SHARD_BATCH_SOURCE_H_
