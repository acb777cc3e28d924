#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "common/random.h"
#include "coordinator/search/draws.h"
#include "coordinator/search/methods.h"
#include "coordinator/search/parzen.h"

namespace cvtrain::coordinator {
namespace {

// Optuna's: of n trials the best ceil(n / 10) are good, at most 25; the newest 25 of a group have
// weight 1, those before them less, down to 1 / n.
constexpr double kGoodShare = 0.1;
constexpr size_t kGoodMax = 25;
constexpr size_t kFullWeights = 25;
// Of the trials that are not good so many are looked at, the newest and an even choice of the older
// ones: a proposal must not cost more the longer a search lasts.
constexpr size_t kOthersMax = 200;
// Proposals that break a constraint, before a plain draw.
constexpr uint64_t kProposalsMax = 20;

// Either the parameters of an earlier trial, or of one that this very call made.
struct Sample {
  const RecordedParameters* recorded = nullptr;
  const Parameters* created = nullptr;

  const std::string* Find(const std::string& path) const {
    if (recorded != nullptr) {
      const auto found = recorded->find(path);
      return found == recorded->end() ? nullptr : &found->second;
    }
    const auto found = created->find(path);
    return found == created->end() ? nullptr : &found->second;
  }
};

struct Groups {
  std::vector<Sample> good;
  std::vector<Sample> others;
};

// One parameter after another, each by its own densities over the trials that have it: the
// conditions of later ones may follow from the values of earlier ones. A trial that is open counts
// as one that is not good, so that trials at the same time differ; so does one that failed.
class Tpe : public Searcher {
 public:
  Tpe(plan::SearchSpace space, const v1::TpeSearch& search, uint64_t seed, bool maximize)
      : space_(std::move(space)),
        trials_(static_cast<size_t>(search.trials())),
        startup_(static_cast<size_t>(search.startup_trials())),
        candidates_(search.candidates()),
        seed_(seed),
        maximize_(maximize) {}

  SearchAdvance Advance(absl::Span<const TrialResult> results, size_t room) const override {
    SearchAdvance advance;
    const size_t made = std::min(results.size(), trials_);
    const size_t end = made + std::min(room, trials_ - made);
    std::vector<Parameters>& created = advance.created;
    created.reserve(end - made);  // samples point into it
    Groups groups;
    if (end > made && end > startup_) groups = Divide(results);
    for (size_t i = made; i < end; ++i) {
      created.push_back(i < startup_ ? DrawOrFirst(space_, seed_, i) : Propose(groups, i));
      groups.others.push_back({nullptr, &created.back()});
    }
    advance.left = static_cast<int32_t>(trials_ - end);
    advance.done = advance.left == 0;
    return advance;
  }

  std::optional<int64_t> TrialTotal() const override { return static_cast<int64_t>(trials_); }
  bool DependsOnResults() const override { return true; }

 private:
  static bool HasObjective(const TrialResult& result) {
    return result.state == TrialResult::State::kSucceeded && result.objective;
  }

  // Both groups in the order of trials. Cancelled trials say nothing.
  Groups Divide(absl::Span<const TrialResult> results) const {
    std::vector<std::pair<double, size_t>> ended;
    ended.reserve(results.size());
    for (size_t i = 0; i < results.size(); ++i) {
      if (!HasObjective(results[i])) continue;
      ended.push_back({maximize_ ? -*results[i].objective : *results[i].objective, i});
    }
    const size_t good_count = std::min(
        kGoodMax, static_cast<size_t>(std::ceil(kGoodShare * static_cast<double>(ended.size()))));
    std::vector<size_t> good;
    if (good_count > 0) {
      const auto last = ended.begin() + static_cast<std::ptrdiff_t>(good_count) - 1;
      std::nth_element(ended.begin(), last, ended.end());
      for (auto one = ended.begin(); one <= last; ++one) good.push_back(one->second);
    }
    std::sort(good.begin(), good.end());
    Groups groups;
    for (const size_t i : good) groups.good.push_back({results[i].parameters});
    std::vector<size_t> others;
    others.reserve(results.size());
    auto next_good = good.begin();
    for (size_t i = 0; i < results.size(); ++i) {
      if (next_good != good.end() && *next_good == i) {
        ++next_good;
      } else if (results[i].state != TrialResult::State::kCancelled) {
        others.push_back(i);
      }
    }
    for (const size_t i : Thinned(others)) groups.others.push_back({results[i].parameters});
    return groups;
  }

