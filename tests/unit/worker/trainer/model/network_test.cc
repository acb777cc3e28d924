#include "worker/trainer/model/network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <string>

#include "cvtrain/v1/recipe.pb.h"
#include "plan/network/description.h"

namespace cvtrain::trainer {
namespace {

using ::testing::IsEmpty;
using ::testing::Not;

constexpr int kClasses = 10;

plan::NetworkDescription Describe(int depth) {
  cvtrain::v1::Model model;
  model.mutable_resnet()->set_depth(depth);
  model.set_num_classes(kClasses);
  return *plan::DescribeNetwork(model);
}

plan::NetworkDescription DescribeSmall() {
  cvtrain::v1::Model model;
  for (int width : {8, 16}) model.mutable_small_resnet()->add_widths(width);
  model.set_num_classes(kClasses);
  return *plan::DescribeNetwork(model);
}

const at::Tensor& StateOf(const Network& network, const std::string& name) {
  for (const Network::State& state : network.states()) {
    if (state.name == name) return state.tensor;
  }
  ADD_FAILURE() << "no tensor " << name;
  return network.states()[0].tensor;
}

TEST(NetworkTest, FrozenBuffersStayAsTheyWere) {
  Network network(DescribeSmall(), {});
  network.Initialize(1);
  const at::Tensor images = at::rand({2, 3, 32, 32});
  const at::Tensor before = StateOf(network, "bn1.running_mean").clone();
  const at::Tensor frozen = network.Forward(images, Network::Mode::kTrainFrozenBuffers);
  EXPECT_TRUE(at::equal(StateOf(network, "bn1.running_mean"), before));
  EXPECT_EQ(StateOf(network, "bn1.num_batches_tracked").item<int64_t>(), 0);
  const at::Tensor updated = network.Forward(images, Network::Mode::kTrain);
  EXPECT_FALSE(at::equal(StateOf(network, "bn1.running_mean"), before));
  EXPECT_TRUE(at::equal(frozen, updated));
}

TEST(NetworkTest, InitializesFromTheSeedAlone) {
  Network a(DescribeSmall(), {});
  Network b(DescribeSmall(), {.channels_last = true});
  Network c(DescribeSmall(), {});
  a.Initialize(1);
  b.Initialize(1);
  c.Initialize(2);
  for (size_t i = 0; i < a.states().size(); ++i) {
    EXPECT_TRUE(at::equal(a.states()[i].tensor, b.states()[i].tensor)) << a.states()[i].name;
  }
  EXPECT_FALSE(at::equal(StateOf(a, "conv1.weight"), StateOf(c, "conv1.weight")));
}

TEST(NetworkTest, InitializesLikeTorchvision) {
  Network network(Describe(18), {});
  network.Initialize(3);
  const at::Tensor weight = StateOf(network, "layer3.0.conv1.weight");
  EXPECT_NEAR(weight.std().item<double>(), std::sqrt(2.0 / (256 * 9)), 2e-4);
  EXPECT_NEAR(weight.mean().item<double>(), 0, 2e-4);
  const at::Tensor fc = StateOf(network, "fc.weight");
  EXPECT_LE(fc.abs().max().item<double>(), 1 / std::sqrt(512.0));
  EXPECT_NEAR(fc.std().item<double>(), 1 / std::sqrt(3 * 512.0), 1e-3);
  EXPECT_TRUE(at::equal(StateOf(network, "bn1.weight"), at::ones({64})));
  EXPECT_TRUE(at::equal(StateOf(network, "bn1.running_var"), at::ones({64})));
}

// A batch, or a part of one, that leaves a norm one number for each channel.
TEST(NetworkTest, ASingleNumberChangesNoRunningVariance) {
  cvtrain::v1::Model model;
  for (int width : {8, 16}) model.mutable_small_resnet()->add_widths(width);
  model.set_num_classes(kClasses);
  Network network(*plan::DescribeNetwork(model), {});
  network.Initialize(1);
  network.Forward(at::rand({1, 3, 8, 8}), Network::Mode::kTrain).sum().backward();
  for (const Network::State& state : network.states()) {
    EXPECT_TRUE(at::isfinite(state.tensor).all().item<bool>()) << state.name;
  }
}

TEST(NetworkTest, GivesEveryParameterAGradient) {
  Network network(DescribeSmall(), {});
  network.Initialize(1);
  network.Forward(at::rand({2, 3, 32, 32}), Network::Mode::kTrain).sum().backward();
  EXPECT_THAT(network.Parameters(), Not(IsEmpty()));
  for (const at::Tensor& parameter : network.Parameters()) EXPECT_TRUE(parameter.grad().defined());
}

}  // namespace
}  // namespace cvtrain::trainer
