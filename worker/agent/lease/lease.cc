#include "worker/agent/lease/lease.h"

#include <algorithm>

namespace cvtrain::worker {

void Lease::Begin(const LeaseTimes& times, absl::Duration sent) {
  times_ = times;
  ever_confirmed_ = true;
  confirmed_ = std::max(confirmed_, sent);
  active_ = true;
  renewal_due_ = sent;
  sequence_ = 0;
  waiting_.clear();
}

int64_t Lease::Renew(absl::Duration now) {
  waiting_.push_back({.sequence = ++sequence_, .sent = now});
  if (waiting_.size() > kRenewalsMax) waiting_.pop_front();
  renewal_due_ = now + times_.renew_interval;
  return sequence_;
}

bool Lease::Confirm(int64_t sequence) {
  while (!waiting_.empty() && waiting_.front().sequence < sequence) waiting_.pop_front();
  if (waiting_.empty() || waiting_.front().sequence != sequence) return false;
  confirmed_ = std::max(confirmed_, waiting_.front().sent);
  waiting_.pop_front();
  return true;
}

void Lease::Suspend() {
  active_ = false;
  waiting_.clear();
}

LeaseStanding Lease::StandingAt(absl::Duration now) const {
  if (!ever_confirmed_) return LeaseStanding::kNone;
  const absl::Duration age = now - confirmed_;
  if (age >= times_.duration + times_.orphan_limit) return LeaseStanding::kOrphaned;
  if (age >= times_.duration) return LeaseStanding::kExpired;
  if (age >= kSuspectIntervals * times_.renew_interval) return LeaseStanding::kSuspect;
  return LeaseStanding::kCurrent;
}

bool Lease::RenewalDue(absl::Duration now) const { return active_ && now >= renewal_due_; }

absl::Duration Lease::NextChange(absl::Duration now) const {
  absl::Duration next = active_ ? std::max(now, renewal_due_) : absl::InfiniteDuration();
  if (!ever_confirmed_) return next;
  for (const absl::Duration age : {kSuspectIntervals * times_.renew_interval, times_.duration,
                                   times_.duration + times_.orphan_limit}) {
    if (confirmed_ + age > now) next = std::min(next, confirmed_ + age);
  }
  return next;
}

absl::Duration Lease::AgeAt(absl::Duration now) const {
  return ever_confirmed_ ? now - confirmed_ : absl::InfiniteDuration();
}

}  // namespace cvtrain::worker
