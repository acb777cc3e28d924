#include "coordinator/engine/lease_table.h"

#include <algorithm>

namespace cvtrain::coordinator {

void LeaseTable::Start(const std::vector<WorkerName>& workers, absl::Duration now) {
  renewed_.clear();
  for (const WorkerName& worker : workers) renewed_[worker] = now;
  const absl::Duration reconnect =
      absl::Seconds(static_cast<double>(workers.size()) / options_.reconnects_per_second);
  grace_until_ = now + std::min(options_.grace_max, lease_duration() + reconnect);
}

LeaseTable::Standing LeaseTable::StandingOf(const WorkerName& worker, absl::Duration now) const {
  const auto found = renewed_.find(worker);
  if (found == renewed_.end()) return Standing::kExpired;
  const absl::Duration silent = now - found->second;
  if (silent >= lease_duration() && now >= grace_until_) return Standing::kExpired;
  if (silent >= renew_interval() * options_.intervals_suspect) return Standing::kSuspect;
  return Standing::kReady;
}

std::optional<absl::Duration> LeaseTable::RenewedAt(const WorkerName& worker) const {
  const auto found = renewed_.find(worker);
  if (found == renewed_.end()) return std::nullopt;
  return found->second;
}

std::vector<WorkerName> LeaseTable::Expired(absl::Duration now) const {
  std::vector<WorkerName> expired;
  for (const auto& [worker, renewed] : renewed_) {
    if (StandingOf(worker, now) == Standing::kExpired) expired.push_back(worker);
  }
  return expired;
}

absl::Duration LeaseTable::renew_interval() const {
  return std::max(options_.renew_interval_min, absl::Seconds(static_cast<double>(renewed_.size()) /
                                                             options_.renewals_per_second_max));
}

}  // namespace cvtrain::coordinator
