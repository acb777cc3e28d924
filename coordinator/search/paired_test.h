#ifndef CVTRAIN_COORDINATOR_SEARCH_PAIRED_TEST_H_
#define CVTRAIN_COORDINATOR_SEARCH_PAIRED_TEST_H_

#include "absl/types/span.h"

namespace cvtrain::coordinator {

// P(T > t) of Student's t with `degrees` of freedom, at least 1: the finite series of Abramowitz
// and Stegun, 26.7.3 and 26.7.4. Pure; thread-safe.
double StudentUpperTail(double t, int degrees);

// Whether the mean of `differences` is above 0 with this confidence: a one-sided paired t-test.
// False for fewer than two of them; where all are the same, whether that is above 0.
bool IsClearlyPositive(absl::Span<const double> differences, double confidence);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_SEARCH_PAIRED_TEST_H_
