#ifndef CVTRAIN_COORDINATOR_SCHEDULER_WATER_FILLING_H_
#define CVTRAIN_COORDINATOR_SCHEDULER_WATER_FILLING_H_

#include <vector>

#include "absl/types/span.h"

namespace cvtrain::coordinator {

// Someone who wants a part of something that can be divided.
struct Claim {
  double weight = 1;  // more than 0
  double most = 0;    // that it can use, not negative
};

// Divides `amount` so that the smallest part for its weight is as large as can be, then the next
// smallest, and so on (max-min fairness; Bertsekas and Gallager, "Data Networks", 6.5.2): claim i
// gets min(most, weight x level) for one level. What nobody can use is left. O(n log n), exact,
// without a solver. Parts are in the order of `claims`.
std::vector<double> FillWater(absl::Span<const Claim> claims, double amount);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_SCHEDULER_WATER_FILLING_H_
