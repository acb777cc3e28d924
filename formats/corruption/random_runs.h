#ifndef CVTRAIN_FORMATS_CORRUPTION_RANDOM_RUNS_H_
#define CVTRAIN_FORMATS_CORRUPTION_RANDOM_RUNS_H_

#include <cstddef>

#include "absl/types/span.h"
#include "common/random.h"

// Many random numbers at a time. Internal to the folder.
namespace cvtrain::formats {

// So many values at a time: few enough for the cache.
inline constexpr size_t kRandomRun = 512;

// Standard normal numbers, by Box and Muller from 24-bit uniform ones: of every kRandomRun values
// the first half are cosines, the second sines. Logarithm, sine and cosine are sums of their
// series, good to a float's last places: vectors can be made of those, and they are the same on
// every machine, which the C library's are not.
void FillNormal(KeyedStream& stream, absl::Span<float> values);

// Uniform in [low, high), in steps of 2^-24 of the interval.
void FillUniform(KeyedStream& stream, float low, float high, absl::Span<float> values);

// In [0, n), each equally likely up to 2^-32; n is at least 1.
inline uint32_t DrawBelow(KeyedStream& stream, uint32_t n) {
  return static_cast<uint32_t>((uint64_t{stream.NextU32()} * n) >> 32);
}

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_CORRUPTION_RANDOM_RUNS_H_
