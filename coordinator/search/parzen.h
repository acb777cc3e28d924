#ifndef CVTRAIN_COORDINATOR_SEARCH_PARZEN_H_
#define CVTRAIN_COORDINATOR_SEARCH_PARZEN_H_

#include <vector>

#include "absl/types/span.h"
#include "common/random.h"
#include "plan/recipe/search_space.h"

namespace cvtrain::coordinator {

// The density of one parameter over trials, as a mixture: a kernel at each of them, and a prior
// over the whole axis. Bergstra et al., "Algorithms for hyper-parameter optimization" (2011), with
// what Optuna's TPESampler documents as its defaults: a prior of weight 1, kernels as wide as the
// farther of their neighbours, not narrower than the axis over min(100, 1 + kernels); of a choice,
// counts on top of the prior.
//
// Immutable; thread-safe.
class Parzen {
 public:
  // `observations` are on `axis`, with a weight each.
  Parzen(const plan::Axis& axis, absl::Span<const double> observations,
         absl::Span<const double> weights);

  // A point on the axis; of a choice, its index.
  double Draw(KeyedStream& stream) const;
  // Logarithm of the density at `value`; on a grid, of the mass of its point.
  double LogDensity(double value) const;

 private:
  struct Kernel {
    double weight = 0;  // over its own mass inside the axis
    double mean = 0;
    double deviation = 0;
    // Of the normal distribution at both ends of the axis.
    double mass_low = 0;
    double mass_high = 1;
  };

  void AddKernels(absl::Span<const double> observations, absl::Span<const double> weights);

  const plan::Axis axis_;
  std::vector<Kernel> kernels_;     // the prior is the last
  std::vector<double> cumulative_;  // of weights, to draw a kernel by
  std::vector<double> masses_;      // of a choice, by index
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_SEARCH_PARZEN_H_