  static std::vector<size_t> Thinned(const std::vector<size_t>& trials) {
    if (trials.size() <= kOthersMax) return trials;
    const size_t older = trials.size() - kFullWeights;
    constexpr size_t kOlderKept = kOthersMax - kFullWeights;
    std::vector<size_t> kept;
    for (size_t i = 0; i < kOlderKept; ++i) kept.push_back(trials[i * older / kOlderKept]);
    kept.insert(kept.end(), trials.end() - static_cast<std::ptrdiff_t>(kFullWeights), trials.end());
    return kept;
  }

  Parameters Propose(const Groups& groups, size_t index) const {
    for (uint64_t proposal = 0; proposal < kProposalsMax; ++proposal) {
      Parameters chosen;
      for (size_t i = 0; i < space_.size(); ++i) {
        if (!space_.Applies(i, chosen)) continue;
        KeyedStream stream("search/tpe/v1", {seed_, index, i, proposal});
        chosen[space_.parameter(i).parameter()] = Best(groups, i, stream);
      }
      if (space_.Allows(chosen)) return chosen;
    }
    return DrawOrFirst(space_, seed_, index);
  }

  // Of some draws from the good ones' density, the one with the best ratio to the others'.
  std::string Best(const Groups& groups, size_t i, KeyedStream& stream) const {
    const Parzen good = Density(groups.good, i);
    const Parzen others = Density(groups.others, i);
    std::string best;
    double best_ratio = -std::numeric_limits<double>::infinity();
    for (int draw = 0; draw < candidates_; ++draw) {
      // The density is that of the value that is tried: on a grid, after rounding.
      std::string text = space_.TextAt(i, good.Draw(stream));
      const double value = space_.OnAxis(i, text).value_or(0);
      const double ratio = good.LogDensity(value) - others.LogDensity(value);
      if (best.empty() || ratio > best_ratio) {
        best = std::move(text);
        best_ratio = ratio;
      }
    }
    return best;
  }

  Parzen Density(const std::vector<Sample>& samples, size_t i) const {
    std::vector<double> observations;
    for (const Sample& sample : samples) {
      const std::string* text = sample.Find(space_.parameter(i).parameter());
      if (text == nullptr) continue;
      if (const std::optional<double> value = space_.OnAxis(i, *text)) {
        observations.push_back(*value);
      }
    }
    return Parzen(space_.axis(i), observations, Weights(observations.size()));
  }

  static std::vector<double> Weights(size_t count) {
    std::vector<double> weights(count, 1.0);
    if (count <= kFullWeights) return weights;
    const size_t ramp = count - kFullWeights;
    const double least = 1 / static_cast<double>(count);
    for (size_t i = 0; i < ramp; ++i) {
      const double share = ramp == 1 ? 0 : static_cast<double>(i) / static_cast<double>(ramp - 1);
      weights[i] = least + share * (1 - least);
    }
    return weights;
  }

  const plan::SearchSpace space_;
  const size_t trials_;
  const size_t startup_;
  const int candidates_;
  const uint64_t seed_;
  const bool maximize_;
};

}  // namespace

std::unique_ptr<Searcher> MakeTpe(const v1::ExperimentSpec& spec) {
  const v1::Search& search = spec.search();
  return std::make_unique<Tpe>(*plan::SearchSpace::Of(search), search.tpe(),
                               SeedOf(search.tpe(), spec),
                               search.objective().mode() != v1::Objective::MODE_MIN);
}

}  // namespace cvtrain::coordinator
