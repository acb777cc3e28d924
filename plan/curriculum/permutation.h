#ifndef CVTRAIN_PLAN_CURRICULUM_PERMUTATION_H_
#define CVTRAIN_PLAN_CURRICULUM_PERMUTATION_H_

#include <array>
#include <cstdint>

namespace cvtrain::plan {

// A keyed permutation of [0, n), evaluated at an index: the order of an epoch
// without a list, a buffer or a state, so that resuming is a seek.
//
// A Feistel network of six rounds over pairs of digits to the base `side`, the
// smallest with side^2 >= n (at least 16: tiny sets would mix badly), walked
// along its cycle until the value is below n: hardly more than one evaluation
// on average. Its output is part of kPlanVersion: trials that run depend on
// every value of it.
//
// Immutable.
class Permutation {
 public:
  struct Key {
    uint64_t seed = 0;
    uint64_t epoch = 0;
  };

  // `size` is at least 1.
  Permutation(uint64_t size, Key key);

  uint64_t size() const { return size_; }

  // `index` < size().
  uint64_t At(uint64_t index) const;

  // The index whose value is `value` < size().
  uint64_t IndexOf(uint64_t value) const;

 private:
  static constexpr int kRounds = 6;

  uint64_t Encrypt(uint64_t block) const;
  uint64_t Decrypt(uint64_t block) const;

  uint64_t size_;
  uint64_t side_;
  std::array<uint64_t, kRounds> round_keys_;
};

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_CURRICULUM_PERMUTATION_H_
