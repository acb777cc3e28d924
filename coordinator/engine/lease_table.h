#ifndef CVTRAIN_COORDINATOR_ENGINE_LEASE_TABLE_H_
#define CVTRAIN_COORDINATOR_ENGINE_LEASE_TABLE_H_

#include <cstddef>
#include <optional>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/time/time.h"
#include "common/ids.h"

namespace cvtrain::coordinator {

// Which workers have been heard of lately.
//
// A lease lasts ten renewal intervals; after three the worker is suspect and gets no new work.
// Renewals are not journaled, so after a start nobody is declared lost until all had time to come
// back. Expiry is a hint for scheduling; what keeps late reports out is the lease generation.
//
//   ready --3 intervals--> suspect --10 intervals, grace over--> expired (named once) -> removed
//     ^------- renewal ------'
//
// Times are steady time. Thread-compatible.
class LeaseTable {
 public:
  struct Options {
    // The least time between renewals; with many workers it grows, so that all together renew
    // `renewals_per_second_max` times a second.
    absl::Duration renew_interval_min = absl::Seconds(1);
    double renewals_per_second_max = 1000;
    int intervals_suspect = 3;
    int intervals_lease = 10;
    // After a start nobody expires for min(grace_max, lease + known workers / reconnects_per_s).
    absl::Duration grace_max = absl::Minutes(5);
    double reconnects_per_second = 50;
  };

  enum class Standing { kReady, kSuspect, kExpired };

  explicit LeaseTable(const Options& options) : options_(options) {}

  // Begins anew with `workers`, as if all had renewed at `now`.
  void Start(const std::vector<WorkerName>& workers, absl::Duration now);

  // Adds the worker if it is not there.
  void Renew(const WorkerName& worker, absl::Duration now) { renewed_[worker] = now; }
  void Remove(const WorkerName& worker) { renewed_.erase(worker); }

  // kExpired for a worker that is not there.
  Standing StandingOf(const WorkerName& worker, absl::Duration now) const;

  // When it was last heard of; nullopt for a worker that is not there.
  std::optional<absl::Duration> RenewedAt(const WorkerName& worker) const;

  // Workers whose lease has expired, by name; they stay until Remove().
  std::vector<WorkerName> Expired(absl::Duration now) const;

  absl::Duration renew_interval() const;
  absl::Duration lease_duration() const { return renew_interval() * options_.intervals_lease; }
  size_t size() const { return renewed_.size(); }

 private:
  Options options_;
  absl::Duration grace_until_ = -absl::InfiniteDuration();
  absl::btree_map<WorkerName, absl::Duration> renewed_;
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_ENGINE_LEASE_TABLE_H_
