// Both resizers are one separable filter: each output pixel of an axis is a weighted sum of a run
// of source pixels, with integer weights that add up to kOne. First along y, so that rows are
// summed as they lie and there are fewer of them for the slower pass along x.

#include "formats/image/resize.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "common/status_macros.h"

namespace cvtrain::formats {
namespace {

constexpr int32_t kOne = 1 << kResizeWeightBits;

// Appends runs to an axis; each gets weights that add up to kOne, and an even count.
class AxisBuilder {
 public:
  AxisBuilder(ResizeAxis* axis, int out) : axis_(axis) {
    axis_->runs.clear();
    axis_->weights.clear();
    axis_->runs.reserve(static_cast<size_t>(out));
  }

  void Begin(int64_t first) {
    axis_->runs.push_back(
        {static_cast<int32_t>(first), 0, static_cast<int32_t>(axis_->weights.size())});
  }

  void Add(int64_t weight) { axis_->weights.push_back(static_cast<int16_t>(weight)); }

  void End() {
    ResizeAxis::Run& run = axis_->runs.back();
    if ((static_cast<int32_t>(axis_->weights.size()) - run.begin) % 2 != 0) Add(0);
    run.count = static_cast<int32_t>(axis_->weights.size()) - run.begin;
  }

 private:
  ResizeAxis* axis_;
};

// Output pixel i covers the source from (from + i * length / out) / unit, and is as long as that
// step. In units of 1 / (unit * out), a source pixel is unit * out long and an output pixel
// `length`.
void BuildArea(const Resizer::Span& span, int out, ResizeAxis* axis) {
  AxisBuilder builder(axis, out);
  // The share of an output pixel up to a length, as a weight: a multiplication, for there are as
  // many as pixels. Differences of rounded shares add up to kOne whatever their number.
  constexpr int kScaleBits = 32;
  const int64_t scale = (int64_t{kOne} << kScaleBits) / span.length;
  const auto share = [scale](int64_t length) {
    return (length * scale + (int64_t{1} << (kScaleBits - 1))) >> kScaleBits;
  };
  const int64_t pixel = span.unit * out;
  int64_t first = span.from * out / pixel;  // source pixel in which the output pixel begins
  int64_t first_left = pixel - span.from * out % pixel;  // what is left of it
  for (int i = 0; i < out; ++i) {
    builder.Begin(first);
    int64_t covered = 0;
    int64_t given = 0;
    while (covered < span.length) {
      const int64_t taken = std::min(span.length - covered, first_left);
      covered += taken;
      const int64_t upto = share(covered);
      builder.Add(upto - given);
      given = upto;
      first_left -= taken;
      if (first_left == 0) {
        ++first;
        first_left = pixel;
      }
    }
    builder.End();
  }
}

// The centre of output pixel i lies at (from + (2i + 1) * length / (2 * out)) / unit - 1/2 of the
// source, which has `pixels`.
void BuildLinear(const Resizer::Span& span, int pixels, int out, ResizeAxis* axis) {
  AxisBuilder builder(axis, out);
  const int64_t pixel = 2 * span.unit * out;
  for (int64_t i = 0; i < out; ++i) {
    const int64_t position =
        std::clamp<int64_t>((2 * i + 1) * span.length + 2 * span.from * out - span.unit * out, 0,
                            (int64_t{pixels} - 1) * pixel);
    const int64_t first = std::min<int64_t>(position / pixel, std::max(pixels - 2, 0));
    builder.Begin(first);
    const int64_t second = pixels > 1 ? ((position - first * pixel) * kOne + pixel / 2) / pixel : 0;
    builder.Add(kOne - second);
    if (pixels > 1) builder.Add(second);
    builder.End();
  }
}

void BuildAreaOrLinear(const Resizer::Span& span, int pixels, int out, ResizeAxis* axis) {
  if (span.length > out * span.unit) {
    BuildArea(span, out, axis);
  } else {
    BuildLinear(span, pixels, out, axis);
  }
}

Resizer::Span All(int pixels) { return {.from = 0, .length = pixels, .unit = 1}; }

bool IsWithin(const Resizer::Span& span, int pixels) {
  return span.unit >= 1 && span.from >= 0 && span.length >= 1 &&
         span.from + span.length <= pixels * span.unit;
}

}  // namespace

void Resizer::Area(const ImageView& source, const Options& options, uint8_t* pixels) {
  AreaOf(source, All(source.width), All(source.height), options, pixels);
}

void Resizer::AreaOf(const ImageView& source, const Span& x, const Span& y, const Options& options,
                     uint8_t* pixels) {
  CVT_CHECK(IsWithin(x, source.width) && IsWithin(y, source.height));
  CVT_CHECK(options.width > 0 && options.height > 0);
  BuildAreaOrLinear(x, source.width, options.width, &along_x_);
  BuildAreaOrLinear(y, source.height, options.height, &along_y_);
  if (options.mirror) std::reverse(along_x_.runs.begin(), along_x_.runs.end());
  Filter(source, options.height, pixels);
}

void Resizer::Bilinear(const ImageView& source, const Options& options, uint8_t* pixels) {
  CVT_CHECK(source.width > 0 && source.height > 0 && options.width > 0 && options.height > 0);
  BuildLinear(All(source.width), source.width, options.width, &along_x_);
  BuildLinear(All(source.height), source.height, options.height, &along_y_);
  if (options.mirror) std::reverse(along_x_.runs.begin(), along_x_.runs.end());
  Filter(source, options.height, pixels);
}

void Resizer::Filter(const ImageView& source, int height, uint8_t* pixels) {
  const ResizeKernels& kernels = BestResizeKernels();
  const size_t row_values = static_cast<size_t>(source.width) * 3;
  // What lies behind the row takes part with a weight of zero.
  row_.assign(row_values + kResizeRowPadding, 0);
  const size_t out_stride = along_x_.runs.size() * 3;
  for (int y = 0; y < height; ++y, pixels += out_stride) {
    const ResizeAxis::Run& run = along_y_.runs[static_cast<size_t>(y)];
    taps_.resize(static_cast<size_t>(run.count));
    for (int k = 0; k < run.count; ++k) {
      const int row = std::min(run.first + k, source.height - 1);  // the last may have no weight
      taps_[static_cast<size_t>(k)] = source.data + row * source.stride;
    }
    kernels.sum_rows(taps_.data(), along_y_.weights.data() + run.begin, run.count, row_values,
                     row_.data());
    kernels.filter_row(row_.data(), along_x_, pixels);
  }
}

void ResizeArea(const ImageView& source, int width, int height, Image* out) {
  CVT_CHECK(width > 0 && height > 0);
  out->Resize(width, height);
  Resizer().Area(source, {.width = width, .height = height}, out->pixels.data());
}

void ResizeBilinear(const ImageView& source, int width, int height, Image* out) {
  CVT_CHECK(width > 0 && height > 0);
  out->Resize(width, height);
  Resizer().Bilinear(source, {.width = width, .height = height}, out->pixels.data());
}

}  // namespace cvtrain::formats
