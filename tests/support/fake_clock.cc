#include "tests/support/fake_clock.h"

#include "common/status_macros.h"

namespace cvtrain::testing {

void FakeClock::Advance(absl::Duration by) {
  CVT_CHECK(by >= absl::ZeroDuration()) << "steady time never goes back";
  absl::MutexLock lock(&mu_);
  wall_ += by;
  steady_ += by;
}

void FakeClock::SetWall(absl::Time wall) {
  absl::MutexLock lock(&mu_);
  wall_ = wall;
}

}  // namespace cvtrain::testing
