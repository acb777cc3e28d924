#include "worker/trainer/model/fused_norm.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"

namespace cvtrain::trainer {
namespace {

// Memory format, shape, whether something is added, whether there is a ReLU.
using Case = std::tuple<at::MemoryFormat, std::vector<int64_t>, bool, bool>;

class FusedNormTest : public ::testing::TestWithParam<Case> {};

at::Tensor Leaf(at::Tensor tensor) { return tensor.detach().clone().requires_grad_(); }

// The largest difference, over the largest number.
double Difference(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).abs().max() / b.abs().max().clamp_min(1e-12)).item<double>();
}

struct Sides {
  at::Tensor x, weight, bias, added, mean, var;
};

TEST_P(FusedNormTest, AgreesWithLibTorch) {
  const auto& [format, shape, adds, relu] = GetParam();
  torch::manual_seed(3);
  const int64_t channels = shape[1];
  // A mean that is large beside the deviation.
  const at::Tensor x = (at::randn(shape) * 0.5 + 20).contiguous(format);
  const at::Tensor other = at::randn(shape).contiguous(format);
  const at::Tensor weight = at::randn({channels});
  const at::Tensor bias = at::randn({channels});
  const auto side = [&] {
    return Sides{Leaf(x),
                 Leaf(weight),
                 Leaf(bias),
                 adds ? Leaf(other) : at::Tensor(),
                 at::full({channels}, 0.5),
                 at::full({channels}, 2.0)};
  };
  const Sides ours = side();
  const Sides theirs = side();

  const FusedNorm norm = {.weight = ours.weight,
                          .bias = ours.bias,
                          .running_mean = ours.mean,
                          .running_var = ours.var,
                          .momentum = 0.3,
                          .epsilon = 1e-3,
                          .added = ours.added,
                          .relu = relu};
  const at::Tensor got = norm.Apply(ours.x);
  at::Tensor want = at::batch_norm(theirs.x, theirs.weight, theirs.bias, theirs.mean, theirs.var,
                                   true, 0.3, 1e-3, false);
  if (adds) want = want + theirs.added;
  if (relu) want = at::relu(want);
  EXPECT_LT(Difference(got, want), 2e-5);
  EXPECT_TRUE(got.is_contiguous(format));
  // Where rounding may decide whether a ReLU is open, no gradient comes.
  const at::Tensor apart = (at::batch_norm(x, weight, bias, {}, {}, true, 0, 1e-3, false) +
                            (adds ? other : at::zeros(shape)))
                               .abs() > 1e-3;
  const at::Tensor dy = (at::randn(shape) * apart).contiguous(format);
  got.backward(dy);
  want.backward(dy);
  EXPECT_LT(Difference(ours.x.grad(), theirs.x.grad()), 2e-4);
  EXPECT_LT(Difference(ours.weight.grad(), theirs.weight.grad()), 5e-4);
  EXPECT_LT(Difference(ours.bias.grad(), theirs.bias.grad()), 1e-4);
  if (adds) {
    EXPECT_LT(Difference(ours.added.grad(), theirs.added.grad()), 1e-6);
  }
  EXPECT_LT(Difference(ours.mean, theirs.mean), 1e-5);
  EXPECT_LT(Difference(ours.var, theirs.var), 1e-5);
}

std::string NameOf(const ::testing::TestParamInfo<Case>& info) {
  const auto& [format, shape, adds, relu] = info.param;
  return absl::StrCat(format == at::MemoryFormat::ChannelsLast ? "Rows" : "Planes", shape[1], "x",
                      shape[2], "x", shape[3], adds ? "Added" : "", relu ? "Relu" : "");
}

INSTANTIATE_TEST_SUITE_P(
    All, FusedNormTest,
    ::testing::Combine(
        ::testing::Values(at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast),
        // More than a block of sums, odd sizes, fewer channels than lanes, a
        // single pixel, planes that are left to LibTorch.
        ::testing::Values(std::vector<int64_t>{6, 32, 40, 40}, std::vector<int64_t>{3, 20, 7, 9},
                          std::vector<int64_t>{5, 3, 11, 6}, std::vector<int64_t>{9, 17, 1, 1},
                          std::vector<int64_t>{4, 16, 3, 3}),
        ::testing::Bool(), ::testing::Bool()),
    NameOf);

TEST(FusedNormBitsTest, NumbersWithoutPlacesAreNormalizedToo) {
  const at::Tensor x = at::randn({16, 24});
  const FusedNorm norm = {.weight = at::ones({24}), .bias = at::zeros({24}), .relu = true};
  const at::Tensor want =
      at::relu(at::batch_norm(x, norm.weight, norm.bias, {}, {}, true, 0, 1e-5, false));
  EXPECT_EQ(norm.Apply(x).sizes(), x.sizes());
  EXPECT_LT(Difference(norm.Apply(x), want), 1e-5);
}

TEST(FusedNormBitsTest, KeepsNoStatisticsWhereNoneAreWanted) {
  const at::Tensor x = at::randn({4, 8, 6, 6});
  const FusedNorm norm = {.weight = at::ones({8}), .bias = at::zeros({8})};
  const at::Tensor y = norm.Apply(x);
  EXPECT_LT(y.mean({0, 2, 3}).abs().max().item<double>(), 1e-5);
}

TEST(FusedNormBitsTest, IsTheSameBitsEachTime) {
  const at::Tensor x = at::randn({8, 32, 16, 16}).contiguous(at::MemoryFormat::ChannelsLast);
  const auto run = [&] {
    const at::Tensor leaf = Leaf(x);
    const FusedNorm norm = {.weight = at::ones({32}), .bias = at::zeros({32}), .relu = true};
    norm.Apply(leaf).square().sum().backward();
    return leaf.grad();
  };
  EXPECT_TRUE(at::equal(run(), run()));
}

}  // namespace
}  // namespace cvtrain::trainer
