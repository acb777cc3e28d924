#ifndef CVTRAIN_COORDINATOR_SEARCH_METHODS_H_
#define CVTRAIN_COORDINATOR_SEARCH_METHODS_H_

#include <cstdint>
#include <memory>

#include "coordinator/search/searcher.h"
#include "cvtrain/v1/recipe.pb.h"

// The methods, one file each. A new one is a file, a line here and a line in registry.cc.
namespace cvtrain::coordinator {

// One trial of the recipe as it stands.
std::unique_ptr<Searcher> MakeSingle(const v1::ExperimentSpec& spec);

// Every combination; the last parameter varies fastest.
std::unique_ptr<Searcher> MakeGrid(const v1::ExperimentSpec& spec);

// Independent draws. The k-th trial is a function of (seed, k).
std::unique_ptr<Searcher> MakeRandom(const v1::ExperimentSpec& spec);

// Points of one parameter in order; may end early (patience).
std::unique_ptr<Searcher> MakeLinear(const v1::ExperimentSpec& spec);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_SEARCH_METHODS_H_
