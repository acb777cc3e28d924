#include "coordinator/search/scalar.h"

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "coordinator/search/methods.h"
#include "plan/recipe/search_points.h"

namespace cvtrain::coordinator {
namespace {

// Hypothetical states that are looked at to find probes ahead.
constexpr int kStatesAheadMax = 4096;

// Walks the path of a method through the results, makes trials of what it asks, and of what it may
// ask later. Trials whose point the path cannot reach any more are discarded; when it has ended,
// all that it did not ask for, whether they have ended or not.
class Scalar : public Searcher {
 public:
  Scalar(const v1::ScalarRange& range, size_t parallel)
      : range_(range),
        points_(range),
        parallel_(parallel),
        ahead_(range.has_ahead() ? static_cast<size_t>(range.ahead()) : parallel) {}

  void set_method(std::unique_ptr<ScalarMethod> method) { method_ = std::move(method); }
  int64_t size() const { return points_.size(); }

  SearchAdvance Advance(absl::Span<const TrialResult> results, size_t room) const override {
    const Made made = Index(results);
    const Walk walk = Follow(results, made);
    SearchAdvance advance;
    advance.left = -1;
    for (size_t i = 0; i < results.size(); ++i) {
      if (results[i].discarded || walk.asked.contains(i) || MayStillAsk(walk, results[i])) continue;
      advance.discarded.push_back({i, walk.ended ? "discarded: the answer did not need it"
                                                 : "discarded: outside of the bracket by now"});
    }
    if (walk.ended) {
      advance.done = true;
      advance.left = 0;
    } else {
      Propose(results, made, walk, room, advance);
    }
    return advance;
  }

  std::optional<int64_t> TrialTotal() const override { return std::nullopt; }
  bool DependsOnResults() const override { return true; }

  SearchFindings Findings(absl::Span<const TrialResult> results) const override {
    const Made made = Index(results);
    const Walk walk = Follow(results, made);
    const auto lookup = [&](int64_t point) { return ObjectiveAt(results, made, point); };
    SearchFindings findings;
    const int64_t last = points_.size() - 1;
    const int64_t low = std::clamp<int64_t>(walk.state.low, 0, last);
    const int64_t high = std::clamp<int64_t>(walk.state.high, 0, last);
    findings.bracket = {points_.At(low), points_.At(high), lookup(low), lookup(high)};
    findings.message = walk.stop;
    if (!walk.ended || !walk.stop.empty()) return findings;
    if (const std::optional<int64_t> result = method_->Result(walk.state, lookup)) {
      findings.answer = points_.At(*result);
    } else {
      findings.message = "no value of the range answers the question";
    }
    return findings;
  }

 private:
  // The first trial of each point, by the text of its value.
  using Made = std::map<std::string, size_t, std::less<>>;

  struct Walk {
    ScalarState state;
    bool ended = false;
    std::string stop;
    std::set<size_t> asked;  // trials on the path
  };

  std::string Text(int64_t point) const { return plan::PointText(points_.At(point)); }

  Made Index(absl::Span<const TrialResult> results) const {
    Made made;
    for (size_t i = 0; i < results.size(); ++i) {
      const auto found = results[i].parameters->find(range_.parameter());
      if (found != results[i].parameters->end()) made.emplace(found->second, i);
    }
    return made;
  }

  static std::optional<double> ObjectiveOf(const TrialResult& result) {
    if (result.state != TrialResult::State::kSucceeded) return std::nullopt;
    return result.objective;
  }

  std::optional<double> ObjectiveAt(absl::Span<const TrialResult> results, const Made& made,
                                    int64_t point) const {
    const auto found = made.find(Text(point));
    return found == made.end() ? std::nullopt : ObjectiveOf(results[found->second]);
  }

