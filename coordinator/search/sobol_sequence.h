#ifndef CVTRAIN_COORDINATOR_SEARCH_SOBOL_SEQUENCE_H_
#define CVTRAIN_COORDINATOR_SEARCH_SOBOL_SEQUENCE_H_

#include <cstdint>

namespace cvtrain::coordinator {

inline constexpr int kSobolDimensionsMax = 16;

// Coordinate `dimension` (from 0, below kSobolDimensionsMax) of point `index` of Sobol's sequence,
// as a fraction of 2^32. The directions are those of Joe and Kuo, "Constructing Sobol sequences
// with better two-dimensional projections", SIAM J. Sci. Comput. 30 (2008), file
// new-joe-kuo-6.21201; the order is that of the Gray code (Antonov and Saleev 1979), so a prefix of
// 2^m points is the same set as in the order of Sobol. Pure; thread-safe.
uint32_t SobolPoint(uint32_t index, int dimension);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_SEARCH_SOBOL_SEQUENCE_H_
