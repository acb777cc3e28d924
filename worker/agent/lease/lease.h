#ifndef CVTRAIN_WORKER_AGENT_LEASE_LEASE_H_
#define CVTRAIN_WORKER_AGENT_LEASE_LEASE_H_

#include <cstdint>
#include <deque>

#include "absl/time/time.h"

namespace cvtrain::worker {

// Times of a lease, as the coordinator says them in its Welcome.
struct LeaseTimes {
  // Between two renewals.
  absl::Duration renew_interval = absl::Seconds(1);
  // From the sending of the last renewal that was answered.
  absl::Duration duration = absl::Seconds(10);
  // How long the ranks go on computing after the lease expired.
  absl::Duration orphan_limit = absl::Minutes(10);

  friend bool operator==(const LeaseTimes&, const LeaseTimes&) = default;
};

// What a worker may do, by how long ago the coordinator confirmed its lease.
//
//            answer in time          3 intervals          `duration`         + `orphan_limit`
//   kNone ------------------> kCurrent ------> kSuspect ------> kExpired ------> kOrphaned
//                                 ^                |                |                |
//                                 +----------------+----------------+----------------+
//                                        answer to a renewal (Confirm)
enum class LeaseStanding {
  kNone,      // never confirmed: nothing to compute, nothing to publish
  kCurrent,   // may compute and publish
  kSuspect,   // the same, but the coordinator gives no new work
  kExpired,   // may compute, must not publish
  kOrphaned,  // must stop computing
};

// The lease of this worker, as a function of the renewals sent and answered.
//
// It has no clock: `now` is time of Clock::SteadyNow(). It counts from when an
// answered renewal was *sent*, so that the worker never believes in its lease
// longer than the coordinator does. The lease is one for the whole worker;
// whether one attempt's generation still counts is the coordinator's to say.
//
// Thread-compatible.
class Lease {
 public:
  // Renewals without an answer after which the coordinator calls us suspect.
  static constexpr int kSuspectIntervals = 3;

  Lease() = default;

  // The coordinator has welcomed us, in answer to a Hello sent at `sent`:
  // confirms the lease, and makes a renewal due at once.
  void Begin(const LeaseTimes& times, absl::Duration sent);

  // A renewal goes out; returns its sequence number, dense from 1 in a session.
  int64_t Renew(absl::Duration now);

  // The coordinator answered the renewal with this number. False, and no
  // change, for a number that is not waiting for an answer.
  bool Confirm(int64_t sequence);

  // The session broke: no renewal will be answered any more. The lease itself
  // goes on until it expires.
  void Suspend();

  LeaseStanding StandingAt(absl::Duration now) const;
  bool RenewalDue(absl::Duration now) const;

  // When StandingAt() or RenewalDue() may next change if nothing happens;
  // infinite if never.
  absl::Duration NextChange(absl::Duration now) const;

  // Since the last confirmation; infinite if there was none.
  absl::Duration AgeAt(absl::Duration now) const;

  const LeaseTimes& times() const { return times_; }

 private:
  struct Renewal {
    int64_t sequence;
    absl::Duration sent;
  };
  // Unanswered renewals that are remembered; an answer to an older one is late anyway.
  static constexpr size_t kRenewalsMax = 64;

  LeaseTimes times_;
  bool ever_confirmed_ = false;
  absl::Duration confirmed_ = absl::ZeroDuration();  // sending time of what was answered last
  bool active_ = false;                              // a session carries renewals
  absl::Duration renewal_due_ = absl::ZeroDuration();
  int64_t sequence_ = 0;
  std::deque<Renewal> waiting_;
};

}  // namespace cvtrain::worker

#endif  // CVTRAIN_WORKER_AGENT_LEASE_LEASE_H_
