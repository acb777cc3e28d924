#include "worker/trainer/model/fused_norm.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "common/status_macros.h"
#include "worker/trainer/model/norm_kernels.h"

namespace cvtrain::trainer {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;
using torch::autograd::Variable;

// Dense pictures in one of the two memory formats.
struct Shape {
  int64_t batch = 0;
  int64_t channels = 0;
  int64_t plane = 0;  // height * width
  bool rows = false;  // channels innermost

  explicit Shape(const at::Tensor& x)
      : batch(x.size(0)),
        channels(x.size(1)),
        plane(x.size(2) * x.size(3)),
        rows((plane == 1 || !x.is_contiguous()) &&
             x.is_contiguous(at::MemoryFormat::ChannelsLast)) {}

  int64_t numbers() const { return batch * plane; }  // of one channel
  at::MemoryFormat format() const {
    return rows ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
  }
};

// The part of `count` things that thread `i` of `parts` does.
int64_t PartBegin(int64_t count, int64_t parts, int64_t i) { return count * i / parts; }

// Two sums for each channel, by `add_plane(offset, channel, sums)` for each plane, or by
// `add_rows(first, rows, sums)`. The same threads add in the same order.
template <typename AddPlane, typename AddRows>
void SumChannels(const Shape& shape, const AddPlane& add_plane, const AddRows& add_rows,
                 std::vector<double>& first, std::vector<double>& second) {
  const auto channels = static_cast<size_t>(shape.channels);
  first.assign(channels, 0);
  second.assign(channels, 0);
  if (!shape.rows) {
    at::parallel_for(0, shape.channels, 1, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        for (int64_t n = 0; n < shape.batch; ++n) {
          add_plane((n * shape.channels + c) * shape.plane, c, &first[static_cast<size_t>(c)],
                    &second[static_cast<size_t>(c)]);
        }
      }
    });
    return;
  }
  const int64_t parts = std::max<int64_t>(at::get_num_threads(), 1);
  std::vector<std::vector<double>> firsts(static_cast<size_t>(parts));
  std::vector<std::vector<double>> seconds(static_cast<size_t>(parts));
  at::parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto part = static_cast<size_t>(i);
      firsts[part].assign(channels, 0);
      seconds[part].assign(channels, 0);
      const int64_t from = PartBegin(shape.numbers(), parts, i);
      add_rows(from, PartBegin(shape.numbers(), parts, i + 1) - from, firsts[part].data(),
               seconds[part].data());
    }
  });
  for (size_t part = 0; part < firsts.size(); ++part) {
    for (size_t c = 0; c < channels; ++c) {
      first[c] += firsts[part][c];
      second[c] += seconds[part][c];
    }
  }
}

// `plane(offset, channel)` for each plane, or `rows(first, rows)`.
template <typename Plane, typename Rows>
void ForAll(const Shape& shape, const Plane& plane, const Rows& rows) {
  if (shape.rows) {
    const int64_t parts = std::max<int64_t>(at::get_num_threads(), 1);
    at::parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
      const int64_t from = PartBegin(shape.numbers(), parts, begin);
      rows(from, PartBegin(shape.numbers(), parts, end) - from);
    });
    return;
  }
  at::parallel_for(0, shape.batch * shape.channels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) plane(i * shape.plane, i % shape.channels);
  });
}

struct Statistics {
  std::vector<float> mean;
  std::vector<float> variance;  // of the numbers themselves: biased
};

// Sums are of differences from a number of the channel, so that a mean that is large beside the
// deviation costs no digits.
Statistics StatisticsOf(const at::Tensor& x, const Shape& shape) {
  const float* data = x.const_data_ptr<float>();
  const auto channels = static_cast<size_t>(shape.channels);
  std::vector<float> shift(channels);
  for (size_t c = 0; c < channels; ++c) {
    shift[c] = data[static_cast<int64_t>(c) * (shape.rows ? 1 : shape.plane)];
  }
  std::vector<double> sums;
  std::vector<double> squares;
  SumChannels(
      shape,
      [&](int64_t offset, int64_t c, double* sum, double* square) {
        kernels::SumPlane(data + offset, shape.plane, shift[static_cast<size_t>(c)], sum, square);
      },
      [&](int64_t first, int64_t rows, double* sum, double* square) {
        kernels::SumRows(data + first * shape.channels, rows, shape.channels, shift.data(), sum,
                         square);
      },
      sums, squares);
  Statistics statistics{std::vector<float>(channels), std::vector<float>(channels)};
  const auto count = static_cast<double>(shape.numbers());
  for (size_t c = 0; c < channels; ++c) {
    const double mean = sums[c] / count;
    statistics.mean[c] = static_cast<float>(static_cast<double>(shift[c]) + mean);
    statistics.variance[c] = static_cast<float>(std::max(squares[c] / count - mean * mean, 0.0));
  }
  return statistics;
}

