#ifndef CVTRAIN_FORMATS_IMAGE_RESIZE_KERNELS_H_
#define CVTRAIN_FORMATS_IMAGE_RESIZE_KERNELS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

// The two inner loops of Resizer, in versions for several instruction sets that give the same
// bytes. Nobody else includes this.

namespace cvtrain::formats {

// Weights of a run add up to 1 << kResizeWeightBits.
inline constexpr int kResizeWeightBits = 14;
// Fraction bits of the values between the passes: 255 << 7 fits a signed 16-bit number.
inline constexpr int kResizeMiddleBits = 7;
// What a kernel may read behind the last value of the row between the passes.
inline constexpr size_t kResizeRowPadding = 16;

// The filter of one axis: output i sums sources[first + k] * weights[begin + k], k < count.
// `count` is even: an odd run ends with a weight of zero, whose source may not exist.
struct ResizeAxis {
  struct Run {
    int32_t first;
    int32_t count;
    int32_t begin;
  };
  std::vector<Run> runs;
  std::vector<int16_t> weights;
};

struct ResizeKernels {
  // out[i] = sum of taps[k][i] * weights[k], rounded to kResizeMiddleBits, for i < values. `count`
  // is even.
  void (*sum_rows)(const uint8_t* const* taps, const int16_t* weights, int count, size_t values,
                   int16_t* out);
  // One row of RGB pixels: for each run a pixel, from `row`, rounded to 8 bits.
  void (*filter_row)(const int16_t* row, const ResizeAxis& axis, uint8_t* out);
};

// In plain C++.
const ResizeKernels& PortableResizeKernels();
// The fastest that this processor has.
const ResizeKernels& BestResizeKernels();

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_IMAGE_RESIZE_KERNELS_H_
