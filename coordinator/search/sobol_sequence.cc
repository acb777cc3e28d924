#include "coordinator/search/sobol_sequence.h"

#include <array>
#include <cstddef>

namespace cvtrain::coordinator {
namespace {

constexpr size_t kBits = 32;

// A line of the file: degree and coefficients of the primitive polynomial, the first directions.
struct Polynomial {
  uint32_t degree;
  uint32_t coefficients;
  std::array<uint32_t, 6> first;
};

// Dimensions 2 to 16.
constexpr std::array<Polynomial, kSobolDimensionsMax - 1> kPolynomials = {{
    {1, 0, {1}},
    {2, 1, {1, 3}},
    {3, 1, {1, 3, 1}},
    {3, 2, {1, 1, 1}},
    {4, 1, {1, 1, 3, 3}},
    {4, 4, {1, 3, 5, 13}},
    {5, 2, {1, 1, 5, 5, 17}},
    {5, 4, {1, 1, 5, 5, 5}},
    {5, 7, {1, 1, 7, 11, 19}},
    {5, 11, {1, 1, 5, 1, 1}},
    {5, 13, {1, 1, 1, 3, 11}},
    {5, 14, {1, 3, 5, 5, 31}},
    {6, 1, {1, 3, 3, 9, 7, 49}},
    {6, 13, {1, 1, 1, 15, 21, 21}},
    {6, 16, {1, 3, 1, 13, 27, 49}},
}};

using Directions = std::array<uint32_t, kBits>;

constexpr Directions DirectionsOf(size_t dimension) {
  Directions v = {};
  if (dimension == 0) {  // van der Corput's
    for (size_t i = 0; i < kBits; ++i) v[i] = uint32_t{1} << (kBits - 1 - i);
    return v;
  }
  const Polynomial& polynomial = kPolynomials[dimension - 1];
  const size_t s = polynomial.degree;
  for (size_t i = 0; i < s; ++i) v[i] = polynomial.first[i] << (kBits - 1 - i);
  for (size_t i = s; i < kBits; ++i) {
    v[i] = v[i - s] ^ (v[i - s] >> s);
    for (size_t k = 1; k < s; ++k) {
      if ((polynomial.coefficients >> (s - 1 - k)) & 1) v[i] ^= v[i - k];
    }
  }
  return v;
}

constexpr std::array<Directions, kSobolDimensionsMax> kDirections = [] {
  std::array<Directions, kSobolDimensionsMax> all = {};
  for (size_t i = 0; i < all.size(); ++i) all[i] = DirectionsOf(i);
  return all;
}();

}  // namespace

uint32_t SobolPoint(uint32_t index, int dimension) {
  const Directions& v = kDirections[static_cast<size_t>(dimension)];
  uint32_t gray = index ^ (index >> 1);
  uint32_t point = 0;
  for (size_t bit = 0; gray != 0; ++bit, gray >>= 1) {
    if (gray & 1) point ^= v[bit];
  }
  return point;
}

}  // namespace cvtrain::coordinator
