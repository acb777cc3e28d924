#include "plan/network/parameters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <utility>

#include "tests/unit/plan/network/models.h"

namespace cvtrain::plan {
namespace {

using ::testing::ElementsAre;

std::map<std::string, TensorSpec> ByName(const NetworkDescription& network) {
  std::map<std::string, TensorSpec> tensors;
  for (const TensorSpec& tensor : StateTensors(network)) tensors[tensor.name] = tensor;
  return tensors;
}

// Those of torchvision and timm; for preresnet those of Nunez et al. 2023, for alexnet those of
// Bagherinezhad et al. 2018.
TEST(ParameterCountTest, IsThePublishedOne) {
  const std::pair<std::string, int64_t> cases[] = {
      {"resnet { depth: 18 }", 11'689'512},
      {"resnet { depth: 34 }", 21'797'672},
      {"resnet { depth: 50 }", 25'557'032},
      {"resnet { depth: 101 }", 44'549'160},
      {"resnet { depth: 152 }", 60'192'808},
      {"mobilenet_v1 {}", 4'231'976},
      {"mobilenet_v2 {}", 3'504'872},
      {"mobilenet_v3 {}", 5'483'032},
      {"mobilenet_v3 { size: SIZE_SMALL }", 2'542'856},
      {"efficientnet {}", 5'288'548},
      {"efficientnet { scale: 1 }", 7'794'184},
      {"efficientnet { scale: 2 }", 9'109'994},
      {"efficientnet { scale: 3 }", 12'233'232},
      {"efficientnet { scale: 4 }", 19'341'616},
      {"vgg { depth: 11 }", 132'868'840},
      {"vgg { depth: 13 }", 133'053'736},
      {"vgg { depth: 16 }", 138'365'992},
      {"vgg { depth: 19 }", 143'678'248},
      {"alexnet {}", 62'396'480},
      {"convmixer {}", 21'110'248},
      {"vit { size: SIZE_TINY }", 5'717'416},
      {"vit { size: SIZE_SMALL }", 22'050'664},
      {"vit { size: SIZE_BASE }", 86'567'656},
      {"swin { size: SIZE_TINY }", 28'288'354},
      {"swin { size: SIZE_SMALL }", 49'606'258},
  };
  for (const auto& [model, count] : cases) {
    EXPECT_EQ(ParameterCount(Describe(ModelOf(model))), count) << model;
  }
  EXPECT_EQ(ParameterCount(Describe(ModelOf("preresnet {}", 10))), 219'472);
  // SPIN's: 768 channels, patches of 14.
  EXPECT_EQ(ParameterCount(Describe(ModelOf("convmixer { patch: 14 kernel: 3 }"))), 20'465'896);
}

TEST(ParameterCountTest, OfTheDemoIsSevenTenthsOfAMillion) {
  EXPECT_NEAR(static_cast<double>(ParameterCount(Describe(DemoModel()))), 0.70e6, 0.005e6);
}

TEST(StateTensorsTest, AreInTorchvisionsOrder) {
  const std::vector<TensorSpec> tensors = StateTensors(Describe(ResNetModel(18)));
  std::vector<std::string> names;
  for (size_t i = 0; i < 8; ++i) names.push_back(tensors[i].name);
  EXPECT_THAT(names, ElementsAre("conv1.weight", "bn1.weight", "bn1.bias", "bn1.running_mean",
                                 "bn1.running_var", "bn1.num_batches_tracked",
                                 "layer1.0.conv1.weight", "layer1.0.bn1.weight"));
  // ResNet-18 has 62 parameters and 60 buffers in torchvision's state_dict().
  EXPECT_EQ(tensors.size(), 122u);
  EXPECT_EQ(tensors.back().name, "fc.bias");
}

TEST(StateTensorsTest, HaveTorchvisionsShapes) {
  auto tensors = ByName(Describe(ResNetModel(50)));
  EXPECT_THAT(tensors["conv1.weight"].shape, ElementsAre(64, 3, 7, 7));
  EXPECT_THAT(tensors["layer1.0.downsample.0.weight"].shape, ElementsAre(256, 64, 1, 1));
  EXPECT_THAT(tensors["layer4.2.conv2.weight"].shape, ElementsAre(512, 512, 3, 3));
  EXPECT_THAT(tensors["fc.weight"].shape, ElementsAre(1000, 2048));
  EXPECT_THAT(tensors["bn1.num_batches_tracked"].shape, ElementsAre());
  EXPECT_EQ(tensors["bn1.num_batches_tracked"].ElementCount(), 1);
}

TEST(StateTensorsTest, StartAsTorchvisionsDo) {
  auto tensors = ByName(Describe(ResNetModel(18)));
  EXPECT_EQ(tensors["conv1.weight"].init, TensorInit::kNormal);
  EXPECT_DOUBLE_EQ(tensors["conv1.weight"].scale, std::sqrt(2.0 / (64 * 7 * 7)));
  EXPECT_EQ(tensors["fc.weight"].init, TensorInit::kUniform);
  EXPECT_DOUBLE_EQ(tensors["fc.bias"].scale, 1 / std::sqrt(512.0));
  EXPECT_EQ(tensors["bn1.weight"].init, TensorInit::kOnes);
  EXPECT_EQ(tensors["bn1.running_mean"].init, TensorInit::kZeros);
  EXPECT_EQ(tensors["bn1.running_var"].init, TensorInit::kOnes);
}

TEST(StateTensorsTest, StartTheLastNormOfABlockAtZeroWhereAsked) {
  v1::Model model = ResNetModel(50);
  model.mutable_resnet()->set_zero_init_residual(true);
  auto tensors = ByName(Describe(model));
  EXPECT_EQ(tensors["layer1.0.bn3.weight"].init, TensorInit::kZeros);
  EXPECT_EQ(tensors["layer1.0.bn2.weight"].init, TensorInit::kOnes);
  EXPECT_EQ(tensors["layer1.0.downsample.1.weight"].init, TensorInit::kOnes);
}

TEST(StateTensorsTest, AreParametersOrBuffers) {
  auto tensors = ByName(Describe(ResNetModel(18)));
  EXPECT_TRUE(tensors["bn1.bias"].IsParameter());
  EXPECT_FALSE(tensors["bn1.running_var"].IsParameter());
  EXPECT_FALSE(tensors["bn1.num_batches_tracked"].IsParameter());
}

TEST(BytesTest, CountFloatsAndCounters) {
  const NetworkDescription network = Describe(ResNetModel(18));
  EXPECT_EQ(ParameterBytes(network), 4 * 11'689'512);
  // 20 norms with 4,800 channels together.
  EXPECT_EQ(BufferBytes(network), 4 * 2 * 4800 + 8 * 20);
}

}  // namespace
}  // namespace cvtrain::plan
