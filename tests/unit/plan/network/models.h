#ifndef CVTRAIN_TESTS_UNIT_PLAN_NETWORK_MODELS_H_
#define CVTRAIN_TESTS_UNIT_PLAN_NETWORK_MODELS_H_

#include <string>
#include <vector>

#include "cvtrain/v1/recipe.pb.h"
#include "plan/network/description.h"
#include "tests/support/proto_matchers.h"

namespace cvtrain::plan {

inline v1::Model ResNetModel(int depth, int num_classes = 1000) {
  v1::Model model;
  model.mutable_resnet()->set_depth(depth);
  model.set_num_classes(num_classes);
  return model;
}

// That of the demo: ResNet-18's layout, a quarter as wide.
inline v1::Model DemoModel(int num_classes = 12) {
  v1::Model model;
  for (int width : {16, 32, 64, 128}) model.mutable_small_resnet()->add_widths(width);
  model.set_num_classes(num_classes);
  return model;
}

// `text`: a v1::Model without classes.
inline v1::Model ModelOf(const std::string& text, int num_classes = 1000) {
  auto model = cvtrain::testing::ParseTextProto<v1::Model>(text);
  model.set_num_classes(num_classes);
  return model;
}

// One of each family, and of each size that differs in more than numbers.
inline std::vector<std::string> AllModels() {
  return {"resnet { depth: 18 }",
          "resnet { depth: 50 }",
          "small_resnet {}",
          "preresnet {}",
          "mobilenet_v1 {}",
          "mobilenet_v2 {}",
          "mobilenet_v3 {}",
          "mobilenet_v3 { size: SIZE_SMALL }",
          "efficientnet {}",
          "vgg { depth: 11 }",
          "alexnet {}",
          "convmixer {}",
          "convmixer { pointwise_residual: true }",
          "vit { size: SIZE_TINY }",
          "swin { size: SIZE_TINY }"};
}

// One convolution of 3 to 8 channels.
inline NetworkDescription OneConvolution(bool bias) {
  NetworkDescription network;
  network.layers.push_back(
      {"conv",
       Conv2d{.in_channels = 3, .out_channels = 8, .kernel = 3, .padding = 1, .bias = bias},
       {kNetworkInput}});
  return network;
}

inline NetworkDescription Describe(const v1::Model& model) {
  return DescribeNetwork(model).value();
}

}  // namespace cvtrain::plan

#endif  // CVTRAIN_TESTS_UNIT_PLAN_NETWORK_MODELS_H_
