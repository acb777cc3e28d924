#include "worker/trainer/model/norm_kernels.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

// One source for all instruction sets: vectors of the language, sixteen floats each, which the
// compiler makes of whatever registers there are.
#define CVT_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#define CVT_INLINE inline __attribute__((always_inline))

namespace cvtrain::trainer::kernels {
namespace {

constexpr int64_t kLanes = 16;
typedef float Floats __attribute__((vector_size(64)));
typedef int32_t Ints __attribute__((vector_size(64)));

// Sums are kept in floats over so many numbers of a lane, then in doubles.
constexpr int64_t kBlock = 512;

CVT_INLINE void Load(const float* from, Floats& out) { std::memcpy(&out, from, sizeof(out)); }
CVT_INLINE void Store(const Floats& value, float* to) { std::memcpy(to, &value, sizeof(value)); }

CVT_INLINE void Fill(float value, Floats& out) { out = Floats{} + value; }

// dy where y is more than zero.
CVT_INLINE void Mask(const Floats& y, Floats& dy) {
  const Ints positive = y > Floats{};
  Ints bits;
  std::memcpy(&bits, &dy, sizeof(bits));
  bits &= positive;
  std::memcpy(&dy, &bits, sizeof(bits));
}

CVT_INLINE void Rectify(Floats& value) {
  const Floats copy = value;
  Mask(copy, value);
}

CVT_INLINE double Total(const Floats& lanes) {
  double total = 0;
  for (int64_t i = 0; i < kLanes; ++i) total += static_cast<double>(lanes[i]);
  return total;
}

CVT_INLINE float MaskOne(const float* y, float dy) { return y == nullptr || *y > 0 ? dy : 0; }

template <bool kAdd, bool kRelu>
CVT_INLINE void NormalizeBody(const float* x, const float* added, float scale, float shift,
                              int64_t count, float* y) {
  Floats scales;
  Floats shifts;
  Fill(scale, scales);
  Fill(shift, shifts);
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    Floats value;
    Load(x + i, value);
    value = value * scales + shifts;
    if constexpr (kAdd) {
      Floats other;
      Load(added + i, other);
      value += other;
    }
    if constexpr (kRelu) Rectify(value);
    Store(value, y + i);
  }
  for (; i < count; ++i) {
    float value = x[i] * scale + shift;
    if constexpr (kAdd) value += added[i];
    if constexpr (kRelu) value = value > 0 ? value : 0;
    y[i] = value;
  }
}

template <bool kAdd, bool kRelu>
CVT_INLINE void NormalizeRowsBody(const float* x, const float* added, const float* scale,
                                  const float* shift, int64_t rows, int64_t channels, float* y) {
  for (int64_t r = 0; r < rows; ++r) {
    int64_t i = 0;
    for (; i + kLanes <= channels; i += kLanes) {
      Floats value;
      Floats scales;
      Floats shifts;
      Load(x + i, value);
      Load(scale + i, scales);
      Load(shift + i, shifts);
      value = value * scales + shifts;
      if constexpr (kAdd) {
        Floats other;
        Load(added + i, other);
        value += other;
      }
      if constexpr (kRelu) Rectify(value);
      Store(value, y + i);
    }
    for (; i < channels; ++i) {
      float value = x[i] * scale[i] + shift[i];
      if constexpr (kAdd) value += added[i];
      if constexpr (kRelu) value = value > 0 ? value : 0;
      y[i] = value;
    }
    x += channels;
    y += channels;
    if constexpr (kAdd) added += channels;
  }
}

template <bool kRelu>
CVT_INLINE void SumPlaneGradientsBody(const float* dy, const float* y, const float* x,
                                      int64_t count, float mean, double* sum, double* product) {
  Floats means;
  Fill(mean, means);
  double total = 0;
  double totals = 0;
  int64_t i = 0;
  while (i + kLanes <= count) {
    Floats sums = {};
    Floats products = {};
    const int64_t end = std::min(count - kLanes, i + kBlock * kLanes);
    for (; i <= end; i += kLanes) {
      Floats dz;
      Floats value;
      Load(dy + i, dz);
      Load(x + i, value);
      if constexpr (kRelu) {
        Floats out;
        Load(y + i, out);
        Mask(out, dz);
      }
      sums += dz;
      products += dz * (value - means);
    }
    total += Total(sums);
    totals += Total(products);
  }
  for (; i < count; ++i) {
    const float dz = MaskOne(kRelu ? y + i : nullptr, dy[i]);
    total += static_cast<double>(dz);
    totals += static_cast<double>(dz * (x[i] - mean));
  }
  *sum += total;
  *product += totals;
}

// Channels [first, first + kLanes) of rows.
template <bool kRelu>
CVT_INLINE void SumRowGradientLanes(const float* dy, const float* y, const float* x, int64_t rows,
                                    int64_t channels, const float* mean, double* sums,
                                    double* products) {
  Floats means;
  Load(mean, means);
  for (int64_t r = 0; r < rows;) {
    Floats sum = {};
    Floats product = {};
    const int64_t end = std::min(rows, r + kBlock);
    for (; r < end; ++r) {
      Floats dz;
      Floats value;
      Load(dy + r * channels, dz);
      Load(x + r * channels, value);
      if constexpr (kRelu) {
        Floats out;
        Load(y + r * channels, out);
        Mask(out, dz);
      }
      sum += dz;
      product += dz * (value - means);
    }
    for (int64_t i = 0; i < kLanes; ++i) {
      sums[i] += static_cast<double>(sum[i]);
      products[i] += static_cast<double>(product[i]);
    }
  }
}

template <bool kRelu, bool kKeep>
CVT_INLINE void BackwardBody(const float* dy, const float* y, const float* x, float a, float b,
                             float c, int64_t count, float* dx, float* dz) {
  Floats as;
  Floats bs;
  Floats cs;
  Fill(a, as);
  Fill(b, bs);
  Fill(c, cs);
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    Floats gradient;
    Floats value;
    Load(dy + i, gradient);
    Load(x + i, value);
    if constexpr (kRelu) {
      Floats out;
      Load(y + i, out);
      Mask(out, gradient);
    }
    if constexpr (kKeep) Store(gradient, dz + i);
    Store(as * gradient + (bs * value + cs), dx + i);
  }
  for (; i < count; ++i) {
    const float gradient = MaskOne(kRelu ? y + i : nullptr, dy[i]);
    if constexpr (kKeep) dz[i] = gradient;
    dx[i] = a * gradient + (b * x[i] + c);
  }
}

