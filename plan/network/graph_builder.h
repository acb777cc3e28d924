#ifndef CVTRAIN_PLAN_NETWORK_GRAPH_BUILDER_H_
#define CVTRAIN_PLAN_NETWORK_GRAPH_BUILDER_H_

#include <cstdint>
#include <string>
#include <utility>

#include "plan/network/description.h"

namespace cvtrain::plan {

// Appends layers to a description and remembers where the data flow stands. Each function returns
// the index of its layer. For the files of the model families only. Thread-compatible.
class GraphBuilder {
 public:
  GraphBuilder(std::string family, int64_t num_classes);

  // A layer on the output of `input`.
  int Append(std::string name, LayerOp op, int input);
  // A layer on the output of the layer before it.
  int Append(std::string name, LayerOp op);
  // A layer of two inputs.
  int Append(std::string name, LayerOp op, int left, int right);

  // A layer on the output of the layer before it, unless `probability` is 0; returns last().
  int AppendDropout(std::string name, double probability);
  int AppendDropPath(std::string name, double probability);

  // Index of the last layer, kNetworkInput if there is none.
  int last() const { return static_cast<int>(network_.layers.size()) - 1; }
  int64_t num_classes() const { return network_.num_classes; }

  NetworkDescription Build() && { return std::move(network_); }

 private:
  NetworkDescription network_;
};

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_NETWORK_GRAPH_BUILDER_H_
