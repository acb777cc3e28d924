#include "formats/image/resize_kernels.h"

#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace cvtrain::formats {
namespace {

constexpr int kRowShift = kResizeWeightBits - kResizeMiddleBits;
constexpr int32_t kRowHalf = 1 << (kRowShift - 1);
constexpr int kPixelShift = kResizeWeightBits + kResizeMiddleBits;
constexpr int32_t kPixelHalf = 1 << (kPixelShift - 1);

void SumRowsFrom(const uint8_t* const* taps, const int16_t* weights, int count, size_t begin,
                 size_t values, int16_t* out) {
  for (size_t i = begin; i < values; ++i) {
    int32_t sum = kRowHalf;
    for (int k = 0; k < count; ++k) sum += int32_t{taps[k][i]} * weights[k];
    out[i] = static_cast<int16_t>(sum >> kRowShift);
  }
}

void SumRows(const uint8_t* const* taps, const int16_t* weights, int count, size_t values,
             int16_t* out) {
  SumRowsFrom(taps, weights, count, 0, values, out);
}

void FilterRow(const int16_t* row, const ResizeAxis& axis, uint8_t* out) {
  for (const ResizeAxis::Run& run : axis.runs) {
    const int16_t* pixel = row + ptrdiff_t{run.first} * 3;
    const int16_t* weight = axis.weights.data() + run.begin;
    int32_t r = kPixelHalf, g = kPixelHalf, b = kPixelHalf;
    for (int k = 0; k < run.count; ++k, pixel += 3) {
      r += pixel[0] * weight[k];
      g += pixel[1] * weight[k];
      b += pixel[2] * weight[k];
    }
    *out++ = static_cast<uint8_t>(r >> kPixelShift);
    *out++ = static_cast<uint8_t>(g >> kPixelShift);
    *out++ = static_cast<uint8_t>(b >> kPixelShift);
  }
}

#if defined(__x86_64__)

// Two taps at a time: their values lie side by side, and one instruction multiplies both by their
// weights and adds.

__attribute__((target("avx2"))) inline __m256i WeightPair(const int16_t* weights) {
  int32_t pair;
  std::memcpy(&pair, weights, sizeof(pair));
  return _mm256_set1_epi32(pair);
}

__attribute__((target("avx2"))) inline __m256i Widen(const uint8_t* bytes) {
  return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)));
}

__attribute__((target("avx2"))) void SumRowsAvx2(const uint8_t* const* taps, const int16_t* weights,
                                                 int count, size_t values, int16_t* out) {
  size_t i = 0;
  for (; i + 16 <= values; i += 16) {
    __m256i low = _mm256_set1_epi32(kRowHalf);
    __m256i high = low;
    for (int k = 0; k < count; k += 2) {
      const __m256i weight = WeightPair(weights + k);
      const __m256i first = Widen(taps[k] + i);
      const __m256i second = Widen(taps[k + 1] + i);
      low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_unpacklo_epi16(first, second), weight));
      high =
          _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_unpackhi_epi16(first, second), weight));
    }
    low = _mm256_srai_epi32(low, kRowShift);
    high = _mm256_srai_epi32(high, kRowShift);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), _mm256_packs_epi32(low, high));
  }
  SumRowsFrom(taps, weights, count, i, values, out);
}

__attribute__((target("avx2"))) inline __m128i FilterPixelAvx2(const int16_t* pixel,
                                                               const int16_t* weights, int count) {
  const __m128i side_by_side = _mm_setr_epi8(0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11, -1, -1, -1, -1);
  __m128i sum = _mm_set1_epi32(kPixelHalf);
  for (int k = 0; k < count; k += 2, pixel += 6) {
    const __m128i two = _mm_loadu_si128(reinterpret_cast<const __m128i*>(pixel));
    const __m128i weight = _mm256_castsi256_si128(WeightPair(weights + k));
    sum = _mm_add_epi32(sum, _mm_madd_epi16(_mm_shuffle_epi8(two, side_by_side), weight));
  }
  return _mm_srai_epi32(sum, kPixelShift);
}

// Four pixels at a time: 12 bytes, of which a store writes 16, so the last ones go one by one.
__attribute__((target("avx2"))) void FilterRowAvx2(const int16_t* row, const ResizeAxis& axis,
                                                   uint8_t* out) {
  const __m128i rgb = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
  const int16_t* weights = axis.weights.data();
  const ResizeAxis::Run* runs = axis.runs.data();
  const size_t count = axis.runs.size();
  const auto filter = [&](const ResizeAxis::Run& run) __attribute__((target("avx2"))) {
    return FilterPixelAvx2(row + ptrdiff_t{run.first} * 3, weights + run.begin, run.count);
  };
  size_t i = 0;
  for (; i + 6 <= count; i += 4, out += 12) {
    const __m128i first = _mm_packs_epi32(filter(runs[i]), filter(runs[i + 1]));
    const __m128i second = _mm_packs_epi32(filter(runs[i + 2]), filter(runs[i + 3]));
    const __m128i four = _mm_shuffle_epi8(_mm_packus_epi16(first, second), rgb);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), four);
  }
  for (; i < count; ++i, out += 3) {
    const __m128i one = filter(runs[i]);
    out[0] = static_cast<uint8_t>(_mm_extract_epi32(one, 0));
    out[1] = static_cast<uint8_t>(_mm_extract_epi32(one, 1));
    out[2] = static_cast<uint8_t>(_mm_extract_epi32(one, 2));
  }
}

#endif

}  // namespace

const ResizeKernels& PortableResizeKernels() {
  static constexpr ResizeKernels kKernels = {SumRows, FilterRow};
  return kKernels;
}

const ResizeKernels& BestResizeKernels() {
#if defined(__x86_64__)
  static constexpr ResizeKernels kAvx2 = {SumRowsAvx2, FilterRowAvx2};
  if (__builtin_cpu_supports("avx2")) return kAvx2;
#endif
  return PortableResizeKernels();
}

}  // namespace cvtrain::formats
