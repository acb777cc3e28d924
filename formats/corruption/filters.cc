#include "formats/corruption/filters.h"

#include <algorithm>
#include <cmath>

namespace cvtrain::formats {
namespace {

using Run = GaussianScratch::Run;

// The filter of an axis of `length` pixels.
void PlanAxis(const GaussianOptions& options, int length, GaussianScratch& scratch) {
  const int radius = static_cast<int>(options.truncate * options.sigma + 0.5);
  std::vector<double> kernel(static_cast<size_t>(radius) + 1, 1.0);
  double sum = 1;
  for (int k = 1; k <= radius; ++k) {
    const double at = k / options.sigma;
    sum += 2 * (kernel[static_cast<size_t>(k)] = std::exp(-at * at / 2));
  }
  scratch.runs.clear();
  scratch.weights.clear();
  scratch.sums.assign(static_cast<size_t>(length), 0);
  for (int i = 0; i < length; ++i) {
    // What is reflected lies between the first and the last that are not, or is nearer to an end
    // than they are.
    const int first = std::max(i - radius, 0);
    const int last = std::min(i + radius, length - 1);
    int low = first;
    int high = last;
    for (int k = -radius; k <= radius; ++k) {
      const int at = AtEdge(options.edge, i + k, length);
      low = std::min(low, at);
      high = std::max(high, at);
      scratch.sums[static_cast<size_t>(at)] += kernel[static_cast<size_t>(std::abs(k))] / sum;
    }
    scratch.runs.push_back(
        {.first = low, .count = high - low + 1, .begin = scratch.weights.size()});
    for (int at = low; at <= high; ++at) {
      scratch.weights.push_back(static_cast<float>(scratch.sums[static_cast<size_t>(at)]));
      scratch.sums[static_cast<size_t>(at)] = 0;
    }
  }
}

// Down the rows of `in`, each of `row` values.
void FilterRows(const float* in, size_t row, GaussianScratch& scratch, float* out) {
  for (const Run& run : scratch.runs) {
    scratch.rows.clear();
    for (int k = 0; k < run.count; ++k) {
      scratch.rows.push_back({in + static_cast<size_t>(run.first + k) * row,
                              scratch.weights[run.begin + static_cast<size_t>(k)]});
    }
    SumRows(scratch.rows, row, out);
    out += row;
  }
}

// Rows become columns.
template <int kChannels>
void TransposeOf(const float* in, Size size, float* out) {
  constexpr int kBlock = 16;
  const auto width = static_cast<size_t>(size.width);
  const auto height = static_cast<size_t>(size.height);
  for (size_t y0 = 0; y0 < height; y0 += kBlock) {
    for (size_t x0 = 0; x0 < width; x0 += kBlock) {
      for (size_t x = x0; x < std::min(x0 + kBlock, width); ++x) {
        for (size_t y = y0; y < std::min(y0 + kBlock, height); ++y) {
          for (int c = 0; c < kChannels; ++c) {
            out[(x * height + y) * kChannels + c] = in[(y * width + x) * kChannels + c];
          }
        }
      }
    }
  }
}

void Transpose(const std::vector<float>& in, Size size, int channels, std::vector<float>& out) {
  out.resize(in.size());
  if (channels == 1) {
    TransposeOf<1>(in.data(), size, out.data());
  } else {
    TransposeOf<3>(in.data(), size, out.data());
  }
}

}  // namespace

int AtEdge(Edge edge, int at, int length) {
  if (at >= 0 && at < length) return at;
  if (edge == Edge::kClamp) return at < 0 ? 0 : length - 1;
  const int period = edge == Edge::kReflect ? 2 * length : 2 * length - 2;
  int place = at % period;
  if (place < 0) place += period;
  if (place < length) return place;
  return period - place - (edge == Edge::kReflect ? 1 : 0);
}

void SumRows(absl::Span<const WeightedRow> rows, size_t count, float* out) {
  std::fill_n(out, count, 0.0F);
  size_t r = 0;
  for (; r + 4 <= rows.size(); r += 4) {
    const WeightedRow a = rows[r];
    const WeightedRow b = rows[r + 1];
    const WeightedRow c = rows[r + 2];
    const WeightedRow d = rows[r + 3];
    for (size_t i = 0; i < count; ++i) {
      out[i] += (a.weight * a.values[i] + b.weight * b.values[i]) +
                (c.weight * c.values[i] + d.weight * d.values[i]);
    }
  }
  for (; r < rows.size(); ++r) {
    const WeightedRow a = rows[r];
    for (size_t i = 0; i < count; ++i) out[i] += a.weight * a.values[i];
  }
}

PaddedRows::PaddedRows(const float* in, Size size, int channels, int pad, Edge edge,
                       std::vector<float>& memory)
    : memory_(memory),
      height_(size.height),
      channels_(channels),
      pad_(pad),
      edge_(edge),
      stride_(static_cast<size_t>((size.width + 2 * pad) * channels)) {
  memory.resize(stride_ * static_cast<size_t>(size.height));
  float* out = memory.data();
  const size_t row = static_cast<size_t>(size.width * channels);
  for (int y = 0; y < size.height; ++y, in += row) {
    const auto copy_outside = [&](int from, int to) {
      for (int x = from; x < to; ++x) {
        const float* pixel = in + static_cast<size_t>(AtEdge(edge, x, size.width) * channels);
        out = std::copy_n(pixel, channels, out);
      }
    };
    copy_outside(-pad, 0);
    out = std::copy_n(in, row, out);
    copy_outside(size.width, size.width + pad);
  }
}

void FilterGaussian(const GaussianOptions& options, Size size, int channels,
                    GaussianScratch& scratch, std::vector<float>& plane) {
  const Size turned = {.width = size.height, .height = size.width};
  scratch.turned.resize(plane.size());
  PlanAxis(options, size.height, scratch);
  FilterRows(plane.data(), static_cast<size_t>(size.width * channels), scratch,
             scratch.turned.data());
  Transpose(scratch.turned, size, channels, plane);
  if (size.width != size.height) PlanAxis(options, size.width, scratch);
  FilterRows(plane.data(), static_cast<size_t>(size.height * channels), scratch,
             scratch.turned.data());
  Transpose(scratch.turned, turned, channels, plane);
}

void ToPlane(PictureSpan picture, std::vector<float>& plane) {
  plane.resize(picture.pixels.size());
  for (size_t i = 0; i < plane.size(); ++i) plane[i] = static_cast<float>(picture.pixels[i]);
}

void FromPlane(const std::vector<float>& plane, PictureSpan picture) {
  for (size_t i = 0; i < plane.size(); ++i) picture.pixels[i] = ToLevel(plane[i]);
}

}  // namespace cvtrain::formats
