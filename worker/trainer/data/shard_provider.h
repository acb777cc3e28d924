#ifndef CVTRAIN_WORKER_TRAINER_DATA_SHARD_PROVIDER_H_
#define CVTRAIN_WORKER_TRAINER_DATA_SHARD_PROVIDER_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/unique_fd.h"
#include "worker/trainer/data/section_set.h"

namespace cvtrain::trainer {

// What is wanted of a shard.
struct ShardParts {
  // Position of the shard in the data set's version.
  int32_t index = 0;
  // At least one.
  SectionSet sections = SectionSet::All();
  // Nobody waits for it yet: what somebody waits for comes first.
  bool ahead = false;
};

// Where the shards of an attempt's data set come from: the agent, in production.
// Thread-safe.
class ShardProvider {
 public:
  virtual ~ShardProvider() = default;

  // Asks for shards that GetShard() will soon be called for, all at once and without waiting. At
  // most kPrefetchMax: each holds a descriptor until then.
  virtual void Prefetch(absl::Span<const ShardParts> shards) = 0;
  static constexpr size_t kPrefetchMax = 64;

  // Waits for a file of the shard's full size in which its index and those sections have been
  // verified; the rest may be missing. Sections that are asked for later come into the same file,
  // where who has mapped it sees them, or with all others into a new one. A file can be read as
  // long as its descriptor is open.
  //
  // UNAVAILABLE (SHARD_NOT_FOUND)  it is damaged or gone where it comes from
  // INTERNAL (INTERNAL)            the agent cannot get it; the message says why
  // UNAVAILABLE (PEER_GONE)        the agent is gone
  // CANCELLED (STOPPING)           the attempt has ended
  virtual absl::StatusOr<UniqueFd> GetShard(const ShardParts& shard) = 0;

  // Makes waiting and later calls of GetShard() return CANCELLED (STOPPING), until the next
  // attempt: who waits in them is about to be joined.
  virtual void CancelWaits() = 0;
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_DATA_SHARD_PROVIDER_H_
