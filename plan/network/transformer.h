#ifndef CVTRAIN_PLAN_NETWORK_TRANSFORMER_H_
#define CVTRAIN_PLAN_NETWORK_TRANSFORMER_H_

#include <cstdint>
#include <string>

#include "plan/network/graph_builder.h"

namespace cvtrain::plan {

// What transformers are made of. For the files of the model families only.

// A linear layer that starts as transformers do: normal weights of deviation 0.02, zero bias.
Linear TransformerLinear(int64_t in, int64_t out, bool bias = true);

// A convolution of patches that do not overlap, which starts as torch's.
Conv2d PatchConv(int64_t channels, int64_t patch);

// One block: attention and a perceptron of four times the channels, each on a norm of what comes
// in, which is added to what goes out.
struct TransformerBlock {
  std::string name;  // its parts are `name`.norm1, `name`.attn, `name`.norm2
  int64_t channels = 0;
  LayerOp attention;
  double epsilon = 1e-5;  // of the norms
  // The two linear layers of the perceptron.
  std::string hidden_name, output_name;
  // Probability of leaving out either part.
  double drop_path = 0;
};

void AppendTransformerBlock(const TransformerBlock& block, GraphBuilder& graph);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_NETWORK_TRANSFORMER_H_
