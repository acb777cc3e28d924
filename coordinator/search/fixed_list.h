#ifndef CVTRAIN_COORDINATOR_SEARCH_FIXED_LIST_H_
#define CVTRAIN_COORDINATOR_SEARCH_FIXED_LIST_H_

#include <algorithm>
#include <cstdint>
#include <optional>

#include "coordinator/search/searcher.h"

namespace cvtrain::coordinator {

// A searcher whose trials are known from the start: it makes them in order, whatever their results.
// Immutable; thread-safe.
class FixedList : public Searcher {
 public:
  SearchAdvance Advance(absl::Span<const TrialResult> results, size_t room) const final {
    SearchAdvance advance;
    const size_t total = static_cast<size_t>(Size());
    const size_t made = std::min(results.size(), total);
    const size_t end = made + std::min(room, total - made);
    for (size_t i = made; i < end; ++i) advance.created.push_back(At(static_cast<int64_t>(i)));
    advance.left = static_cast<int32_t>(total - end);
    advance.done = advance.left == 0;
    return advance;
  }

  std::optional<int64_t> TrialTotal() const final { return Size(); }
  bool DependsOnResults() const final { return false; }

 private:
  virtual int64_t Size() const = 0;
  // `index` in [0, Size()).
  virtual Parameters At(int64_t index) const = 0;
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_SEARCH_FIXED_LIST_H_
