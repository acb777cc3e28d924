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

// How a weight starts.
struct WeightInit {
  enum class Kind {
    // Normal, mean 0, variance 2 / fan_out (He et al.); fan_out = outputs / groups * kernel^2.
    kKaimingNormalFanOut,
    // Uniform in +-1/sqrt(fan_in): what torch gives convolutions and linear layers.
    kUniformFanIn,
    // Uniform in +-1/sqrt(fan_out).
    kUniformFanOut,
    // Normal, mean 0, deviation `deviation`. What others truncate at a hundred deviations is this.
    kNormal,
  };
  Kind kind = Kind::kUniformFanIn;
  double deviation = 0;
};

// How a bias starts.
enum class BiasInit {
  // With the fan_in of the weight.
  kUniformFanIn,
  kZeros,
};

// What one layer computes. Sides are pixels; images are C x H x W. A grid is H x W x C, tokens are
// N x C, and a vector is C: what a layer takes and gives is in ShapeRule in shapes.cc.

// Images.
struct Conv2d {
  int64_t in_channels = 0;
  int64_t out_channels = 0;
  int64_t kernel = 1;
  int64_t stride = 1;
  int64_t padding = 0;
  int64_t groups = 1;
  bool bias = false;
  WeightInit init = {WeightInit::Kind::kKaimingNormalFanOut};
  BiasInit bias_init = BiasInit::kUniformFanIn;
};

// Images, or a vector. Batch statistics in training, running ones in evaluation.
struct BatchNorm {
  int64_t channels = 0;
  // Weights start at zero, so that the block begins as its shortcut.
  bool zero_init = false;
  double epsilon = 1e-5;
  // Of the running statistics.
  double momentum = 0.1;
};

// Over the channels of a grid or of tokens.
struct LayerNorm {
  int64_t channels = 0;
  double epsilon = 1e-5;
};

struct Activation {
  enum class Kind { kRelu, kRelu6, kHardSwish, kHardSigmoid, kSigmoid, kSilu, kGelu };
  Kind kind = Kind::kRelu;
};

struct MaxPool2d {
  int64_t kernel = 1;
  int64_t stride = 1;
  int64_t padding = 0;
};

// Images to images of this size, whatever theirs was: each pixel the mean of an even share.
struct AdaptiveAvgPool2d {
  int64_t height = 1;
  int64_t width = 1;
};

// Mean over height and width of images; the result is a vector.
struct GlobalAvgPool {};

// The same of a grid.
struct GridAvgPool {};

// Images to a vector: channel by channel, row by row.
struct Flatten {};

// A vector, or each place of a grid or of tokens.
struct Linear {
  int64_t in_features = 0;
  int64_t out_features = 0;
  bool bias = true;
  WeightInit init = {WeightInit::Kind::kUniformFanIn};
  BiasInit bias_init = BiasInit::kUniformFanIn;
};

// Element-wise sum of its two inputs, which have one shape.
struct Add {};

// Images times one number for each channel: the second input is 1 x 1.
struct ScaleChannels {};

// In training, zeroes each number with this probability and divides the others by the rest.
struct Dropout {
  double probability = 0;
};

// In training, zeroes all of a picture with this probability and divides the others by the rest
// (stochastic depth, Huang et al. 2016, as torchvision's mode `row`).
struct DropPath {
  double probability = 0;
};

// Images to a grid.
struct ToGrid {};

// Images to tokens, row by row, after a learned class token; learned positions are added
// (Dosovitskiy et al. 2021). Positions are for the grid of the size that the network is made for,
// and resampled bicubically for others.
struct EmbedTokens {
  int64_t channels = 0;
  int64_t grid_height = 0;
  int64_t grid_width = 0;
};

// The first of the tokens, as a vector.
struct ClassToken {};

// Multi-head self-attention over tokens, with its projections `qkv` and `proj`.
struct SelfAttention {
  int64_t channels = 0;
  int64_t heads = 1;
};

// The same within windows of a grid, which may be shifted by half of one, with a learned bias for
// each offset of two places (Liu et al. 2021). Grids that windows do not fill are padded, and no
// side is shifted along which there is one window only.
struct WindowAttention {
  int64_t channels = 0;
  int64_t heads = 1;
  int64_t window = 7;
  bool shifted = false;
};

// A grid to one of half the sides, rounded up, and four times the channels: each place takes its 2
// x 2, in the order (0, 0), (1, 0), (0, 1), (1, 1) of (row, column). Odd sides are padded with
// zeros.
struct MergePatches {};

using LayerOp =
    std::variant<Conv2d, BatchNorm, LayerNorm, Activation, MaxPool2d, AdaptiveAvgPool2d,
                 GlobalAvgPool, GridAvgPool, Flatten, Linear, Add, ScaleChannels, Dropout, DropPath,
                 ToGrid, EmbedTokens, ClassToken, SelfAttention, WindowAttention, MergePatches>;

// The input of the network, as an edge.
inline constexpr int kNetworkInput = -1;

struct Layer {
  // Unique within the network. Layers with parameters have the names that torchvision gives them,
  // or timm where torchvision has no such network: `layer1.0.conv1`, `layer2.0.downsample.0`, `fc`.
  std::string name;
  LayerOp op;
  // Indices of earlier layers, or kNetworkInput. One, or two for Add and ScaleChannels.
  std::vector<int> inputs;
};

// A network as a data-flow graph, in an order in which it can be computed.
//
// The trainer builds its modules from this, and the forecast its FLOPs and bytes, so that the two
// cannot disagree. The last layer is the output. A value: immutable once made, by convention.
struct NetworkDescription {
  // The member of v1::Model that it comes from, such as `resnet`.
  std::string family;
  int64_t input_channels = 3;
  int64_t num_classes = 0;
  std::vector<Layer> layers;
};

// The network of `model`, whose defaults may be missing.
//
// Returns INVALID_ARGUMENT (RECIPE_INVALID) without a family, with a depth or widths that the
// family does not know, or without `num_classes`.
absl::StatusOr<NetworkDescription> DescribeNetwork(const v1::Model& model);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_NETWORK_DESCRIPTION_H_
