#ifndef CVTRAIN_TESTS_UNIT_PLAN_NETWORK_MODELS_H_
#define CVTRAIN_TESTS_UNIT_PLAN_NETWORK_MODELS_H_

#include "cvtrain/v1/recipe.pb.h"
#include "plan/network/description.h"

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

inline NetworkDescription Describe(const v1::Model& model) {
  return DescribeNetwork(model).value();
}

}  // namespace cvtrain::plan

#endif  // CVTRAIN_TESTS_UNIT_PLAN_NETWORK_MODELS_H_
