#include <utility>

#include "coordinator/search/fixed_list.h"
#include "coordinator/search/methods.h"

namespace cvtrain::coordinator {
namespace {

class Grid : public FixedList {
 public:
  explicit Grid(v1::GridSearch search) : search_(std::move(search)) {
    for (const v1::GridParameter& parameter : search_.parameters()) {
      size_ *= parameter.values_size();
    }
  }

 private:
  int64_t Size() const override { return size_; }

  // The digits of `index` in the mixed radix of the parameters' counts.
  Parameters At(int64_t index) const override {
    Parameters parameters;
    for (int i = search_.parameters_size() - 1; i >= 0; --i) {
      const v1::GridParameter& parameter = search_.parameters(i);
      const int count = parameter.values_size();
      parameters[parameter.parameter()] = parameter.values(static_cast<int>(index % count));
      index /= count;
    }
    return parameters;
  }

  const v1::GridSearch search_;
  int64_t size_ = 1;
};

}  // namespace

std::unique_ptr<Searcher> MakeGrid(const v1::ExperimentSpec& spec) {
  return std::make_unique<Grid>(spec.search().grid());
}

}  // namespace cvtrain::coordinator
