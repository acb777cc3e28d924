#include "worker/trainer/model/attention.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <optional>
#include <vector>

namespace cvtrain::trainer {
namespace {

// What keeps places apart that are neighbours only because the grid was rolled.
constexpr double kApart = -100;

// B x N x 3C to queries, keys and values, each B x heads x N x C/heads.
std::vector<at::Tensor> SplitHeads(const at::Tensor& qkv, int64_t heads) {
  const int64_t channels = qkv.size(2) / 3;
  return qkv.reshape({qkv.size(0), qkv.size(1), 3, heads, channels / heads})
      .permute({2, 0, 3, 1, 4})
      .unbind(0);
}

at::Tensor JoinHeads(const at::Tensor& heads) { return heads.transpose(1, 2).flatten(2); }

// Windows of a grid that they fill, one after the other: B*n x w*w x C.
at::Tensor ToWindows(const at::Tensor& grid, int64_t window) {
  const int64_t rows = grid.size(1) / window;
  const int64_t columns = grid.size(2) / window;
  return grid.view({grid.size(0), rows, window, columns, window, grid.size(3)})
      .permute({0, 1, 3, 2, 4, 5})
      .reshape({grid.size(0) * rows * columns, window * window, grid.size(3)});
}

at::Tensor FromWindows(const at::Tensor& windows, at::IntArrayRef grid, int64_t window) {
  const int64_t rows = grid[1] / window;
  const int64_t columns = grid[2] / window;
  return windows.view({grid[0], rows, columns, window, window, grid[3]})
      .permute({0, 1, 3, 2, 4, 5})
      .reshape(grid);
}

// n x 1 x w*w x w*w: 0 between places of one region of the grid before it was rolled, else kApart.
at::Tensor MaskOfShift(const at::Tensor& grid, int64_t window, at::IntArrayRef shift) {
  // The regions that a roll by `by` makes of `side` places.
  const auto regions = [&](int64_t side, int64_t by) {
    at::Tensor numbers = at::zeros({side}, grid.options());
    numbers.slice(0, side - window, side - by).fill_(1);
    numbers.slice(0, side - by, side).fill_(2);
    return numbers;
  };
  const at::Tensor numbers = regions(grid.size(1), shift[0]).unsqueeze(1) * 3 +
                             regions(grid.size(2), shift[1]).unsqueeze(0);
  const at::Tensor places =
      ToWindows(numbers.view({1, grid.size(1), grid.size(2), 1}), window).squeeze(2);
  const at::Tensor differ = places.unsqueeze(1) != places.unsqueeze(2);
  return at::zeros(differ.sizes(), grid.options()).masked_fill_(differ, kApart).unsqueeze(1);
}

}  // namespace

at::Tensor SelfAttention(const at::Tensor& tokens, const plan::SelfAttention& op,
                         const Projections& projections) {
  const std::vector<at::Tensor> qkv =
      SplitHeads(at::linear(tokens, projections.qkv_weight, projections.qkv_bias), op.heads);
  const at::Tensor seen = at::scaled_dot_product_attention(qkv[0], qkv[1], qkv[2]);
  return at::linear(JoinHeads(seen), projections.proj_weight, projections.proj_bias);
}

at::Tensor WindowAttention(const at::Tensor& grid, const plan::WindowAttention& op,
                           const at::Tensor& bias_table, const at::Tensor& index,
                           const Projections& projections) {
  const int64_t window = op.window;
  const auto missing = [&](int64_t side) { return (window - side % window) % window; };
  at::Tensor x =
      at::constant_pad_nd(grid, {0, 0, 0, missing(grid.size(2)), 0, missing(grid.size(1))});
  const std::vector<int64_t> sizes = x.sizes().vec();
  const auto shift_of = [&](int64_t side) {
    return op.shifted && side > window ? window / 2 : int64_t{0};
  };
  const std::vector<int64_t> shift = {shift_of(sizes[1]), shift_of(sizes[2])};
  const bool is_shifted = shift[0] + shift[1] > 0;
  if (is_shifted) x = at::roll(x, {-shift[0], -shift[1]}, {1, 2});

  const std::vector<at::Tensor> qkv = SplitHeads(
      at::linear(ToWindows(x, window), projections.qkv_weight, projections.qkv_bias), op.heads);
  const int64_t places = window * window;
  const double scale = 1 / std::sqrt(static_cast<double>(grid.size(3) / op.heads));
  at::Tensor weights = at::matmul(qkv[0] * scale, qkv[1].transpose(-2, -1));
  weights = weights + bias_table.index_select(0, index)
                          .view({places, places, op.heads})
                          .permute({2, 0, 1})
                          .contiguous()
                          .unsqueeze(0);
  if (is_shifted) {
    const at::Tensor mask = MaskOfShift(x.detach(), window, shift);
    weights = (weights.view({-1, mask.size(0), op.heads, places, places}) + mask.unsqueeze(0))
                  .view({-1, op.heads, places, places});
  }
  const at::Tensor seen = at::matmul(at::softmax(weights, -1), qkv[2]);
  x = FromWindows(at::linear(JoinHeads(seen), projections.proj_weight, projections.proj_bias),
                  sizes, window);
  if (is_shifted) x = at::roll(x, shift, {1, 2});
  return x.slice(1, 0, grid.size(1)).slice(2, 0, grid.size(2)).contiguous();
}

at::Tensor OffsetsOfPairs(int64_t window) {
  const at::Tensor places = at::arange(window * window, at::kLong);
  const at::Tensor row = at::div(places, window, "floor");
  const at::Tensor column = places - row * window;
  const auto offsets = [&](const at::Tensor& of) {
    return of.unsqueeze(1) - of.unsqueeze(0) + (window - 1);
  };
  return (offsets(row) * (2 * window - 1) + offsets(column)).flatten();
}

at::Tensor EmbedTokens(const at::Tensor& images, const plan::EmbedTokens& op,
                       const at::Tensor& class_token, const at::Tensor& positions) {
  const int64_t height = images.size(2);
  const int64_t width = images.size(3);
  at::Tensor where = positions;
  if (height != op.grid_height || width != op.grid_width) {
    const at::Tensor grid = positions.slice(1, 1)
                                .view({1, op.grid_height, op.grid_width, op.channels})
                                .permute({0, 3, 1, 2});
    const at::Tensor resampled = at::_upsample_bicubic2d_aa(grid, {height, width},
                                                            /*align_corners=*/false);
    where = at::cat({positions.slice(1, 0, 1), resampled.flatten(2).transpose(1, 2)}, 1);
  }
  const at::Tensor tokens = images.flatten(2).transpose(1, 2);
  return at::cat({class_token.expand({images.size(0), -1, -1}), tokens}, 1) + where;
}

at::Tensor MergePatches(const at::Tensor& grid) {
  const at::Tensor x = at::constant_pad_nd(grid, {0, 0, 0, grid.size(2) % 2, 0, grid.size(1) % 2});
  const auto part = [&](int64_t row, int64_t column) {
    return x.slice(1, row, std::nullopt, 2).slice(2, column, std::nullopt, 2);
  };
  return at::cat({part(0, 0), part(1, 0), part(0, 1), part(1, 1)}, -1);
}

}  // namespace cvtrain::trainer
