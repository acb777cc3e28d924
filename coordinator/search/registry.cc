#include <utility>

#include "coordinator/search/methods.h"
#include "coordinator/search/searcher.h"

namespace cvtrain::coordinator {
namespace {

std::unique_ptr<Searcher> MakeMethod(const v1::ExperimentSpec& spec) {
  switch (spec.search().method_case()) {
    case v1::Search::kGrid:
      return MakeGrid(spec);
    case v1::Search::kRandom:
      return MakeRandom(spec);
    case v1::Search::kLinear:
      return MakeLinear(spec);
    case v1::Search::kGolden:
    case v1::Search::kBisect:
    case v1::Search::kSecant:
    case v1::Search::kMonotoneThreshold:
      return MakeScalar(spec);
    case v1::Search::kSobol:
      return MakeSobol(spec);
    case v1::Search::kTpe:
      return MakeTpe(spec);
    case v1::Search::kAsha:
    case v1::Search::kHyperband:
      return MakeHalving(spec);
    case v1::Search::METHOD_NOT_SET:
      break;
  }
  return MakeSingle(spec);
}

}  // namespace

std::unique_ptr<Searcher> MakeSearcher(const v1::ExperimentSpec& spec) {
  std::unique_ptr<Searcher> searcher = MakeMethod(spec);
  if (spec.search().replicates() > 1) return MakeReplicated(spec, std::move(searcher));
  return searcher;
}

}  // namespace cvtrain::coordinator
