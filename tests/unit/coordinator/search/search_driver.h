#ifndef CVTRAIN_TESTS_UNIT_COORDINATOR_SEARCH_SEARCH_DRIVER_H_
#define CVTRAIN_TESTS_UNIT_COORDINATOR_SEARCH_SEARCH_DRIVER_H_

#include <algorithm>
#include <cmath>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/random.h"
#include "coordinator/search/searcher.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/recipe/search_points.h"
#include "tests/support/proto_matchers.h"

namespace cvtrain::coordinator {

// A specification with this search; what a resolved one would have is written out here.
inline v1::ExperimentSpec SearchSpec(const std::string& search, const std::string& recipe = "") {
  return cvtrain::testing::ParseTextProto<v1::ExperimentSpec>("recipe { seed: 7 " + recipe +
                                                              " } search { " + search + " }");
}

// Runs a search as a coordinator would, with a function in place of training.
class SearchDriver {
 public:
  // The objective of a trial that succeeds; nullopt: it fails.
  using Measure = std::function<std::optional<double>(const Parameters&)>;
  // The objective after so many epochs.
  using Curve = std::function<double(const Parameters&, int epoch)>;

  explicit SearchDriver(const v1::ExperimentSpec& spec, size_t parallel = 1)
      : spec_(spec),
        searcher_(MakeSearcher(spec)),
        rungs_(plan::SearchRungs(spec)),
        parallel_(parallel) {}

  // One Advance(), and what it says is done: trials are made, discarded, passed, stopped.
  SearchAdvance Advance() {
    const size_t open = OpenTrials().size();
    const SearchAdvance advance =
        searcher_->Advance(results_, parallel_ > open ? parallel_ - open : 0);
    for (size_t i = 0; i < advance.created.size(); ++i) {
      parameters_.emplace_back(advance.created[i].begin(), advance.created[i].end());
      reached_.emplace_back();
      TrialResult& result = results_.emplace_back();
      result.parameters = &parameters_.back();
      if (advance.places.empty()) continue;
      result.point = advance.places[i].point;
      result.replicate = advance.places[i].replicate;
    }
    for (const SearchAdvance::Discard& discard : advance.discarded) {
      TrialResult& result = results_[discard.trial];
      result.discarded = true;
      if (result.state == TrialResult::State::kOpen) result.state = TrialResult::State::kCancelled;
    }
    for (const SearchAdvance::Pass& pass : advance.passed) {
      results_[pass.trial].rungs_passed = pass.rungs;
    }
    for (const SearchAdvance::Prune& prune : advance.pruned) {
      results_[prune.trial].pruned = true;
      results_[prune.trial].state = TrialResult::State::kSucceeded;
    }
    done_ = advance.done;
    return advance;
  }

  std::vector<size_t> OpenTrials() const {
    std::vector<size_t> open;
    for (size_t i = 0; i < results_.size(); ++i) {
      if (results_[i].state == TrialResult::State::kOpen) open.push_back(i);
    }
    return open;
  }

  void End(size_t trial, std::optional<double> objective) {
    results_[trial].state =
        objective ? TrialResult::State::kSucceeded : TrialResult::State::kFailed;
    results_[trial].objective = objective;
  }

  // To the end; open trials end in an order that `stream` draws, the first one first without.
  // False if it has not ended after `trials_max` trials.
  bool Run(const Measure& measure, KeyedStream* stream = nullptr, size_t trials_max = 10'000) {
    Advance();
    while (true) {
      const std::vector<size_t> open = OpenTrials();
      if (open.empty()) return done_;
      const size_t next = stream == nullptr ? 0 : stream->UniformInt(open.size());
      End(open[next], measure(ParametersOf(open[next])));
      if (!done_) Advance();
      if (results_.size() > trials_max) return false;
    }
  }

  // The same with rungs, one epoch of each open trial after another. Returns the epochs that were
  // trained.
  int RunCurves(const Curve& curve, int epochs) {
    std::map<size_t, int> done;
    int total = 0;
    Advance();
    while (!OpenTrials().empty()) {
      for (const size_t trial : OpenTrials()) {
        const int epoch = ++done[trial];
        ++total;
        Report(trial, epoch, curve(ParametersOf(trial), epoch), epochs);
        Advance();
      }
    }
    return total;
  }

  // An evaluation after `epoch` epochs.
  void Report(size_t trial, int epoch, double value, int epochs) {
    if (std::find(rungs_.begin(), rungs_.end(), epoch) != rungs_.end()) {
      reached_[trial].push_back(value);
      results_[trial].rungs = reached_[trial];
    }
    if (epoch == epochs) End(trial, value);
  }

  Parameters ParametersOf(size_t trial) const {
    return {parameters_[trial].begin(), parameters_[trial].end()};
  }
  double Number(size_t trial, const std::string& path = "a") const {
    return std::stod(parameters_[trial].at(path));
  }
  SearchFindings Findings() const { return searcher_->Findings(results_); }
  // Values of `path` in the trials that count.
  std::vector<double> Counted(const std::string& path = "a") const {
    std::vector<double> values;
    for (size_t i = 0; i < results_.size(); ++i) {
      if (!results_[i].discarded) values.push_back(Number(i, path));
    }
    return values;
  }
  // The best objective of a trial that was not stopped.
  double Best(bool maximize = true) const {
    double best = maximize ? -std::numeric_limits<double>::infinity()
                           : std::numeric_limits<double>::infinity();
    for (const TrialResult& result : results_) {
      if (!result.objective || result.pruned) continue;
      best = maximize ? std::max(best, *result.objective) : std::min(best, *result.objective);
    }
    return best;
  }

  std::vector<TrialResult>& results() { return results_; }
  const Searcher& searcher() const { return *searcher_; }
  bool done() const { return done_; }

 private:
  const v1::ExperimentSpec spec_;
  const std::unique_ptr<Searcher> searcher_;
  const std::vector<int32_t> rungs_;
  const size_t parallel_;
  std::deque<RecordedParameters> parameters_;
  std::deque<std::vector<double>> reached_;
  std::vector<TrialResult> results_;
  bool done_ = false;
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_TESTS_UNIT_COORDINATOR_SEARCH_SEARCH_DRIVER_H_
