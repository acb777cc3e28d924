#include "plan/network/shapes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/support/status_matchers.h"
#include "tests/unit/plan/network/models.h"

namespace cvtrain::plan {
namespace {

using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::HasSubstr;

TEST(InferShapesTest, FollowsImagesThroughTheNetwork) {
  const NetworkDescription network = Describe(ResNetModel(50));
  const std::vector<Shape> shapes = InferShapes(network, {224, 160}).value();
  EXPECT_EQ(shapes[0], (Shape{64, 112, 80}));
  EXPECT_EQ(shapes[3], (Shape{64, 56, 40}));
  EXPECT_EQ(shapes[shapes.size() - 3], (Shape{2048, 7, 5}));
  EXPECT_EQ(shapes.back(), (Shape{1000, 1, 1, Shape::Layout::kVector}));
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
  channels.layers.push_back({"bn", BatchNorm{7}, {0}});
  EXPECT_THAT(InferShapes(channels, ImageSize{224, 224}), is_internal);

  NetworkDescription forward_edge = OneConvolution(false);
  forward_edge.layers[0].inputs = {1};
  EXPECT_THAT(InferShapes(forward_edge, ImageSize{224, 224}), is_internal);

  NetworkDescription sum = OneConvolution(false);
  sum.layers.push_back({"add", Add{}, {0, kNetworkInput}});
  EXPECT_THAT(InferShapes(sum, ImageSize{224, 224}), is_internal);

  NetworkDescription lonely = OneConvolution(false);
  lonely.layers[0].inputs = {};
  EXPECT_THAT(InferShapes(lonely, ImageSize{224, 224}), is_internal);
}

TEST(InferShapesTest, FollowsGridsAndTokens) {
  const auto find = [](const std::string& model, const std::string& layer, ImageSize size) {
    const NetworkDescription network = Describe(ModelOf(model));
    const std::vector<Shape> shapes = InferShapes(network, size).value();
    for (size_t i = 0; i < shapes.size(); ++i) {
      if (network.layers[i].name == layer) return shapes[i];
    }
    ADD_FAILURE() << "no layer " << layer;
    return Shape{};
  };
  const std::string vit = "vit { size: SIZE_TINY }";
  EXPECT_EQ(find(vit, "blocks.3.attn", {224, 160}), (Shape{192, 14, 10, Shape::Layout::kTokens}));
  EXPECT_EQ(find(vit, "blocks.3.attn", {224, 160}).Places(), 141);
  const std::string swin = "swin { size: SIZE_TINY }";
  EXPECT_EQ(find(swin, "features.3.1.attn", {224, 100}),
            (Shape{192, 28, 13, Shape::Layout::kGrid}));
}

// Every family at the smallest image that recipes allow and at one with odd sides.
TEST(InferShapesTest, AcceptsWhatEveryFamilyAccepts) {
  for (const std::string& model : AllModels()) {
    EXPECT_TRUE(InferShapes(Describe(ModelOf(model)), {97, 131}).ok()) << model;
  }
}

}  // namespace
}  // namespace cvtrain::plan