template <bool kRelu, bool kKeep>
CVT_INLINE void BackwardRowsBody(const float* dy, const float* y, const float* x, const float* a,
                                 const float* b, const float* c, int64_t rows, int64_t channels,
                                 float* dx, float* dz) {
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t row = r * channels;
    int64_t i = 0;
    for (; i + kLanes <= channels; i += kLanes) {
      Floats gradient;
      Floats value;
      Floats as;
      Floats bs;
      Floats cs;
      Load(dy + row + i, gradient);
      Load(x + row + i, value);
      Load(a + i, as);
      Load(b + i, bs);
      Load(c + i, cs);
      if constexpr (kRelu) {
        Floats out;
        Load(y + row + i, out);
        Mask(out, gradient);
      }
      if constexpr (kKeep) Store(gradient, dz + row + i);
      Store(as * gradient + (bs * value + cs), dx + row + i);
    }
    for (; i < channels; ++i) {
      const float gradient = MaskOne(kRelu ? y + row + i : nullptr, dy[row + i]);
      if constexpr (kKeep) dz[row + i] = gradient;
      dx[row + i] = a[i] * gradient + (b[i] * x[row + i] + c[i]);
    }
  }
}

}  // namespace

CVT_CLONES void SumPlane(const float* x, int64_t count, float shift, double* sum, double* square) {
  Floats shifts;
  Fill(shift, shifts);
  double total = 0;
  double squares = 0;
  int64_t i = 0;
  while (i + kLanes <= count) {
    Floats lanes = {};
    Floats lane_squares = {};
    const int64_t end = std::min(count - kLanes, i + kBlock * kLanes);
    for (; i <= end; i += kLanes) {
      Floats value;
      Load(x + i, value);
      value -= shifts;
      lanes += value;
      lane_squares += value * value;
    }
    total += Total(lanes);
    squares += Total(lane_squares);
  }
  for (; i < count; ++i) {
    const double value = static_cast<double>(x[i] - shift);
    total += value;
    squares += value * value;
  }
  *sum += total;
  *square += squares;
}

