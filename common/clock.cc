#include "common/clock.h"

#include <time.h>

#include "absl/time/clock.h"

namespace cvtrain {
namespace {

class SystemClock : public Clock {
 public:
  absl::Time WallNow() const override { return absl::Now(); }

  absl::Duration SteadyNow() const override {
    timespec now = {};
    // Goes on while the machine sleeps, as the other side of a lease does.
    clock_gettime(CLOCK_BOOTTIME, &now);
    return absl::DurationFromTimespec(now);
  }
};

}  // namespace

const Clock& RealClock() {
  static const auto* const clock = new SystemClock;
  return *clock;
}

}  // namespace cvtrain
