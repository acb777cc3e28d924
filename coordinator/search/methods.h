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

// golden, bisect, secant, monotone_threshold: scalar.h.
std::unique_ptr<Searcher> MakeScalar(const v1::ExperimentSpec& spec);

// Points of Sobol's sequence. The k-th trial is a function of (seed, k).
std::unique_ptr<Searcher> MakeSobol(const v1::ExperimentSpec& spec);

// Draws from where good trials are dense.
std::unique_ptr<Searcher> MakeTpe(const v1::ExperimentSpec& spec);

// asha and hyperband: independent draws, stopped at rungs.
std::unique_ptr<Searcher> MakeHalving(const v1::ExperimentSpec& spec);

// Several trials of each point of `inner`, which sees their mean. Not for methods with rungs.
std::unique_ptr<Searcher> MakeReplicated(const v1::ExperimentSpec& spec,
                                         std::unique_ptr<Searcher> inner);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_SEARCH_METHODS_H_
