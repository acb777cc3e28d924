#ifndef CVTRAIN_PLAN_NETWORK_DESCRIPTION_H_
#define CVTRAIN_PLAN_NETWORK_DESCRIPTION_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"

namespace cvtrain::v1 {
class Model;
}  // namespace cvtrain::v1

namespace cvtrain::plan {

// What one layer computes. Sides are pixels; images are C x H x W.
struct Conv2d {
  int64_t in_channels = 0;
  int64_t out_channels = 0;
  int64_t kernel = 1;
  int64_t stride = 1;
  int64_t padding = 0;
  int64_t groups = 1;
  bool bias = false;
};

// Batch statistics in training, running ones (momentum 0.1, epsilon 1e-5) in
// evaluation.
struct BatchNorm2d {
  int64_t channels = 0;
  // Weights start at zero, so that the block begins as its shortcut.
  bool zero_init = false;
};

struct Relu {};

struct MaxPool2d {
  int64_t kernel = 1;
  int64_t stride = 1;
  int64_t padding = 0;
};

// Mean over height and width; the result has one number a channel.
struct GlobalAvgPool {};

struct Linear {
  int64_t in_features = 0;
  int64_t out_features = 0;
};

// Element-wise sum of its two inputs, which have one shape.
struct Add {};

using LayerOp = std::variant<Conv2d, BatchNorm2d, Relu, MaxPool2d, GlobalAvgPool, Linear, Add>;

// The input of the network, as an edge.
inline constexpr int kNetworkInput = -1;

struct Layer {
  // Unique within the network. Layers with parameters have the names that
  // torchvision gives them: `layer1.0.conv1`, `layer2.0.downsample.0`, `fc`.
  std::string name;
  LayerOp op;
  // Indices of earlier layers, or kNetworkInput. One, or two for Add.
  std::vector<int> inputs;
};

// A network as a data-flow graph, in an order in which it can be computed.
//
// The trainer builds its modules from this, and the forecast its FLOPs and
// bytes, so that the two cannot disagree. The last layer is the output.
// A value: immutable once made, by convention.
struct NetworkDescription {
  // The member of v1::Model that it comes from, such as `resnet`.
  std::string family;
  int64_t input_channels = 3;
  int64_t num_classes = 0;
  // In torchvision's order of registration, too: the parameters of these
  // layers, one after the other, are those of torchvision's state_dict().
  std::vector<Layer> layers;
};

// The network of `model`, whose defaults may be missing.
//
// Returns INVALID_ARGUMENT (RECIPE_INVALID) without a family, with a depth or
// widths that the family does not know, or without `num_classes`.
absl::StatusOr<NetworkDescription> DescribeNetwork(const v1::Model& model);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_NETWORK_DESCRIPTION_H_
