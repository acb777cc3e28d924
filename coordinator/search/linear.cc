#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/search/methods.h"
#include "plan/recipe/search_points.h"

namespace cvtrain::coordinator {
namespace {

// Points from start to stop. Without patience it is a list. With patience, it ends after so many
// points in a row without improvement; a trial that failed, was cancelled or has no objective is no
// improvement. Points count in their order, up to the first whose trial is open; trials beyond the
// one that ended it are discarded, whether they have ended or not.
class Linear : public Searcher {
 public:
  Linear(const v1::LinearSearch& search, v1::Objective::Mode mode)
      : parameter_(search.parameter()),
        points_(plan::LinearPoints(search)),
        patience_(static_cast<size_t>(search.patience())),
        maximize_(mode == v1::Objective::MODE_MAX) {}

  SearchAdvance Advance(absl::Span<const TrialResult> results, size_t room) const override {
    SearchAdvance advance;
    if (const size_t end = EndOf(results); end < points_.size()) {
      advance.done = true;
      for (size_t i = end; i < results.size(); ++i) {
        if (results[i].discarded) continue;
        advance.discarded.push_back(
            {i, absl::StrCat("discarded: the search ended at trial ", end, ", after ", patience_,
                             patience_ == 1 ? " point" : " points", " without improvement")});
      }
      return advance;
    }
    const size_t made = std::min(results.size(), points_.size());
    const size_t end = made + std::min(room, points_.size() - made);
    for (size_t i = made; i < end; ++i) {
      advance.created.push_back({{parameter_, plan::PointText(points_[i])}});
    }
    // With patience a list that is made wholly may still be cut.
    const bool all_made = end == points_.size();
    advance.done = all_made && (patience_ == 0 || AllEnded(results, end));
    advance.left = patience_ > 0 && !all_made ? -1 : static_cast<int32_t>(points_.size() - end);
    return advance;
  }

  std::optional<int64_t> TrialTotal() const override {
    if (patience_ > 0) return std::nullopt;
    return static_cast<int64_t>(points_.size());
  }

  bool DependsOnResults() const override { return patience_ > 0; }

 private:
  static bool AllEnded(absl::Span<const TrialResult> results, size_t count) {
    return results.size() == count &&
           std::none_of(results.begin(), results.end(), [](const TrialResult& result) {
             return result.state == TrialResult::State::kOpen;
           });
  }

  // Number of points that count; that of all points while the search goes on.
  size_t EndOf(absl::Span<const TrialResult> results) const {
    if (patience_ == 0) return points_.size();
    double best = -std::numeric_limits<double>::infinity();
    size_t without = 0;
    for (size_t i = 0; i < results.size(); ++i) {
      const TrialResult& result = results[i];
      if (result.state == TrialResult::State::kOpen) break;
      std::optional<double> value;
      if (result.state == TrialResult::State::kSucceeded) value = result.objective;
      if (value && !maximize_) value = -*value;
      if (value && *value > best) {
        best = *value;
        without = 0;
      } else if (++without == patience_) {
        return i + 1;
      }
    }
    return points_.size();
  }

  const std::string parameter_;
  const std::vector<double> points_;
  const size_t patience_;
  const bool maximize_;
};

}  // namespace

std::unique_ptr<Searcher> MakeLinear(const v1::ExperimentSpec& spec) {
  return std::make_unique<Linear>(spec.search().linear(), spec.search().objective().mode());
}

}  // namespace cvtrain::coordinator
