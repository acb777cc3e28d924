#ifndef CVTRAIN_TESTS_SUPPORT_FAKE_CLOCK_H_
#define CVTRAIN_TESTS_SUPPORT_FAKE_CLOCK_H_

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock.h"

namespace cvtrain::testing {

// A clock that stands still until it is told otherwise. Thread-safe.
class FakeClock : public Clock {
 public:
  // Starts on 2024-05-01T00:00:00Z, with a steady time that is not zero, so that
  // code which confuses the two is seen.
  FakeClock() = default;
  explicit FakeClock(absl::Time wall) : wall_(wall) {}

  absl::Time WallNow() const override ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return wall_;
  }
  absl::Duration SteadyNow() const override ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return steady_;
  }

  // Moves both times; `by` must not be negative.
  void Advance(absl::Duration by) ABSL_LOCKS_EXCLUDED(mu_);
  // The wall clock steps, forward or back; steady time does not notice.
  void SetWall(absl::Time wall) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  mutable absl::Mutex mu_;
  absl::Time wall_ ABSL_GUARDED_BY(mu_) = absl::FromUnixSeconds(1'714'521'600);
  absl::Duration steady_ ABSL_GUARDED_BY(mu_) = absl::Seconds(1'000);
};

}  // namespace cvtrain::testing

#endif  // CVTRAIN_TESTS_SUPPORT_FAKE_CLOCK_H_
