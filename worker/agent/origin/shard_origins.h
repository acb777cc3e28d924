#ifndef CVTRAIN_WORKER_AGENT_ORIGIN_SHARD_ORIGINS_H_
#define CVTRAIN_WORKER_AGENT_ORIGIN_SHARD_ORIGINS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/telemetry.h"
#include "common/thread.h"
#include "worker/agent/origin/shard_origin.h"

namespace cvtrain::worker {

// The places that a worker asks for shards, in the operator's order. Thread-safe.
class ShardOrigins {
 public:
  // A place that does not answer is left alone for so long.
  static constexpr absl::Duration kPause = absl::Seconds(30);

  // `clock` and `telemetry` must outlive it.
  ShardOrigins(std::vector<std::unique_ptr<ShardOrigin>> origins, const Clock& clock,
               TelemetryRegistry& telemetry);

  // Delivers bytes of a shard from the places that have it, one going on where another one broke
  // off, and sets `*delivered` to how many came: fewer than `length` if no place had the rest,
  // which is no error. Errors of the sink, and CANCELLED (STOPPING).
  absl::Status Fetch(const ContentKey& key, uint64_t offset, uint64_t length, const ByteSink& sink,
                     const StopToken& stop, uint64_t* delivered);

 private:
  bool IsPaused(size_t place) const ABSL_LOCKS_EXCLUDED(mu_);
  void Pause(size_t place) ABSL_LOCKS_EXCLUDED(mu_);

  const std::vector<std::unique_ptr<ShardOrigin>> places_;
  const Clock& clock_;
  Counter& bytes_;
  Counter& failures_;
  mutable absl::Mutex mu_;
  // When each may be asked, in steady time.
  std::vector<absl::Duration> ask_again_ ABSL_GUARDED_BY(mu_);
};

}  // namespace cvtrain::worker

#endif  // CVTRAIN_WORKER_AGENT_ORIGIN_SHARD_ORIGINS_H_
