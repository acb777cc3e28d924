#include "worker/trainer/optimizer/optimizer.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "cvtrain/v1/recipe.pb.h"
#include "tests/support/proto_matchers.h"
#include "worker/trainer/optimizer/gradients.h"
#include "worker/trainer/optimizer/loss_scaler.h"
#include "worker/trainer/optimizer/moving_average.h"

namespace cvtrain::trainer {
namespace {

using ::cvtrain::testing::ParseTextProto;

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

std::unique_ptr<Optimizer> Make(const std::string& spec, std::vector<ParameterGroup> groups) {
  return Optimizer::Create(ParseTextProto<cvtrain::v1::Optimizer>(spec), std::move(groups));
}

std::unique_ptr<torch::optim::Optimizer> TorchsOf(const cvtrain::v1::Optimizer& spec,
                                                  double weight_decay,
                                                  const std::vector<at::Tensor>& parameters) {
  if (spec.has_adamw()) {
    return std::make_unique<torch::optim::AdamW>(
        parameters, torch::optim::AdamWOptions(0.1)
                        .betas({spec.adamw().beta1(), spec.adamw().beta2()})
                        .eps(spec.adamw().epsilon())
                        .weight_decay(weight_decay));
  }
  return std::make_unique<torch::optim::SGD>(parameters, torch::optim::SGDOptions(0.1)
                                                             .momentum(spec.sgd().momentum())
                                                             .nesterov(spec.sgd().nesterov())
                                                             .weight_decay(weight_decay));
}

struct Case {
  std::string spec;
  double weight_decay = 0;
};

class OptimizerTest : public ::testing::TestWithParam<Case> {};

TEST_P(OptimizerTest, FollowsTorch) {
  const auto spec = ParseTextProto<cvtrain::v1::Optimizer>(GetParam().spec);
  std::vector<at::Tensor> ours = MakeParameters();
  std::vector<at::Tensor> theirs = MakeParameters();
  const auto optimizer = Optimizer::Create(
      spec,
      {{.names = {"a", "b", "c"}, .parameters = ours, .weight_decay = GetParam().weight_decay}});
  const auto torchs = TorchsOf(spec, GetParam().weight_decay, theirs);
  for (int step = 0; step < 5; ++step) {
    const double rate = 0.1 / (step + 1);
    for (size_t i = 0; i < ours.size(); ++i) {
      // In the other memory format, as a bucket may hold it.
      ours[i].mutable_grad() = Gradient(ours[i], step).contiguous();
      theirs[i].mutable_grad() = Gradient(theirs[i], step);
    }
    torchs->param_groups()[0].options().set_lr(rate);
    torchs->step();
    optimizer->Step(rate);
    for (size_t i = 0; i < ours.size(); ++i) {
      EXPECT_TRUE(at::allclose(ours[i], theirs[i], 1e-5, 1e-6)) << step << " " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Options, OptimizerTest,
    ::testing::Values(Case{"sgd { momentum: 0 }"}, Case{"sgd { momentum: 0 }", 0.01},
                      Case{"sgd { momentum: 0.9 }", 0.01},
                      Case{"sgd { momentum: 0.9 nesterov: true }", 0.01},
                      Case{"adamw { beta1: 0.9 beta2: 0.999 epsilon: 1e-8 }"},
                      Case{"adamw { beta1: 0.8 beta2: 0.95 epsilon: 1e-3 }", 0.05}));

// All that the next step depends on is in the states.
TEST_P(OptimizerTest, GoesOnFromItsStates) {
  const auto run = [&](Optimizer& optimizer, std::vector<at::Tensor>& parameters, int from,
                       int to) {
    for (int step = from; step < to; ++step) {
      for (at::Tensor& parameter : parameters) {
        parameter.mutable_grad() = Gradient(parameter, step);
      }
      optimizer.Step(0.1);
    }
  };
  const auto make = [&](const std::vector<at::Tensor>& parameters) {
    return Make(GetParam().spec, {{.names = {"a", "b", "c"},
                                   .parameters = parameters,
                                   .weight_decay = GetParam().weight_decay}});
  };
  std::vector<at::Tensor> whole = MakeParameters();
  const auto first = make(whole);
  run(*first, whole, 0, 3);

  std::vector<at::Tensor> resumed = MakeParameters();
  const auto second = make(resumed);
  {
    at::NoGradGuard no_grad;
    for (size_t i = 0; i < whole.size(); ++i) resumed[i].copy_(whole[i]);
    const auto from = first->States();
    auto to = second->States();
    ASSERT_EQ(from.size(), to.size());
    for (size_t i = 0; i < from.size(); ++i) {
      EXPECT_EQ(from[i].name, to[i].name);
      to[i].tensor.copy_(from[i].tensor);
    }
  }
  run(*first, whole, 3, 5);
  run(*second, resumed, 3, 5);
  for (size_t i = 0; i < whole.size(); ++i) EXPECT_TRUE(at::equal(whole[i], resumed[i])) << i;
}

TEST(OptimizerGroupsTest, HaveTheirOwnRateAndDecay) {
  for (const char* spec :
       {"sgd { momentum: 0 }", "adamw { beta1: 0.9 beta2: 0.999 epsilon: 1e-8 }"}) {
    at::Tensor fast = at::ones({1}).requires_grad_();
    at::Tensor slow = at::ones({1}).requires_grad_();
    const auto optimizer =
        Make(spec, {{.names = {"fast"}, .parameters = {fast}, .weight_decay = 0.5},
                    {.names = {"slow"}, .parameters = {slow}, .learning_rate_multiplier = 0.1}});
    fast.mutable_grad().fill_(1);
    slow.mutable_grad().fill_(1);
    optimizer->Step(0.1);
    // Both kinds: 0.1 of gradient and 0.05 of decay; 0.01.
    EXPECT_NEAR(fast.item<float>(), 1 - 0.1 - 0.05, 1e-6) << spec;
    EXPECT_NEAR(slow.item<float>(), 1 - 0.01, 1e-6) << spec;
    ZeroGradients({fast, slow});
    EXPECT_EQ(fast.grad().item<float>(), 0);
  }
}

TEST(ClipGradientNormTest, FollowsTorch) {
  for (double norm_max : {0.5, 2.0, 1e3}) {
    std::vector<at::Tensor> ours = MakeParameters(), theirs = MakeParameters();
    for (size_t i = 0; i < ours.size(); ++i) {
      ours[i].mutable_grad() = Gradient(ours[i], 1);
      theirs[i].mutable_grad() = Gradient(theirs[i], 1);
    }
    const double norm = ClipGradientNorm(GradientsOf(ours), norm_max);
    EXPECT_NEAR(norm, torch::nn::utils::clip_grad_norm_(theirs, norm_max), 1e-5);
    EXPECT_GT(norm, 2);
    EXPECT_LT(norm, 1e3);
    for (size_t i = 0; i < ours.size(); ++i) {
      EXPECT_TRUE(at::allclose(ours[i].grad(), theirs[i].grad(), 1e-6, 1e-7)) << norm_max;
    }
  }
}

TEST(LossScalerTest, HalvesOnOverflowAndDoublesInTheLongRun) {
  LossScaler scaler;
  const double start = scaler.scale();
  at::Tensor gradient = at::full({3}, start, at::kFloat);
  EXPECT_TRUE(scaler.Unscale({gradient}));
  scaler.Update();
  EXPECT_TRUE(at::equal(gradient, at::ones({3})));
  EXPECT_EQ(scaler.scale(), start);

  gradient[1] = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(scaler.Unscale({gradient}));
  scaler.Update();
  EXPECT_EQ(scaler.scale(), start / 2);

  for (int i = 0; i < 1'999; ++i) {
    at::Tensor fine = at::ones({1});
    EXPECT_TRUE(scaler.Unscale({fine}));
    scaler.Update();
  }
  EXPECT_EQ(scaler.scale(), start / 2);
  at::Tensor fine = at::ones({1});
  EXPECT_TRUE(scaler.Unscale({fine}));
  scaler.Update();
  EXPECT_EQ(scaler.scale(), start);
}

TEST(MovingAverageTest, FollowsItsFormula) {
  at::Tensor source = at::zeros({2});
  MovingAverage average({.decay = 0.9, .every_steps = 2, .warmup = false}, {source});
  source.fill_(1);
  average.Update(1);
  EXPECT_EQ(average.averages()[0][0].item<float>(), 0);
  average.Update(2);
  EXPECT_FLOAT_EQ(average.averages()[0][0].item<float>(), 0.1f);
  average.Update(3);
  average.Update(4);
  EXPECT_FLOAT_EQ(average.averages()[0][1].item<float>(), 0.19f);
}

TEST(MovingAverageTest, WarmsUp) {
  at::Tensor source = at::zeros({1});
  MovingAverage average({.decay = 0.5, .every_steps = 1, .warmup = true}, {source});
  source.fill_(1);
  average.Update(1);  // 1/10 of what was
  EXPECT_FLOAT_EQ(average.averages()[0].item<float>(), 0.9f);
  source.fill_(0);
  average.Update(2);  // 2/11
  EXPECT_NEAR(average.averages()[0].item<float>(), 0.9 * 2 / 11, 1e-6);
  average.Update(100);  // 0.5 from there on
  EXPECT_NEAR(average.averages()[0].item<float>(), 0.9 * 2 / 11 / 2, 1e-6);
}

}  // namespace
}  // namespace cvtrain::trainer
