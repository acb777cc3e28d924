#ifndef CVTRAIN_COMMON_CLOCK_H_
#define CVTRAIN_COMMON_CLOCK_H_

#include "absl/time/time.h"

namespace cvtrain {

// Where time comes from. Everything outside common/ receives a `const Clock&`,
// so tests and the simulation decide what time it is.
//
// A clock only tells the time; waiting is thread.h's business. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;

  // Calendar time, for people and records. May jump in either direction.
  virtual absl::Time WallNow() const = 0;

  // Time since an arbitrary start, for intervals and leases. Never goes back.
  virtual absl::Duration SteadyNow() const = 0;
};

// The machine's clock. Lives as long as the process.
const Clock& RealClock();

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_CLOCK_H_
