#ifndef CVTRAIN_PLAN_NETWORK_INVERTED_RESIDUAL_H_
#define CVTRAIN_PLAN_NETWORK_INVERTED_RESIDUAL_H_

#include <cstdint>
#include <optional>
#include <string>

#include "plan/network/graph_builder.h"

namespace cvtrain::plan {

// What networks for small machines are made of, with torchvision's names. For the files of the
// model families only.

// The multiple of `divisor` nearest to `value`, at least `divisor`, and no more than a tenth below
// (Sandler et al. 2018, as torchvision does it).
int64_t MakeDivisible(double value, int64_t divisor = 8);

// A convolution without bias whose input is as large as its output at stride 1.
Conv2d SameConv(int64_t in, int64_t out, int64_t kernel, int64_t stride = 1, int64_t groups = 1);

// How the norms of a network are set.
struct NormOptions {
  double epsilon = 1e-5;
  double momentum = 0.1;
};

// Appends `name`.0, a convolution, `name`.1, its norm, and, if there is one, `name`.2, the
// activation.
void AppendConvNorm(const std::string& name, const Conv2d& conv, const NormOptions& norm,
                    std::optional<Activation::Kind> activation, GraphBuilder& graph);

struct SqueezeExcite {
  int64_t channels = 0;
  int64_t squeezed = 0;
  Activation::Kind activation = Activation::Kind::kRelu;
  Activation::Kind gate = Activation::Kind::kHardSigmoid;
};

// Appends a gate for each channel of the layer before (Hu et al. 2018): `name`.fc1, `name`.fc2.
void AppendSqueezeExcite(const std::string& name, const SqueezeExcite& options,
                         GraphBuilder& graph);

// A block that widens, convolves each channel by itself, and narrows again; with a shortcut where
// its sizes allow one.
struct InvertedResidual {
  std::string name;
  int64_t in_channels = 0;
  int64_t expanded = 0;
  int64_t out_channels = 0;
  int64_t kernel = 3;
  int64_t stride = 1;
  Activation::Kind activation = Activation::Kind::kRelu;
  // Of its channels, `squeezed` in the middle; none: no gate.
  std::optional<SqueezeExcite> squeeze_excite = {};
  NormOptions norm = {};
  // Probability of leaving out the block, where it has a shortcut.
  double drop_path = 0;
};

// Parts are `name`.block.0, `name`.block.1, ..., as in torchvision's MobileNetV3 and EfficientNet.
void AppendInvertedResidual(const InvertedResidual& block, GraphBuilder& graph);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_NETWORK_INVERTED_RESIDUAL_H_
