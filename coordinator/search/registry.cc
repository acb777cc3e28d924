#include "coordinator/search/methods.h"
#include "coordinator/search/searcher.h"

namespace cvtrain::coordinator {

std::unique_ptr<Searcher> MakeSearcher(const v1::ExperimentSpec& spec) {
  switch (spec.search().method_case()) {
    case v1::Search::kGrid:
      return MakeGrid(spec);
    case v1::Search::kRandom:
      return MakeRandom(spec);
    case v1::Search::kLinear:
      return MakeLinear(spec);
    case v1::Search::METHOD_NOT_SET:
      return MakeSingle(spec);
  }
  return MakeSingle(spec);
}

}  // namespace cvtrain::coordinator
