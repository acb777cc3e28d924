#ifndef CVTRAIN_COORDINATOR_SEARCH_DRAWS_H_
#define CVTRAIN_COORDINATOR_SEARCH_DRAWS_H_

#include <cstdint>

#include "coordinator/search/searcher.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/recipe/search_space.h"

// What the methods share that draw from a space. Pure; thread-safe.
namespace cvtrain::coordinator {

// Their own seed, or the recipe's.
template <typename Method>
uint64_t SeedOf(const Method& method, const v1::ExperimentSpec& spec) {
  return method.has_seed() ? method.seed() : spec.recipe().seed();
}

// The draw of (seed, index). A specification whose constraints leave next to nothing was refused;
// should a thousand draws miss all the same, the one that submission found is drawn again.
inline Parameters DrawOrFirst(const plan::SearchSpace& space, uint64_t seed, uint64_t index) {
  if (auto drawn = space.Draw(seed, index)) return *std::move(drawn);
  return space.Draw(0, 0).value_or(Parameters());
}

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_SEARCH_DRAWS_H_
