#include "worker/agent/origin/shard_origins.h"

#include <utility>

#include "common/errors.h"
#include "common/log.h"

namespace cvtrain::worker {

ShardOrigins::ShardOrigins(std::vector<std::unique_ptr<ShardOrigin>> origins, const Clock& clock,
                           TelemetryRegistry& telemetry)
    : clock_(clock),
      bytes_(telemetry.NewCounter({.name = "cvtrain_worker_origin_bytes_total",
                                   .help = "Bytes of shards from the places of --shards-from"})),
      failures_(telemetry.NewCounter({.name = "cvtrain_worker_origin_failures_total",
                                      .help = "Times that such a place did not answer"})) {
  for (auto& origin : origins) places_.push_back({.origin = std::move(origin)});
}

absl::Status ShardOrigins::Fetch(const ContentKey& key, uint64_t offset, uint64_t length,
                                 const ByteSink& sink, const StopToken& stop, uint64_t* delivered) {
  *delivered = 0;
  for (Place& place : places_) {
    if (IsPaused(place)) continue;
    absl::Status taken;
    const absl::Status fetched = place.origin->Fetch(
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
    if (!absl::IsNotFound(fetched)) NoteFailure(place, fetched);
  }
  return absl::OkStatus();
}

bool ShardOrigins::IsPaused(const Place& place) const {
  absl::MutexLock lock(&mu_);
  return clock_.SteadyNow() < place.ask_again;
}

void ShardOrigins::NoteFailure(Place& place, const absl::Status& status) {
  failures_.Increment();
  CVT_LOG(kWarning, "a place of --shards-from does not answer; others are asked for a while")
      .Field("place", place.origin->name())
      .Field("status", status);
  absl::MutexLock lock(&mu_);
  place.ask_again = clock_.SteadyNow() + kPause;
}

}  // namespace cvtrain::worker
