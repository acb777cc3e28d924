#ifndef CVTRAIN_CLIENT_SIMULATE_TOLD_H_
#define CVTRAIN_CLIENT_SIMULATE_TOLD_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace cvtrain::client {

// What a policy is told of how long jobs take.
enum class Told {
  kOracle,    // what will happen
  kDeclared,  // what the jobs declare of their future
  kMeasured,  // epochs that are left, at the speed of this moment
  kWrong,     // what is declared, times a factor of the job's own that nobody knows
};

// "oracle"
absl::string_view ToldName(Told told);

struct ToldOptions {
  Told told = Told::kDeclared;
  // kWrong: deviation of the factors' logarithm, and which factors.
  double sigma = 0.25;
  uint64_t seed = 1;

  // By how much a forecast is usually wrong: what a policy is told of that.
  double error() const { return told == Told::kWrong ? sigma : 0; }
};

// The factor of job `index`: log-normal, of median 1, the same for the same seed; 1 unless kWrong.
double ToldFactor(const ToldOptions& options, size_t index);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_SIMULATE_TOLD_H_