  // Up to the first question whose trials have not all ended.
  Walk Follow(absl::Span<const TrialResult> results, const Made& made) const {
    const auto lookup = [&](int64_t point) { return ObjectiveAt(results, made, point); };
    Walk walk;
    walk.state = method_->Start();
    while (!walk.ended) {
      const std::vector<int64_t> asks = method_->Asks(walk.state);
      bool known = true;
      for (const int64_t point : asks) {
        const auto found = made.find(Text(point));
        if (found != made.end()) walk.asked.insert(found->second);
        known = known && found != made.end() &&
                results[found->second].state != TrialResult::State::kOpen;
      }
      if (asks.empty()) {
        walk.ended = true;
      } else if (!known) {
        return walk;
      } else {
        ScalarAnswer answer = method_->Answer(walk.state, lookup);
        walk.state = answer.next;
        walk.stop = std::move(answer.stop);
        walk.ended = !walk.stop.empty();
      }
    }
    return walk;
  }

  bool MayStillAsk(const Walk& walk, const TrialResult& result) const {
    if (walk.ended) return false;
    const auto found = result.parameters->find(range_.parameter());
    if (found == result.parameters->end()) return false;
    const auto is = [&](int64_t point) {
      return point >= 0 && point < points_.size() && Text(point) == found->second;
    };
    const int64_t low = walk.state.low;
    const int64_t high = walk.state.high;
    const double value = std::stod(found->second);
    const bool above = low < 0 || (value > points_.At(low) && !is(low));
    const bool below = high >= points_.size() || (value < points_.At(high) && !is(high));
    return above && below;
  }

  // What is asked first, then what may be, the nearest questions first.
  void Propose(absl::Span<const TrialResult> results, const Made& made, const Walk& walk,
               size_t room, SearchAdvance& advance) const {
    size_t open = 0;
    size_t guessed = 0;
    for (size_t i = 0; i < results.size(); ++i) {
      if (results[i].state != TrialResult::State::kOpen || results[i].discarded) continue;
      ++open;
      if (!walk.asked.contains(i)) ++guessed;
    }
    std::set<std::string> wanted;
    std::deque<ScalarState> states = {walk.state};
    for (int looked = 0; !states.empty() && looked < kStatesAheadMax; ++looked) {
      const ScalarState state = states.front();
      states.pop_front();
      for (const int64_t point : method_->Asks(state)) {
        const std::string text = Text(point);
        if (made.contains(text) || wanted.contains(text)) continue;
        const bool is_guess = looked > 0;
        if (advance.created.size() >= room) return;
        if (is_guess && (guessed >= ahead_ || open >= parallel_)) return;
        wanted.insert(text);
        advance.created.push_back(ParametersAt(text));
        ++open;
        if (is_guess) ++guessed;
      }
      if (!method_->Asks(state).empty()) {
        for (const ScalarState& branch : method_->Branches(state)) states.push_back(branch);
      }
    }
  }

  Parameters ParametersAt(const std::string& text) const {
    Parameters parameters = {{range_.parameter(), text}};
    for (const std::string& path : range_.also()) parameters[path] = text;
    return parameters;
  }

  const v1::ScalarRange range_;
  const plan::ScalarPoints points_;
  const size_t parallel_;
  const size_t ahead_;
  std::unique_ptr<ScalarMethod> method_;  // constant after construction
};

std::unique_ptr<ScalarMethod> MakeMethodOf(const v1::Search& search, int64_t points) {
  const bool maximize = search.objective().mode() != v1::Objective::MODE_MIN;
  switch (search.method_case()) {
    case v1::Search::kBisect:
      return MakeBisectMethod(points, search.bisect().target());
    case v1::Search::kSecant:
      return MakeSecantMethod(points, search.secant().target());
    case v1::Search::kMonotoneThreshold:
      return MakeThresholdMethod(points, maximize, search.monotone_threshold());
    default:
      return MakeGoldenMethod(points, maximize);
  }
}

}  // namespace

std::unique_ptr<Searcher> MakeScalar(const v1::ExperimentSpec& spec) {
  const v1::Search& search = spec.search();
  auto scalar = std::make_unique<Scalar>(
      *plan::ScalarRangeOf(search), static_cast<size_t>(std::max(1, search.max_parallel_trials())));
  scalar->set_method(MakeMethodOf(search, scalar->size()));
  return scalar;
}

}  // namespace cvtrain::coordinator
