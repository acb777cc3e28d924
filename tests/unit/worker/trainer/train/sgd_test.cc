#include "worker/trainer/train/sgd.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <vector>

namespace cvtrain::trainer {
namespace {

struct Case {
  double momentum;
  bool nesterov;
  double weight_decay;
};

std::vector<at::Tensor> MakeParameters() {
  torch::manual_seed(1);
  // Long enough for vectors and their rest; one with channels innermost; a scalar.
  std::vector<at::Tensor> parameters = {
      at::randn({37}), at::randn({8, 5, 3, 3}).contiguous(at::MemoryFormat::ChannelsLast),
      at::randn({})};
  for (at::Tensor& parameter : parameters) parameter.requires_grad_();
  return parameters;
}

at::Tensor Gradient(const at::Tensor& parameter, int step) {
  return at::sin(parameter.detach() * (step + 1));
}

class SgdTest : public ::testing::TestWithParam<Case> {};

TEST_P(SgdTest, FollowsTorch) {
  const Case& c = GetParam();
  std::vector<at::Tensor> ours = MakeParameters();
  std::vector<at::Tensor> theirs = MakeParameters();
  Sgd sgd({.momentum = c.momentum, .nesterov = c.nesterov},
          {{.names = {"a", "b", "c"}, .parameters = ours, .weight_decay = c.weight_decay}});
  torch::optim::SGD torch_sgd(theirs, torch::optim::SGDOptions(0.1)
                                          .momentum(c.momentum)
                                          .nesterov(c.nesterov)
                                          .weight_decay(c.weight_decay));
  for (int step = 0; step < 5; ++step) {
    const double rate = 0.1 / (step + 1);
    for (size_t i = 0; i < ours.size(); ++i) {
      // In the other memory format, as a bucket may hold it.
      ours[i].mutable_grad() = Gradient(ours[i], step).contiguous();
      theirs[i].mutable_grad() = Gradient(theirs[i], step);
    }
    static_cast<torch::optim::SGDOptions&>(torch_sgd.param_groups()[0].options()).lr(rate);
    torch_sgd.step();
    sgd.Step(rate);
    for (size_t i = 0; i < ours.size(); ++i) {
      EXPECT_TRUE(at::allclose(ours[i], theirs[i], 1e-6, 1e-7)) << step << " " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Options, SgdTest,
                         ::testing::Values(Case{0, false, 0}, Case{0, false, 0.01},
                                           Case{0.9, false, 0.01}, Case{0.9, true, 0.01}));

TEST(SgdGroupsTest, UsesEachGroupsRateAndDecay) {
  at::Tensor fast = at::ones({1}).requires_grad_();
  at::Tensor slow = at::ones({1}).requires_grad_();
  Sgd sgd({}, {{.names = {"fast"}, .parameters = {fast}, .weight_decay = 0.5},
               {.names = {"slow"}, .parameters = {slow}, .learning_rate_multiplier = 0.1}});
  fast.mutable_grad().fill_(1);
  slow.mutable_grad().fill_(1);
  sgd.Step(0.1);
  EXPECT_FLOAT_EQ(fast.item<float>(), 1 - 0.1f * 1.5f);
  EXPECT_FLOAT_EQ(slow.item<float>(), 1 - 0.01f);
  sgd.ZeroGradients();
  EXPECT_EQ(fast.grad().item<float>(), 0);
}

}  // namespace
}  // namespace cvtrain::trainer