void UpdateRunning(const Statistics& statistics, const Shape& shape, double momentum,
                   at::Tensor running_mean, at::Tensor running_var) {
  float* mean = running_mean.data_ptr<float>();
  float* variance = running_var.data_ptr<float>();
  const auto count = static_cast<double>(shape.numbers());
  const double unbiased = count / std::max(count - 1, 1.0);
  for (size_t c = 0; c < statistics.mean.size(); ++c) {
    mean[c] = static_cast<float>((1 - momentum) * mean[c] + momentum * statistics.mean[c]);
    variance[c] = static_cast<float>((1 - momentum) * variance[c] +
                                     momentum * unbiased * statistics.variance[c]);
  }
}

at::Tensor ToTensor(const std::vector<float>& values) {
  return at::tensor(at::ArrayRef<float>(values), at::kFloat);
}

struct NormFunction : torch::autograd::Function<NormFunction> {
  static Variable forward(AutogradContext* context, const Variable& input, const Variable& weight,
                          const Variable& bias, const std::optional<Variable>& added,
                          const FusedNorm& norm) {
    const Shape shape(input);
    const at::Tensor x = input.contiguous(shape.format());
    const at::Tensor other = added.has_value() ? added->contiguous(shape.format()) : at::Tensor();
    const Statistics statistics = StatisticsOf(x, shape);
    if (norm.running_mean.defined()) {
      UpdateRunning(statistics, shape, norm.momentum, norm.running_mean, norm.running_var);
    }
    const auto channels = static_cast<size_t>(shape.channels);
    std::vector<float> inverse(channels);
    std::vector<float> scale(channels);
    std::vector<float> shift(channels);
    const float* weights = weight.const_data_ptr<float>();
    const float* biases = bias.const_data_ptr<float>();
    for (size_t c = 0; c < channels; ++c) {
      inverse[c] = static_cast<float>(1 / std::sqrt(statistics.variance[c] + norm.epsilon));
      scale[c] = weights[c] * inverse[c];
      shift[c] = biases[c] - statistics.mean[c] * scale[c];
    }
    at::Tensor y = at::empty_like(x);
    const float* from = x.const_data_ptr<float>();
    const float* plus = other.defined() ? other.const_data_ptr<float>() : nullptr;
    float* to = y.data_ptr<float>();
    ForAll(
        shape,
        [&](int64_t offset, int64_t c) {
          const auto channel = static_cast<size_t>(c);
          kernels::NormalizePlane(from + offset, plus == nullptr ? nullptr : plus + offset,
                                  scale[channel], shift[channel], norm.relu, shape.plane,
                                  to + offset);
        },
        [&](int64_t first, int64_t rows) {
          const int64_t offset = first * shape.channels;
          kernels::NormalizeRows(from + offset, plus == nullptr ? nullptr : plus + offset,
                                 scale.data(), shift.data(), norm.relu, rows, shape.channels,
                                 to + offset);
        });
    context->save_for_backward(
        {x, weight, norm.relu ? y : Variable(), ToTensor(statistics.mean), ToTensor(inverse)});
    context->saved_data["adds"] = added.has_value();
    return y;
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    const Shape shape(x);
    const at::Tensor dy = gradients[0].contiguous(shape.format());
    const float* out = dy.const_data_ptr<float>();
    const float* y = saved[2].defined() ? saved[2].const_data_ptr<float>() : nullptr;
    const float* from = x.const_data_ptr<float>();
    const float* mean = saved[3].const_data_ptr<float>();
    const float* inverse = saved[4].const_data_ptr<float>();
    const float* weights = saved[1].const_data_ptr<float>();
    const auto at_offset = [](const float* data, int64_t offset) {
      return data == nullptr ? nullptr : data + offset;
    };
    std::vector<double> sums;
    std::vector<double> products;
    SumChannels(
        shape,
        [&](int64_t offset, int64_t c, double* sum, double* product) {
          kernels::SumPlaneGradients(out + offset, at_offset(y, offset), from + offset, shape.plane,
                                     mean[c], sum, product);
        },
        [&](int64_t first, int64_t rows, double* sum, double* product) {
          const int64_t offset = first * shape.channels;
          kernels::SumRowGradients(out + offset, at_offset(y, offset), from + offset, rows,
                                   shape.channels, mean, sum, product);
        },
        sums, products);

    const auto channels = static_cast<size_t>(shape.channels);
    std::vector<float> weight_gradient(channels);
    std::vector<float> bias_gradient(channels);
    std::vector<float> a(channels);
    std::vector<float> b(channels);
    std::vector<float> c(channels);
    const auto count = static_cast<double>(shape.numbers());
    for (size_t i = 0; i < channels; ++i) {
      const double deviation = inverse[i];
      const double scale = weights[i] * deviation;
      const double slope = -scale * deviation * deviation * products[i] / count;
      weight_gradient[i] = static_cast<float>(products[i] * deviation);
      bias_gradient[i] = static_cast<float>(sums[i]);
      a[i] = static_cast<float>(scale);
      b[i] = static_cast<float>(slope);
      c[i] = static_cast<float>(-scale * sums[i] / count - slope * mean[i]);
    }
    // What was added gets what comes through the ReLU; without one that is `dy`.
    const bool adds = context->saved_data["adds"].toBool();
    at::Tensor dz = adds && y != nullptr ? at::empty_like(x) : at::Tensor();
    at::Tensor dx = at::empty_like(x);
    float* into = dx.data_ptr<float>();
    float* kept = dz.defined() ? dz.data_ptr<float>() : nullptr;
    ForAll(
        shape,
        [&](int64_t offset, int64_t channel) {
          const auto i = static_cast<size_t>(channel);
          kernels::BackwardPlane(out + offset, at_offset(y, offset), from + offset, a[i], b[i],
                                 c[i], shape.plane, into + offset,
                                 kept == nullptr ? nullptr : kept + offset);
        },
        [&](int64_t first, int64_t rows) {
          const int64_t offset = first * shape.channels;
          kernels::BackwardRows(out + offset, at_offset(y, offset), from + offset, a.data(),
                                b.data(), c.data(), rows, shape.channels, into + offset,
                                kept == nullptr ? nullptr : kept + offset);
        });
    if (adds && !dz.defined()) dz = dy;
    return {dx, ToTensor(weight_gradient), ToTensor(bias_gradient), dz, Variable()};
  }
};

// Planes that are shorter than this are not worth a call each.
constexpr int64_t kPlaneMin = 32;

}  // namespace

at::Tensor FusedNorm::Apply(const at::Tensor& x) const {
  if (x.dim() == 2) {
    FusedNorm norm = *this;
    if (added.defined()) norm.added = added.unsqueeze(-1).unsqueeze(-1);
    return norm.Apply(x.unsqueeze(-1).unsqueeze(-1)).flatten(1);
  }
  CVT_CHECK(x.dim() == 4 && x.scalar_type() == at::kFloat && x.device().is_cpu())
      << "FusedNorm is for pictures of floats on a CPU";
  const Shape shape(x);
  if (shape.rows || shape.plane >= kPlaneMin) {
    const std::optional<Variable> other =
        added.defined() ? std::optional<Variable>(added) : std::nullopt;
    return NormFunction::apply(x, weight, bias, other, *this);
  }
  at::Tensor y = at::batch_norm(x, weight, bias, running_mean, running_var, /*training=*/true,
                                momentum, epsilon, /*cudnn_enabled=*/false);
  if (added.defined()) y = at::add(y, added);
  return relu ? at::relu_(y) : y;
}

}  // namespace cvtrain::trainer
