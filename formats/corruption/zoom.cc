#include "formats/corruption/zoom.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace cvtrain::formats {
namespace {

// Adds one row of the result, from two rows of the picture that are one already.
template <int kChannels>
void AddRow(const float* row, int width, const ZoomedSide& side, float* sum) {
  for (int x = 0; x < width; ++x, sum += kChannels) {
    const ZoomedSide::Place place = side.At(x);
    const float* left = row + static_cast<ptrdiff_t>(place.left) * kChannels;
    const float* right = place.weight > 0 ? left + kChannels : left;
    for (int c = 0; c < kChannels; ++c) {
      sum[c] += (1 - place.weight) * left[c] + place.weight * right[c];
    }
  }
}

}  // namespace

ZoomedSide::ZoomedSide(int side, double factor)
    : length(static_cast<int>(std::ceil(side / factor))) {
  first = (side - length) / 2;
  // Python's round(), half to even.
  const int zoomed = static_cast<int>(std::nearbyint(length * factor));
  step = zoomed > 1 ? static_cast<double>(length - 1) / (zoomed - 1) : 0;
  from = step * ((zoomed - side) / 2);
}

ZoomedSide::Place ZoomedSide::At(int i) const {
  const double at = std::min(from + step * i, static_cast<double>(length - 1));
  const int left = static_cast<int>(at);
  return {.left = first + left, .weight = static_cast<float>(at - left)};
}

void AddZoomed(const float* in, Size size, int channels, double factor, std::vector<float>& row,
               float* sum) {
  const ZoomedSide across(size.width, factor);
  const ZoomedSide down(size.height, factor);
  const size_t values = static_cast<size_t>(size.width * channels);
  row.resize(values);
  for (int y = 0; y < size.height; ++y, sum += values) {
    const ZoomedSide::Place place = down.At(y);
    const float* upper = in + values * static_cast<size_t>(place.left);
    const float* lower = place.weight > 0 ? upper + values : upper;
    for (size_t i = 0; i < values; ++i) {
      row[i] = (1 - place.weight) * upper[i] + place.weight * lower[i];
    }
    if (channels == 1) {
      AddRow<1>(row.data(), size.width, across, sum);
    } else {
      AddRow<3>(row.data(), size.width, across, sum);
    }
  }
}

}  // namespace cvtrain::formats
