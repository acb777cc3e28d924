#include "plan/network/cost.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "tests/unit/plan/network/models.h"

namespace cvtrain::plan {
namespace {

constexpr ImageSize kImageNet = {224, 224};

double GigaMultiplyAdds(const std::string& model) {
  return ForwardFlops(Describe(ModelOf(model)), kImageNet).value() / 2e9;
}

// Those of torchvision and timm, in their documentation.
TEST(ForwardFlopsTest, AreThePublishedOnes) {
  const std::pair<std::string, double> cases[] = {
      {"resnet { depth: 18 }", 1.81},     {"resnet { depth: 34 }", 3.66},
      {"resnet { depth: 50 }", 4.09},     {"resnet { depth: 101 }", 7.80},
      {"mobilenet_v1 {}", 0.57},          {"mobilenet_v2 {}", 0.30},
      {"mobilenet_v3 {}", 0.22},          {"efficientnet {}", 0.39},
      {"vgg { depth: 11 }", 7.61},        {"vgg { depth: 19 }", 19.63},
      {"vit { size: SIZE_TINY }", 1.26},  {"vit { size: SIZE_SMALL }", 4.61},
      {"swin { size: SIZE_TINY }", 4.49},
  };
  for (const auto& [model, expected] : cases) {
    EXPECT_NEAR(GigaMultiplyAdds(model), expected, 0.011) << model;
  }
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

}  // namespace
}  // namespace cvtrain::plan
