#ifndef CVTRAIN_WORKER_TRAINER_COLLECTIVE_COMBINE_H_
#define CVTRAIN_WORKER_TRAINER_COLLECTIVE_COMBINE_H_

// Private to this folder.

#include <c10/core/ScalarType.h>

#include <cstdint>

#include "absl/types/span.h"

namespace cvtrain::trainer {

enum class Combination { kSum, kMax };

// out[i] = parts[0][i] + parts[1][i] + ..., in that order, or their maximum, for `count` elements
// of `type`: float32, float64 or int64. `out` may be one of the parts. Throws c10::Error for
// another type.
void Combine(Combination combination, c10::ScalarType type, absl::Span<const char* const> parts,
             int64_t count, char* out);

// The sum of the parts in the place of each of them.
void SumInPlace(absl::Span<float* const> parts, int64_t count);

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_COLLECTIVE_COMBINE_H_