CVT_CLONES void SumRows(const float* x, int64_t rows, int64_t channels, const float* shift,
                        double* sums, double* squares) {
  int64_t first = 0;
  for (; first + kLanes <= channels; first += kLanes) {
    Floats shifts;
    Load(shift + first, shifts);
    for (int64_t r = 0; r < rows;) {
      Floats sum = {};
      Floats square = {};
      const int64_t end = std::min(rows, r + kBlock);
      for (; r < end; ++r) {
        Floats value;
        Load(x + r * channels + first, value);
        value -= shifts;
        sum += value;
        square += value * value;
      }
      for (int64_t i = 0; i < kLanes; ++i) {
        sums[first + i] += static_cast<double>(sum[i]);
        squares[first + i] += static_cast<double>(square[i]);
      }
    }
  }
  for (; first < channels; ++first) {
    for (int64_t r = 0; r < rows; ++r) {
      const double value = static_cast<double>(x[r * channels + first] - shift[first]);
      sums[first] += value;
      squares[first] += value * value;
    }
  }
}

CVT_CLONES void NormalizePlane(const float* x, const float* added, float scale, float shift,
                               bool relu, int64_t count, float* y) {
  if (added != nullptr && relu) return NormalizeBody<true, true>(x, added, scale, shift, count, y);
  if (added != nullptr) return NormalizeBody<true, false>(x, added, scale, shift, count, y);
  if (relu) return NormalizeBody<false, true>(x, added, scale, shift, count, y);
  NormalizeBody<false, false>(x, added, scale, shift, count, y);
}

CVT_CLONES void NormalizeRows(const float* x, const float* added, const float* scale,
                              const float* shift, bool relu, int64_t rows, int64_t channels,
                              float* y) {
  if (added != nullptr && relu) {
    return NormalizeRowsBody<true, true>(x, added, scale, shift, rows, channels, y);
  }
  if (added != nullptr) {
    return NormalizeRowsBody<true, false>(x, added, scale, shift, rows, channels, y);
  }
  if (relu) return NormalizeRowsBody<false, true>(x, added, scale, shift, rows, channels, y);
  NormalizeRowsBody<false, false>(x, added, scale, shift, rows, channels, y);
}

CVT_CLONES void SumPlaneGradients(const float* dy, const float* y, const float* x, int64_t count,
                                  float mean, double* sum, double* product) {
  if (y != nullptr) return SumPlaneGradientsBody<true>(dy, y, x, count, mean, sum, product);
  SumPlaneGradientsBody<false>(dy, y, x, count, mean, sum, product);
}

CVT_CLONES void SumRowGradients(const float* dy, const float* y, const float* x, int64_t rows,
                                int64_t channels, const float* mean, double* sums,
                                double* products) {
  int64_t first = 0;
  for (; first + kLanes <= channels; first += kLanes) {
    if (y != nullptr) {
      SumRowGradientLanes<true>(dy + first, y + first, x + first, rows, channels, mean + first,
                                sums + first, products + first);
    } else {
      SumRowGradientLanes<false>(dy + first, nullptr, x + first, rows, channels, mean + first,
                                 sums + first, products + first);
    }
  }
  for (; first < channels; ++first) {
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t at = r * channels + first;
      const float dz = MaskOne(y == nullptr ? nullptr : y + at, dy[at]);
      sums[first] += static_cast<double>(dz);
      products[first] += static_cast<double>(dz * (x[at] - mean[first]));
    }
  }
}

CVT_CLONES void BackwardPlane(const float* dy, const float* y, const float* x, float a, float b,
                              float c, int64_t count, float* dx, float* dz) {
  if (y != nullptr && dz != nullptr) {
    return BackwardBody<true, true>(dy, y, x, a, b, c, count, dx, dz);
  }
  if (y != nullptr) return BackwardBody<true, false>(dy, y, x, a, b, c, count, dx, dz);
  if (dz != nullptr) return BackwardBody<false, true>(dy, y, x, a, b, c, count, dx, dz);
  BackwardBody<false, false>(dy, y, x, a, b, c, count, dx, dz);
}

CVT_CLONES void BackwardRows(const float* dy, const float* y, const float* x, const float* a,
                             const float* b, const float* c, int64_t rows, int64_t channels,
                             float* dx, float* dz) {
  if (y != nullptr && dz != nullptr) {
    return BackwardRowsBody<true, true>(dy, y, x, a, b, c, rows, channels, dx, dz);
  }
  if (y != nullptr) {
    return BackwardRowsBody<true, false>(dy, y, x, a, b, c, rows, channels, dx, dz);
  }
  if (dz != nullptr) {
    return BackwardRowsBody<false, true>(dy, y, x, a, b, c, rows, channels, dx, dz);
  }
  BackwardRowsBody<false, false>(dy, y, x, a, b, c, rows, channels, dx, dz);
}

}  // namespace cvtrain::trainer::kernels
