#ifndef CVTRAIN_TESTS_UNIT_PLAN_AUGMENT_CHI_SQUARE_H_
#define CVTRAIN_TESTS_UNIT_PLAN_AUGMENT_CHI_SQUARE_H_

#include <cmath>
#include <map>

namespace cvtrain::plan::testing {

// How far counts are from all `kinds` being equally likely: chi-square, less its mean, over its
// standard deviation. Of draws that are, it is under 4 in all but one of 10,000 tries.
template <typename Key>
double UnevennessOf(const std::map<Key, int>& counts, int kinds) {
  double total = 0;
  for (const auto& [key, count] : counts) total += count;
  const double expected = total / kinds;
  double chi_square = expected * (kinds - static_cast<double>(counts.size()));  // those never drawn
  for (const auto& [key, count] : counts) {
    chi_square += (count - expected) * (count - expected) / expected;
  }
  const double freedom = kinds - 1;
  return (chi_square - freedom) / std::sqrt(2 * freedom);
}

}  // namespace cvtrain::plan::testing

#endif  // CVTRAIN_TESTS_UNIT_PLAN_AUGMENT_CHI_SQUARE_H_
