#include "worker/agent/origin/shard_origins.h"

#include <utility>

#include "common/errors.h"
#include "common/log.h"

namespace cvtrain::worker {

ShardOrigins::ShardOrigins(std::vector<std::unique_ptr<ShardOrigin>> origins, const Clock& clock,
                           TelemetryRegistry& telemetry)
    : places_(std::move(origins)),
      clock_(clock),
      bytes_(telemetry.NewCounter({.name = "cvtrain_worker_origin_bytes_total",
                                   .help = "Bytes of shards from the places of --shards-from"})),
      failures_(telemetry.NewCounter({.name = "cvtrain_worker_origin_failures_total",
                                      .help = "Times that such a place did not answer"})),
      ask_again_(places_.size(), -absl::InfiniteDuration()) {}

absl::Status ShardOrigins::Fetch(const ContentKey& key, uint64_t offset, uint64_t length,
                                 const ByteSink& sink, const StopToken& stop, uint64_t* delivered) {
  *delivered = 0;
  for (size_t i = 0; i < places_.size(); ++i) {
    if (IsPaused(i)) continue;
    absl::Status taken;
    const absl::Status fetched = places_[i]->Fetch(
        key, offset + *delivered, length - *delivered,
        [&](absl::string_view piece) {
          taken = sink(piece);
          if (taken.ok()) {
            *delivered += piece.size();
            bytes_.Increment(static_cast<double>(piece.size()));
          }
          return taken;
        },
        stop);
    if (fetched.ok() || !taken.ok() || absl::IsCancelled(fetched)) return fetched;
    if (absl::IsNotFound(fetched)) continue;
    failures_.Increment();
    CVT_LOG(kWarning, "a shard does not come from a place of --shards-from")
        .Field("place", places_[i]->name())
        .Field("status", fetched);
    if (absl::IsUnavailable(fetched)) Pause(i);
  }
  return absl::OkStatus();
}

bool ShardOrigins::IsPaused(size_t place) const {
  absl::MutexLock lock(&mu_);
  return clock_.SteadyNow() < ask_again_[place];
}

void ShardOrigins::Pause(size_t place) {
  absl::MutexLock lock(&mu_);
  ask_again_[place] = clock_.SteadyNow() + kPause;
}

}  // namespace cvtrain::worker
