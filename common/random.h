#ifndef CVTRAIN_COMMON_RANDOM_H_
#define CVTRAIN_COMMON_RANDOM_H_

#include <array>
#include <cstdint>
#include <initializer_list>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"

namespace cvtrain {

// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
// SC 2011): 128 random bits as a function of a counter and a key.
std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// A stream of random numbers that is a function of its key and nothing else:
// the same on every machine, in every process, in any order of construction.
//
//   KeyedStream stream("augment/v1", {seed, epoch, step, logical_rank, position});
//
// The tag names the purpose, so that two users of one key draw independently; it
// ends in a version, because the numbers that follow a tag are part of what
// `plan_version` pins. Never change what a tag yields; add a new tag.
//
// Version 1 of the derivation: (k0, k1) are the halves of FNV-1a-64 of the tag,
// c = 0; for word i (from 0) of n: b = Philox((lo(w) ^ c0, hi(w) ^ c1, i + 1, n),
// (k0, k1)); (k0, k1) = (b0, b1); (c0, c1) = (b2, b3). Output block j (from 0) is
// Philox((lo(j), hi(j), c0, c1), (k0, k1)), read as four words in order.
//
// Integers, floats, permutations are equal on all platforms. Normal() goes
// through the C library's log, sin and cos, and is equal only on one version of
// it. Cheap to make (one Philox per word). Thread-compatible.
class KeyedStream {
 public:
  // Needs at most five words.
  KeyedStream(absl::string_view tag, absl::Span<const uint64_t> words);
  KeyedStream(absl::string_view tag, std::initializer_list<uint64_t> words)
      : KeyedStream(tag, absl::MakeConstSpan(words.begin(), words.size())) {}

  uint32_t NextU32();
  // Two words, the first one low.
  uint64_t NextU64();
  // In [0, 1): the top 53 (24) bits of NextU64() (NextU32()), as a multiple of 2^-53 (2^-24).
  double Uniform01();
  float Uniform01Float();
  // In [low, high); `low` if they are equal.
  double Uniform(double low, double high) { return low + (high - low) * Uniform01(); }
  // In [0, n), without bias (Lemire's method on NextU64()); `n` must be positive.
  uint64_t UniformInt(uint64_t n);
  // True with probability `p`.
  bool Bernoulli(double p) { return Uniform01() < p; }
  // Mean 0, deviation 1, by Box and Muller; the second of a pair is kept for the next call.
  double Normal();

  // Fisher-Yates, from the last element down.
  template <typename T>
  void Shuffle(absl::Span<T> values) {
    for (size_t i = values.size(); i > 1; --i) {
      using std::swap;
      swap(values[i - 1], values[static_cast<size_t>(UniformInt(i))]);
    }
  }
  template <typename Container>
  void Shuffle(Container& values) {
    Shuffle(absl::MakeSpan(values));
  }

 private:
  std::array<uint32_t, 2> key_;
  std::array<uint32_t, 2> stream_;  // upper half of the counter
  uint64_t block_ = 0;              // number of the next block
  std::array<uint32_t, 4> words_ = {};
  int next_ = 4;  // index into words_ of the next word; 4: none left
  bool has_spare_ = false;
  double spare_ = 0;
};

// Chance that nobody needs to repeat: UUIDs, jitter. Training never uses it.
// Thread-safe.
class Random {
 public:
  virtual ~Random() = default;
  virtual uint64_t NextU64() = 0;
  // In [0, 1).
  double Uniform01() { return static_cast<double>(NextU64() >> 11) * 0x1p-53; }
};

// The kernel's generator. Lives as long as the process.
Random& SystemRandom();

// Repeats for tests and the simulation: NextU64() of KeyedStream("random/v1", {seed}).
class SeededRandom : public Random {
 public:
  explicit SeededRandom(uint64_t seed) : stream_("random/v1", {seed}) {}
  uint64_t NextU64() override ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return stream_.NextU64();
  }

 private:
  absl::Mutex mu_;
  KeyedStream stream_ ABSL_GUARDED_BY(mu_);
};

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_RANDOM_H_
