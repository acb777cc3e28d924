#ifndef CVTRAIN_PLAN_NETWORK_GRAPH_BUILDER_H_
#define CVTRAIN_PLAN_NETWORK_GRAPH_BUILDER_H_

#include <cstdint>
#include <string>
#include <utility>

#include "plan/network/description.h"

namespace cvtrain::plan {

// Appends layers to a description and remembers where the data flow stands.
// Each function returns the index of its layer. For the files of the model
// families only. Thread-compatible.
class GraphBuilder {
 public:
  explicit GraphBuilder(std::string family, int64_t num_classes);

  // A layer on the output of `input`.
  int Append(std::string name, LayerOp op, int input);
  // A layer on the output of the layer before it.
  int Append(std::string name, LayerOp op);
  int AppendAdd(std::string name, int left, int right);

  // Index of the last layer, kNetworkInput if there is none.
  int last() const { return static_cast<int>(network_.layers.size()) - 1; }

  NetworkDescription Build() && { return std::move(network_); }

 private:
  NetworkDescription network_;
};

enum class BlockKind {
  kBasic,       // two 3x3 convolutions
  kBottleneck,  // 1x1, 3x3 (which has the stride), 1x1 to four times the width
};

// Channels that a block of `width` puts out.
int64_t BlockOutChannels(BlockKind kind, int64_t width);

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

// Appends the blocks of a stage, torchvision's names and order; returns its
// number of output channels.
int64_t AppendResidualStage(const ResidualStage& stage, GraphBuilder& graph);

// Appends global average pooling and the linear layer `fc`.
void AppendClassifier(int64_t channels, int64_t num_classes, GraphBuilder& graph);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_NETWORK_GRAPH_BUILDER_H_
