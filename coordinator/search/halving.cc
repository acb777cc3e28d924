// asha and hyperband: independent draws that are stopped at rungs.

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/random.h"
#include "coordinator/search/draws.h"
#include "coordinator/search/methods.h"
#include "plan/recipe/search_points.h"

namespace cvtrain::coordinator {
namespace {

// Brackets of successive halving in its stopping variant. A trial of bracket b passes the first b
// rungs unasked. At each rung after them it is compared with the trials of its bracket that were
// there before it: it goes on if fewer than max(1, n / factor) of the n, itself included, are
// better. The trial whose value is no number is stopped.
//
// What was decided stands, though later results might have decided otherwise: it is journaled.
class Halving : public Searcher {
 public:
  struct Options {
    int64_t trials = 0;
    uint64_t seed = 0;
    int32_t factor = 0;
    std::vector<int32_t> rungs;
    // Trials that each bracket gets, in parts of their sum.
    std::vector<uint64_t> shares = {1};
    bool maximize = false;
  };

  Halving(plan::SearchSpace space, Options options)
      : space_(std::move(space)), options_(std::move(options)) {
    for (const uint64_t share : options_.shares) share_total_ += share;
  }

  SearchAdvance Advance(absl::Span<const TrialResult> results, size_t room) const override {
    SearchAdvance advance;
    const size_t total = static_cast<size_t>(options_.trials);
    const size_t made = std::min(results.size(), total);
    const size_t end = made + std::min(room, total - made);
    for (size_t i = made; i < end; ++i) {
      advance.created.push_back(DrawOrFirst(space_, options_.seed, i));
    }
    for (size_t i = 0; i < results.size(); ++i) {
      if (results[i].state == TrialResult::State::kOpen && !results[i].pruned) {
        Decide(results, i, advance);
      }
    }
    advance.left = static_cast<int32_t>(total - end);
    advance.done = advance.created.empty() && end == total &&
                   std::none_of(results.begin(), results.end(), [](const TrialResult& result) {
                     return result.state == TrialResult::State::kOpen;
                   });
    return advance;
  }

  std::optional<int64_t> TrialTotal() const override { return options_.trials; }
  bool DependsOnResults() const override { return false; }

 private:
  size_t BracketOf(size_t trial) const {
    if (options_.shares.size() == 1) return 0;
    KeyedStream stream("search/hyperband/v1", {options_.seed, trial});
    uint64_t drawn = stream.UniformInt(share_total_);
    size_t bracket = 0;
    while (drawn >= options_.shares[bracket]) drawn -= options_.shares[bracket++];
    return bracket;
  }

  void Decide(absl::Span<const TrialResult> results, size_t trial, SearchAdvance& advance) const {
    const TrialResult& result = results[trial];
    const size_t reached = std::min(result.rungs.size(), options_.rungs.size());
    size_t rung = static_cast<size_t>(result.rungs_passed);
    if (rung >= reached) return;
    const size_t bracket = BracketOf(trial);
    for (; rung < reached; ++rung) {
      if (rung < bracket) continue;
      if (std::optional<std::string> why = WhyStopped(results, trial, rung, bracket)) {
        advance.pruned.push_back({trial, options_.rungs[rung], *std::move(why)});
        break;
      }
    }
    if (static_cast<int32_t>(rung) > result.rungs_passed) {
      advance.passed.push_back({trial, static_cast<int32_t>(rung)});
    }
  }

  std::optional<std::string> WhyStopped(absl::Span<const TrialResult> results, size_t trial,
                                        size_t rung, size_t bracket) const {
    const double own = results[trial].rungs[rung];
    const std::string at = absl::StrCat("stopped after epoch ", options_.rungs[rung], ": ");
    if (!std::isfinite(own)) return absl::StrCat(at, "its objective is no finite number there");
    int64_t reported = 0;
    int64_t better = 0;
    for (size_t i = 0; i < results.size(); ++i) {
      if (results[i].rungs.size() <= rung || !std::isfinite(results[i].rungs[rung])) continue;
      if (BracketOf(i) != bracket) continue;
      ++reported;
      const double other = results[i].rungs[rung];
      better += (options_.maximize ? other > own : other < own) ? 1 : 0;
    }
    const int64_t places = std::max<int64_t>(1, reported / options_.factor);
    if (better < places) return std::nullopt;
    return absl::StrCat(at, better, " of ", reported, " trials were better there, and the best ",
                        places, places == 1 ? " goes on" : " go on");
  }

  const plan::SearchSpace space_;
  const Options options_;
  uint64_t share_total_ = 0;  // constant after construction
};

// What Hyperband (Li et al. 2018) gives its brackets, in the order of the first rung at which they
// stop: bracket s of s_max + 1 begins with (s_max + 1) * factor^s / (s + 1) trials.
std::vector<uint64_t> HyperbandShares(int32_t epochs, int32_t min_epochs, int32_t factor,
                                      size_t rungs) {
  int32_t s_max = 0;
  for (double epoch = double{1} * min_epochs * factor; epoch <= epochs; epoch *= factor) ++s_max;
  s_max = std::min(s_max, static_cast<int32_t>(rungs));
  std::vector<uint64_t> shares;
  for (int32_t s = s_max; s >= 0; --s) {
    shares.push_back(static_cast<uint64_t>(std::ceil((s_max + 1) * std::pow(factor, s) / (s + 1))));
  }
  return shares;
}

}  // namespace

std::unique_ptr<Searcher> MakeHalving(const v1::ExperimentSpec& spec) {
  const v1::Search& search = spec.search();
  Halving::Options options;
  options.rungs = plan::SearchRungs(spec);
  options.maximize = search.objective().mode() != v1::Objective::MODE_MIN;
  if (search.has_asha()) {
    options.trials = search.asha().trials();
    options.seed = SeedOf(search.asha(), spec);
    options.factor = search.asha().reduction_factor();
  } else {
    options.trials = search.hyperband().trials();
    options.seed = SeedOf(search.hyperband(), spec);
    options.factor = search.hyperband().reduction_factor();
    options.shares = HyperbandShares(plan::EpochsOf(spec.recipe()), search.hyperband().min_epochs(),
                                     options.factor, options.rungs.size());
  }
  return std::make_unique<Halving>(*plan::SearchSpace::Of(search), std::move(options));
}

}  // namespace cvtrain::coordinator
