#include "plan/network/graph_builder.h"

namespace cvtrain::plan {

GraphBuilder::GraphBuilder(std::string family, int64_t num_classes) {
  network_.family = std::move(family);
  network_.num_classes = num_classes;
}

int GraphBuilder::Append(std::string name, LayerOp op, int input) {
  network_.layers.push_back({std::move(name), op, {input}});
  return last();
}

int GraphBuilder::Append(std::string name, LayerOp op) {
  return Append(std::move(name), op, last());
}

int GraphBuilder::Append(std::string name, LayerOp op, int left, int right) {
  network_.layers.push_back({std::move(name), op, {left, right}});
  return last();
}

int GraphBuilder::AppendDropout(std::string name, double probability) {
  return probability > 0 ? Append(std::move(name), Dropout{probability}) : last();
}

int GraphBuilder::AppendDropPath(std::string name, double probability) {
  return probability > 0 ? Append(std::move(name), DropPath{probability}) : last();
}

}  // namespace cvtrain::plan
