// Both resizers are one separable filter: each output pixel of an axis is a weighted sum of a run
// of source pixels, with integer weights that add up to kOne. First along x into 16 bits (8.8),
// then along y. Weights come from exact integer arithmetic, so the bytes are the same everywhere.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "common/status_macros.h"
#include "formats/image/image.h"

namespace cvtrain::formats {
namespace {

constexpr int kWeightBits = 14;
constexpr int32_t kOne = 1 << kWeightBits;
constexpr int kMiddleBits = 8;  // fraction bits between the passes

// The filter of one axis: output pixel i sums sources[i.first + k] * weights[i.begin + k].
struct Axis {
  struct Run {
    int32_t first;  // source index
    int32_t count;
    int32_t begin;  // index into weights
  };
  std::vector<Run> runs;
  std::vector<int32_t> weights;
};

// Makes the weights of the last run, which are rounded, add up to kOne.
void Balance(Axis* axis) {
  const Axis::Run& run = axis->runs.back();
  auto begin = axis->weights.begin() + run.begin;
  int32_t sum = 0;
  for (auto it = begin; it != axis->weights.end(); ++it) sum += *it;
  *std::max_element(begin, axis->weights.end()) += kOne - sum;
}

// Output pixel i covers the source from i * in / out to (i + 1) * in / out; in units of 1 / out.
Axis AreaAxis(int in, int out) {
  Axis axis;
  axis.runs.reserve(static_cast<size_t>(out));
  for (int64_t i = 0; i < out; ++i) {
    const int64_t from = i * in;
    const int64_t to = from + in;
    const int64_t first = from / out;
    const int64_t last = (to - 1) / out;
    axis.runs.push_back({static_cast<int32_t>(first), static_cast<int32_t>(last - first + 1),
                         static_cast<int32_t>(axis.weights.size())});
    for (int64_t j = first; j <= last; ++j) {
      const int64_t overlap = std::min(to, (j + 1) * out) - std::max(from, j * out);
      axis.weights.push_back(static_cast<int32_t>((overlap * kOne + in / 2) / in));
    }
    Balance(&axis);
  }
  return axis;
}

// The centre of output pixel i lies at (2i + 1) * in / (2 * out) - 1/2 of the source.
Axis LinearAxis(int in, int out) {
  Axis axis;
  axis.runs.reserve(static_cast<size_t>(out));
  for (int64_t i = 0; i < out; ++i) {
    const int64_t unit = 2 * int64_t{out};
    const int64_t position =
        std::clamp<int64_t>((2 * i + 1) * in - out, 0, (int64_t{in} - 1) * unit);
    const int64_t first = std::min<int64_t>(position / unit, std::max(in - 2, 0));
    axis.runs.push_back(
        {static_cast<int32_t>(first), in > 1 ? 2 : 1, static_cast<int32_t>(axis.weights.size())});
    const auto second = static_cast<int32_t>(((position - first * unit) * kOne + out) / unit);
    axis.weights.push_back(kOne - (in > 1 ? second : 0));
    if (in > 1) axis.weights.push_back(second);
  }
  return axis;
}

void FilterRow(const uint8_t* source, const Axis& axis, uint16_t* out) {
  constexpr int kShift = kWeightBits - kMiddleBits;
  constexpr int32_t kHalf = 1 << (kShift - 1);
  for (const Axis::Run& run : axis.runs) {
    const uint8_t* pixel = source + int64_t{run.first} * 3;
    const int32_t* weight = axis.weights.data() + run.begin;
    int32_t r = kHalf, g = kHalf, b = kHalf;
    for (int k = 0; k < run.count; ++k, pixel += 3) {
      r += pixel[0] * weight[k];
      g += pixel[1] * weight[k];
      b += pixel[2] * weight[k];
    }
    out[0] = static_cast<uint16_t>(r >> kShift);
    out[1] = static_cast<uint16_t>(g >> kShift);
    out[2] = static_cast<uint16_t>(b >> kShift);
    out += 3;
  }
}

void Filter(const ImageView& source, const Axis& along_x, const Axis& along_y, Image* out) {
  constexpr int kShift = kWeightBits + kMiddleBits;
  constexpr uint32_t kHalf = uint32_t{1} << (kShift - 1);
  const size_t row_values = along_x.runs.size() * 3;
  std::vector<uint16_t> rows(static_cast<size_t>(source.height) * row_values);
  for (int y = 0; y < source.height; ++y) {
    FilterRow(source.data + y * source.stride, along_x,
              rows.data() + static_cast<size_t>(y) * row_values);
  }
  std::vector<uint32_t> sums(row_values);
  uint8_t* to = out->pixels.data();
  for (const Axis::Run& run : along_y.runs) {
    std::fill(sums.begin(), sums.end(), kHalf);
    for (int k = 0; k < run.count; ++k) {
      const uint16_t* row = rows.data() + static_cast<size_t>(run.first + k) * row_values;
      const auto weight =
          static_cast<uint32_t>(along_y.weights[static_cast<size_t>(run.begin + k)]);
      for (size_t i = 0; i < row_values; ++i) sums[i] += row[i] * weight;
    }
    for (size_t i = 0; i < row_values; ++i) to[i] = static_cast<uint8_t>(sums[i] >> kShift);
    to += row_values;
  }
}

}  // namespace

void ResizeArea(const ImageView& source, int width, int height, Image* out) {
  CVT_CHECK(source.width > 0 && source.height > 0 && width > 0 && height > 0);
  out->Resize(width, height);
  Filter(
      source,
      source.width > width ? AreaAxis(source.width, width) : LinearAxis(source.width, width),
      source.height > height ? AreaAxis(source.height, height) : LinearAxis(source.height, height),
      out);
}

void ResizeBilinear(const ImageView& source, int width, int height, Image* out) {
  CVT_CHECK(source.width > 0 && source.height > 0 && width > 0 && height > 0);
  out->Resize(width, height);
  Filter(source, LinearAxis(source.width, width), LinearAxis(source.height, height), out);
}

}  // namespace cvtrain::formats
