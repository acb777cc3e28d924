#include "plan/network/memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plan/network/named_layers.h"
#include "plan/network/parameters.h"
#include "tests/unit/plan/network/models.h"

namespace cvtrain::plan {
namespace {

TEST(ActivationBytesTest, CountWhatTheBackwardPassNeeds) {
  NetworkDescription network = OneConvolution(false);
  network.layers.push_back({"bn", BatchNorm{8}, {0}});
  network.layers.push_back({"relu", Activation{}, {1}});
  network.layers.push_back({"pool", MaxPool2d{2, 2, 0}, {2}});
  // Image 3 x 4 x 4, convolution and activation 8 x 4 x 4, the indices of pooling, 8 x 2 x 2, whose
  // output nothing reads.
  EXPECT_EQ(ActivationBytes(network, {4, 4}).value(), 4 * (3 * 16 + 8 * 16 + 8 * 16) + 8 * (8 * 4));
  network.layers.push_back({"conv2", Conv2d{.in_channels = 8, .out_channels = 8}, {3}});
  EXPECT_EQ(ActivationBytes(network, {4, 4}).value(),
            4 * (3 * 16 + 8 * 16 + 8 * 16 + 8 * 4) + 8 * (8 * 4));
}

TEST(PeakMemoryBytesTest, AddsUpItsParts) {
  const NetworkDescription network = Describe(DemoModel());
  const MemoryOptions one{.size = {96, 96}, .batch_size = 1, .optimizer_state_per_parameter = 1};
  MemoryOptions two = one;
  two.batch_size = 2;
  const int64_t per_image =
      PeakMemoryBytes(network, two).value() - PeakMemoryBytes(network, one).value();
  EXPECT_GT(per_image, ActivationBytes(network, {96, 96}).value());

  MemoryOptions plain = one;
  plain.optimizer_state_per_parameter = 0;
  EXPECT_EQ(PeakMemoryBytes(network, one).value() - PeakMemoryBytes(network, plain).value(),
            ParameterBytes(network));
  EXPECT_GT(PeakMemoryBytes(network, plain).value(), kProcessBytes);
}

TEST(PeakMemoryBytesTest, CountsAveragesAndNoGradientsOfWhatIsFrozen) {
  const NetworkDescription network = Describe(DemoModel());
  const MemoryOptions all{.size = {96, 96}, .batch_size = 2, .optimizer_state_per_parameter = 2};
  MemoryOptions averaged = all;
  averaged.averaged = true;
  EXPECT_EQ(PeakMemoryBytes(network, averaged).value() - PeakMemoryBytes(network, all).value(),
            ParameterBytes(network) + BufferBytes(network));

  MemoryOptions frozen = all;
  frozen.frozen = FrozenLayers(network, {"backbone"}).value();
  // Of the last layer: 128 x 12 weights and 12 biases; of the rest, gradient and two numbers each
  // less, and no activations but the input of that layer.
  const int64_t trained = 4 * (128 * 12 + 12);
  EXPECT_EQ(ActivationBytes(network, {96, 96}, frozen.frozen).value(), 4 * 128);
  EXPECT_GT(PeakMemoryBytes(network, all).value() - PeakMemoryBytes(network, frozen).value(),
            3 * (ParameterBytes(network) - trained));
}

TEST(PeakMemoryBytesTest, OfHalfThePrecisionIsLess) {
  const NetworkDescription network = Describe(DemoModel());
  MemoryOptions options{.size = {96, 96}, .batch_size = 8};
  const int64_t whole = PeakMemoryBytes(network, options).value();
  options.half_precision = true;
  EXPECT_LT(PeakMemoryBytes(network, options).value(), whole);
}

TEST(OverwritesInputTest, SparesWhatTheBackwardPassNeeds) {
  NetworkDescription network = OneConvolution(false);
  network.layers.push_back({"relu", Activation{}, {0}});  // the convolution's own output
  network.layers.push_back({"bn", BatchNorm{8}, {1}});
  network.layers.push_back({"relu1", Activation{}, {2}});
  network.layers.push_back({"bn2", BatchNorm{8}, {3}});
  network.layers.push_back({"silu", Activation{Activation::Kind::kSilu}, {4}});
  network.layers.push_back({"add", Add{}, {5, 3}});
  network.layers.push_back({"relu2", Activation{}, {6}});
  network.layers.push_back({"add2", Add{}, {6, 7}});  // reads what relu2 would overwrite
  EXPECT_THAT(OverwritesInput(network),
              ::testing::ElementsAre(false, false, false, true, false, false, false, false, false));
}

}  // namespace
}  // namespace cvtrain::plan
