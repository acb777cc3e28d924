#include "plan/curriculum/permutation.h"

#include <algorithm>
#include <cmath>

#include "common/random.h"
#include "common/status_macros.h"

namespace cvtrain::plan {
namespace {

// The finalizer of SplitMix64: every input bit reaches every output bit.
uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

// The smallest base whose two-digit numbers are enough for `size`.
uint64_t SideFor(uint64_t size) {
  auto side = static_cast<uint64_t>(std::sqrt(static_cast<double>(size)));
  while (side * side >= size && side > 0) --side;
  while (side * side < size) ++side;
  return std::max<uint64_t>(side, 16);
}

// A keyed function of one digit to another, both below `side` < 2^32.
uint64_t Round(uint64_t digit, uint64_t round_key, uint64_t side) {
  return ((Mix(digit + round_key) >> 32) * side) >> 32;
}

}  // namespace

Permutation::Permutation(uint64_t size, Key key)
    : size_(size), side_(SideFor(size)), round_keys_{} {
  CVT_CHECK(size >= 1 && size <= uint64_t{1} << 62) << "size " << size;
  KeyedStream stream("epoch_order/v1", {key.seed, key.epoch});
  for (uint64_t& round_key : round_keys_) {
    round_key = stream.NextU64();
  }
}

uint64_t Permutation::At(uint64_t index) const {
  CVT_CHECK(index < size_) << index << " of " << size_;
  uint64_t value = Encrypt(index);
  while (value >= size_) {
    value = Encrypt(value);
  }
  return value;
}

uint64_t Permutation::IndexOf(uint64_t value) const {
  CVT_CHECK(value < size_) << value << " of " << size_;
  uint64_t index = Decrypt(value);
  while (index >= size_) {
    index = Decrypt(index);
  }
  return index;
}

uint64_t Permutation::Encrypt(uint64_t block) const {
  uint64_t left = block / side_;
  uint64_t right = block % side_;
  for (uint64_t round_key : round_keys_) {
    uint64_t next = left + Round(right, round_key, side_);
    if (next >= side_) next -= side_;
    left = right;
    right = next;
  }
  return left * side_ + right;
}

uint64_t Permutation::Decrypt(uint64_t block) const {
  uint64_t left = block / side_;
  uint64_t right = block % side_;
  for (auto key = round_keys_.rbegin(); key != round_keys_.rend(); ++key) {
    const uint64_t added = Round(left, *key, side_);
    const uint64_t previous = right >= added ? right - added : right + side_ - added;
    right = left;
    left = previous;
  }
  return left * side_ + right;
}

}  // namespace cvtrain::plan
