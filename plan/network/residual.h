#ifndef CVTRAIN_PLAN_NETWORK_RESIDUAL_H_
#define CVTRAIN_PLAN_NETWORK_RESIDUAL_H_

#include <cstdint>
#include <string>

#include "plan/network/graph_builder.h"

namespace cvtrain::plan {

// What residual networks are made of. For the files of the model families only.

enum class BlockKind {
  kBasic,       // two 3x3 convolutions
  kBottleneck,  // 1x1, 3x3 (which has the stride), 1x1 to four times the width
};

// Channels that a block of `width` puts out.
int64_t BlockOutChannels(BlockKind kind, int64_t width);

Conv2d Conv3x3(int64_t in, int64_t out, int64_t stride = 1);
Conv2d Conv1x1(int64_t in, int64_t out, int64_t stride = 1);

struct ResidualStage {
  // Such as `layer1`; its blocks are `layer1.0`, `layer1.1`, ...
  std::string name;
  BlockKind kind = BlockKind::kBasic;
  int64_t in_channels = 0;
  int64_t width = 0;
  int64_t blocks = 0;
  // Of the first block.
  int64_t stride = 1;
  bool zero_init_residual = false;
};

// Appends the blocks of a stage, torchvision's names and order; returns its number of output
// channels.
int64_t AppendResidualStage(const ResidualStage& stage, GraphBuilder& graph);

// Appends global average pooling and the linear layer `fc`.
void AppendClassifier(int64_t channels, GraphBuilder& graph);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_NETWORK_RESIDUAL_H_
