#include "plan/curriculum/permutation.h"

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

int HalfBitsFor(uint64_t size) {
  int half_bits = 1;
  while (half_bits < 31 && (uint64_t{1} << (2 * half_bits)) < size) {
    ++half_bits;
  }
  return half_bits;
}

}  // namespace

Permutation::Permutation(uint64_t size, Key key)
    : size_(size),
      half_bits_(HalfBitsFor(size)),
      half_mask_((uint64_t{1} << half_bits_) - 1),
      round_keys_{} {
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
  uint64_t left = block >> half_bits_;
  uint64_t right = block & half_mask_;
  for (uint64_t round_key : round_keys_) {
    const uint64_t next = left ^ (Mix(right + round_key) & half_mask_);
    left = right;
    right = next;
  }
  return (left << half_bits_) | right;
}

uint64_t Permutation::Decrypt(uint64_t block) const {
  uint64_t left = block >> half_bits_;
  uint64_t right = block & half_mask_;
  for (auto key = round_keys_.rbegin(); key != round_keys_.rend(); ++key) {
    const uint64_t previous = right ^ (Mix(left + *key) & half_mask_);
    right = left;
    left = previous;
  }
  return (left << half_bits_) | right;
}

}  // namespace cvtrain::plan
