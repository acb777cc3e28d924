#include "plan/network/cost.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plan/network/parameters.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/plan/network/models.h"

namespace cvtrain::plan {
namespace {

using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::HasSubstr;

constexpr ImageSize kImageNet = {224, 224};

// One convolution of 3 to 8 channels.
NetworkDescription OneConvolution(bool bias) {
  NetworkDescription network;
  network.layers.push_back(
      {"conv",
       Conv2d{.in_channels = 3, .out_channels = 8, .kernel = 3, .padding = 1, .bias = bias},
       {kNetworkInput}});
  return network;
}

double GigaMultiplyAdds(int depth) {
  return ForwardFlops(Describe(ResNetModel(depth)), kImageNet).value() / 2e9;
}

TEST(ForwardFlopsTest, AreThePublishedOnes) {
  EXPECT_NEAR(GigaMultiplyAdds(18), 1.81, 0.005);
  EXPECT_NEAR(GigaMultiplyAdds(34), 3.66, 0.005);
  EXPECT_NEAR(GigaMultiplyAdds(50), 4.09, 0.005);
}

TEST(ForwardFlopsTest, CountTwoPerMultiplyAdd) {
  EXPECT_EQ(ForwardFlops(OneConvolution(false), {4, 5}).value(), 2.0 * 4 * 5 * 8 * 3 * 3 * 3);
  EXPECT_EQ(ForwardFlops(OneConvolution(true), {4, 5}).value(),
            2.0 * 4 * 5 * 8 * 3 * 3 * 3 + 4 * 5 * 8);
}

TEST(ForwardFlopsTest, GrowWithTheAreaOfTheImage) {
  const NetworkDescription network = Describe(ResNetModel(18));
  const double ratio =
      ForwardFlops(network, {448, 448}).value() / ForwardFlops(network, kImageNet).value();
  EXPECT_NEAR(ratio, 4.0, 0.01);
}

TEST(InferShapesTest, FollowsImagesThroughTheNetwork) {
  const NetworkDescription network = Describe(ResNetModel(50));
  const std::vector<Shape> shapes = InferShapes(network, {224, 160}).value();
  EXPECT_EQ(shapes[0], (Shape{64, 112, 80}));
  EXPECT_EQ(shapes[3], (Shape{64, 56, 40}));
  EXPECT_EQ(shapes[shapes.size() - 3], (Shape{2048, 7, 5}));
  EXPECT_EQ(shapes.back(), (Shape{1000, 1, 1}));
}

TEST(InferShapesTest, RoundsOddSidesUpAsTorchDoes) {
  const std::vector<Shape> shapes = InferShapes(Describe(DemoModel()), {65, 97}).value();
  EXPECT_EQ(shapes[0], (Shape{16, 33, 49}));
  EXPECT_EQ(shapes[3], (Shape{16, 17, 25}));
}

TEST(InferShapesTest, AcceptsTheSmallestImages) {
  EXPECT_TRUE(InferShapes(Describe(ResNetModel(18)), {8, 8}).ok());
  EXPECT_TRUE(InferShapes(Describe(DemoModel()), {8, 8}).ok());
}

TEST(InferShapesTest, RefusesImagesThatAWindowDoesNotFit) {
  NetworkDescription network = OneConvolution(false);
  std::get<Conv2d>(network.layers[0].op).padding = 0;
  EXPECT_THAT(InferShapes(network, {2, 9}),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("RECIPE_INVALID"),
                       Message(HasSubstr("too small"))));
}

TEST(InferShapesTest, FindsADescriptionThatContradictsItself) {
  const auto is_internal = StatusIs(absl::StatusCode::kInternal, Reason("INTERNAL"));
  NetworkDescription channels = OneConvolution(false);
  channels.layers.push_back({"bn", BatchNorm2d{7}, {0}});
  EXPECT_THAT(InferShapes(channels, kImageNet), is_internal);

  NetworkDescription forward_edge = OneConvolution(false);
  forward_edge.layers[0].inputs = {1};
  EXPECT_THAT(InferShapes(forward_edge, kImageNet), is_internal);

  NetworkDescription sum = OneConvolution(false);
  sum.layers.push_back({"add", Add{}, {0, kNetworkInput}});
  EXPECT_THAT(InferShapes(sum, kImageNet), is_internal);

  NetworkDescription lonely = OneConvolution(false);
  lonely.layers[0].inputs = {};
  EXPECT_THAT(InferShapes(lonely, kImageNet), is_internal);
}

TEST(ActivationBytesTest, CountWhatTheBackwardPassNeeds) {
  NetworkDescription network = OneConvolution(false);
  network.layers.push_back({"bn", BatchNorm2d{8}, {0}});
  network.layers.push_back({"relu", Relu{}, {1}});
  network.layers.push_back({"pool", MaxPool2d{2, 2, 0}, {2}});
  // Image 3 x 4 x 4, convolution and activation 8 x 4 x 4, pooling 8 x 2 x 2 with indices.
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

}  // namespace
}  // namespace cvtrain::plan
