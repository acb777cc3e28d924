#include <utility>
#include <vector>

#include "common/random.h"
#include "coordinator/search/draws.h"
#include "coordinator/search/fixed_list.h"
#include "coordinator/search/methods.h"
#include "coordinator/search/sobol_sequence.h"

namespace cvtrain::coordinator {
namespace {

// Points that break a constraint are replaced by later ones of the sequence: those of trial k by
// k + trials, k + 2 trials, and so on, so that no trial depends on another.
class Sobol : public FixedList {
 public:
  Sobol(plan::SearchSpace space, int64_t trials, uint64_t seed)
      : space_(std::move(space)), trials_(trials), seed_(seed) {
    for (size_t i = 0; i < space_.size(); ++i) {
      shifts_.push_back(KeyedStream("search/sobol/v1", {seed, i}).NextU32());
    }
  }

 private:
  int64_t Size() const override { return trials_; }

  Parameters At(int64_t index) const override {
    for (uint64_t draw = 0; draw < plan::SearchSpace::kDrawsMax; ++draw) {
      const uint64_t at = static_cast<uint64_t>(index) + draw * static_cast<uint64_t>(trials_);
      Parameters chosen = space_.AtUnit(UnitPoint(static_cast<uint32_t>(at)));
      if (space_.Allows(chosen)) return chosen;
    }
    return DrawOrFirst(space_, seed_, static_cast<uint64_t>(index));
  }

  // A digital shift keeps how evenly the points lie, and leaves none on a bound.
  std::vector<double> UnitPoint(uint32_t index) const {
    std::vector<double> unit;
    for (size_t i = 0; i < shifts_.size(); ++i) {
      const uint32_t point = SobolPoint(index, static_cast<int>(i)) ^ shifts_[i];
      unit.push_back((static_cast<double>(point) + 0.5) * 0x1p-32);
    }
    return unit;
  }

  const plan::SearchSpace space_;
  const int64_t trials_;
  const uint64_t seed_;
  std::vector<uint32_t> shifts_;  // constant after construction
};

}  // namespace

std::unique_ptr<Searcher> MakeSobol(const v1::ExperimentSpec& spec) {
  const v1::SobolSearch& search = spec.search().sobol();
  return std::make_unique<Sobol>(*plan::SearchSpace::Of(spec.search()), search.trials(),
                                 SeedOf(search, spec));
}

}  // namespace cvtrain::coordinator
