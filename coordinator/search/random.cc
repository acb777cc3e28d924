#include <utility>

#include "coordinator/search/draws.h"
#include "coordinator/search/fixed_list.h"
#include "coordinator/search/methods.h"
#include "plan/recipe/search_space.h"

namespace cvtrain::coordinator {
namespace {

class RandomSearcher : public FixedList {
 public:
  RandomSearcher(plan::SearchSpace space, int64_t trials, uint64_t seed)
      : space_(std::move(space)), trials_(trials), seed_(seed) {}

 private:
  int64_t Size() const override { return trials_; }

  Parameters At(int64_t index) const override {
    return DrawOrFirst(space_, seed_, static_cast<uint64_t>(index));
  }

  const plan::SearchSpace space_;
  const int64_t trials_;
  const uint64_t seed_;
};

}  // namespace

std::unique_ptr<Searcher> MakeRandom(const v1::ExperimentSpec& spec) {
  const v1::RandomSearch& search = spec.search().random();
  return std::make_unique<RandomSearcher>(*plan::SearchSpace::Of(spec.search()), search.trials(),
                                          SeedOf(search, spec));
}

}  // namespace cvtrain::coordinator
