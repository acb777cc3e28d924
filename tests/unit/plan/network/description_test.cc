#include "plan/network/description.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "cvtrain/v1/recipe.pb.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/plan/network/models.h"

namespace cvtrain::plan {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> NamesOf(const NetworkDescription& network, size_t count) {
  std::vector<std::string> names;
  for (size_t i = 0; i < count; ++i) names.push_back(network.layers[i].name);
  return names;
}

const Layer& FindLayer(const NetworkDescription& network, const std::string& name) {
  for (const Layer& layer : network.layers) {
    if (layer.name == name) return layer;
  }
  ADD_FAILURE() << "no layer " << name;
  return network.layers[0];
}

TEST(DescribeNetworkTest, NamesLayersAsTorchvisionDoes) {
  const NetworkDescription network = Describe(ResNetModel(18));
  EXPECT_THAT(NamesOf(network, 11), ElementsAre("conv1", "bn1", "relu", "maxpool", "layer1.0.conv1",
                                                "layer1.0.bn1", "layer1.0.relu1", "layer1.0.conv2",
                                                "layer1.0.bn2", "layer1.0.add", "layer1.0.relu"));
  EXPECT_EQ(network.layers.back().name, "fc");
}

TEST(DescribeNetworkTest, GivesEachLayerItsOwnName) {
  for (const std::string& model : AllModels()) {
    const NetworkDescription network = Describe(ModelOf(model));
    std::set<std::string> names;
    for (const Layer& layer : network.layers) {
      EXPECT_TRUE(names.insert(layer.name).second) << layer.name;
    }
  }
}

TEST(DescribeNetworkTest, AddsTheShortcutToThePath) {
  const NetworkDescription network = Describe(ResNetModel(18));
  const Layer& plain = FindLayer(network, "layer1.0.add");
  ASSERT_EQ(plain.inputs.size(), 2u);
  EXPECT_EQ(network.layers[static_cast<size_t>(plain.inputs[0])].name, "layer1.0.bn2");
  EXPECT_EQ(network.layers[static_cast<size_t>(plain.inputs[1])].name, "maxpool");

  const Layer& projected = FindLayer(network, "layer2.0.add");
  EXPECT_EQ(network.layers[static_cast<size_t>(projected.inputs[1])].name, "layer2.0.downsample.1");
  const Layer& downsample = FindLayer(network, "layer2.0.downsample.0");
  EXPECT_EQ(network.layers[static_cast<size_t>(downsample.inputs[0])].name, "layer1.1.relu");
}

TEST(DescribeNetworkTest, StridesTheMiddleConvolutionOfABottleneck) {
  const NetworkDescription network = Describe(ResNetModel(50));
  EXPECT_EQ(std::get<Conv2d>(FindLayer(network, "layer2.0.conv1").op).stride, 1);
  EXPECT_EQ(std::get<Conv2d>(FindLayer(network, "layer2.0.conv2").op).stride, 2);
}

TEST(DescribeNetworkTest, UsesTheDefaultsOfASmallResNetThatSaysNothing) {
  v1::Model empty;
  empty.mutable_small_resnet();
  empty.set_num_classes(12);
  const NetworkDescription network = Describe(empty);
  const NetworkDescription demo = Describe(DemoModel());
  ASSERT_EQ(network.layers.size(), demo.layers.size());
  EXPECT_TRUE(std::get<BatchNorm>(FindLayer(network, "layer1.0.bn2").op).zero_init);
  EXPECT_FALSE(std::get<BatchNorm>(FindLayer(network, "layer1.0.bn1").op).zero_init);
}

TEST(DescribeNetworkTest, LeavesOutPoolingInACifarStem) {
  v1::Model model = DemoModel();
  model.mutable_small_resnet()->set_stem(v1::SmallResNet::STEM_CIFAR);
  const NetworkDescription network = Describe(model);
  EXPECT_THAT(NamesOf(network, 4), ElementsAre("conv1", "bn1", "relu", "layer1.0.conv1"));
  EXPECT_EQ(std::get<Conv2d>(network.layers[0].op).stride, 1);
}

TEST(DescribeNetworkTest, RefusesWhatNoFamilyKnows) {
  const auto refused = StatusIs(absl::StatusCode::kInvalidArgument, Reason("RECIPE_INVALID"));
  EXPECT_THAT(DescribeNetwork(ResNetModel(19)), refused);
  EXPECT_THAT(DescribeNetwork(ResNetModel(19)),
              Message(HasSubstr("18, 34, 50, 101 or 152, got 19")));

  v1::Model no_family;
  no_family.set_num_classes(10);
  EXPECT_THAT(DescribeNetwork(no_family), refused);

  v1::Model no_classes = ResNetModel(18);
  no_classes.clear_num_classes();
  EXPECT_THAT(DescribeNetwork(no_classes), refused);

  v1::Model thin = DemoModel();
  thin.mutable_small_resnet()->set_widths(0, 4);
  EXPECT_THAT(DescribeNetwork(thin), refused);

  v1::Model uneven = DemoModel();
  uneven.mutable_small_resnet()->add_blocks(2);
  uneven.mutable_small_resnet()->add_blocks(2);
  EXPECT_THAT(DescribeNetwork(uneven), refused);
}

TEST(DescribeNetworkTest, RefusesOptionsOutOfRangeByTheirPath) {
  const std::pair<std::string, std::string> cases[] = {
      {"preresnet { depth: 21 }", "recipe.model.preresnet.depth: must be 9 n + 2"},
      {"mobilenet_v1 { width: 0 }", "recipe.model.mobilenet_v1.width: must be in [0.1, 4], got 0"},
      {"mobilenet_v2 { dropout: 1 }",
       "recipe.model.mobilenet_v2.dropout: must be in [0, 1), got 1"},
      {"mobilenet_v3 { width: 5 }", "recipe.model.mobilenet_v3.width"},
      {"efficientnet { scale: 5 }", "recipe.model.efficientnet.scale: must be in [0, 4], got 5"},
      {"efficientnet { drop_path: -0.1 }", "recipe.model.efficientnet.drop_path"},
      {"vgg { depth: 12 }", "recipe.model.vgg.depth: must be 11, 13, 16 or 19, got 12"},
      {"convmixer { kernel: 4 }", "recipe.model.convmixer.kernel: must be odd"},
      {"convmixer { patch: 0 }", "recipe.model.convmixer.patch"},
      {"vit {}", "recipe.model.vit.size: is required: tiny, small or base"},
      {"vit { size: SIZE_TINY image: 225 }", "recipe.model.vit.image: must be a multiple"},
      {"vit { size: SIZE_TINY patch: 0 }", "recipe.model.vit.patch"},
      {"swin {}", "recipe.model.swin.size: is required"},
      {"swin { size: SIZE_TINY window: 1 }", "recipe.model.swin.window"},
  };
  for (const auto& [model, problem] : cases) {
    EXPECT_THAT(DescribeNetwork(ModelOf(model)), Message(HasSubstr(problem))) << model;
  }
}

TEST(DescribeNetworkTest, DropsMoreOfLaterBlocks) {
  const NetworkDescription network = Describe(ModelOf("swin { size: SIZE_TINY drop_path: 0.22 }"));
  std::vector<double> probabilities;
  for (const Layer& layer : network.layers) {
    if (const auto* drop = std::get_if<DropPath>(&layer.op))
      probabilities.push_back(drop->probability);
  }
  ASSERT_EQ(probabilities.size(), 22u);  // two for each block but the first
  EXPECT_DOUBLE_EQ(probabilities.front(), 0.02);
  EXPECT_DOUBLE_EQ(probabilities.back(), 0.22);
}

}  // namespace
}  // namespace cvtrain::plan
