#include "bench/search/search_bench.h"

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "bench/search/overhead.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "coordinator/search/searcher.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/recipe/search_points.h"

namespace cvtrain::bench {
namespace {

using coordinator::RecordedParameters;
using coordinator::SearchAdvance;
using coordinator::Searcher;
using coordinator::TrialResult;

using Words = std::vector<std::string>;

absl::Status BadLine(absl::string_view what) { return InvalidArgument(Reason::kUsage, what); }

absl::StatusOr<double> Number(const std::string& text) {
  double number = 0;
  if (!absl::SimpleAtod(text, &number)) return BadLine(absl::StrCat("is no number: ", text));
  return number;
}

// NAME:KIND:MIN:MAX or NAME:choice:N, and a condition.
absl::StatusOr<v1::RandomParameter> ParseParameter(const std::string& text) {
  v1::RandomParameter parameter;
  const Words halves = absl::StrSplit(text, '?');
  const Words parts = absl::StrSplit(halves[0], ':');
  if (parts.size() < 3) return BadLine(absl::StrCat("is no parameter: ", text));
  parameter.set_parameter(parts[0]);
  if (halves.size() > 1) {
    const Words condition = absl::StrSplit(halves[1], '=');
    parameter.add_when()->set_parameter(condition[0]);
    parameter.mutable_when(0)->add_values(condition.back());
  }
  CVT_ASSIGN_OR_RETURN(const double first, Number(parts[2]));
  if (parts[1] == "choice") {
    for (int i = 0; i < static_cast<int>(first); ++i) {
      parameter.mutable_choice()->add_values(absl::StrCat(i));
    }
    return parameter;
  }
  CVT_ASSIGN_OR_RETURN(const double last, Number(parts.back()));
  if (parts[1] == "integer" || parts[1] == "log_integer") {
    v1::IntegerRange& range =
        parts[1] == "integer" ? *parameter.mutable_integer() : *parameter.mutable_log_integer();
    range.set_min(static_cast<int64_t>(first));
    range.set_max(static_cast<int64_t>(last));
    return parameter;
  }
  v1::NumberRange& range =
      parts[1] == "uniform" ? *parameter.mutable_uniform() : *parameter.mutable_log_uniform();
  range.set_min(first);
  range.set_max(last);
  return parameter;
}

template <typename Method>
void Fill(Method& method, int trials, uint64_t seed,
          const std::vector<v1::RandomParameter>& parameters) {
  method.set_trials(trials);
  method.set_seed(seed);
  for (const v1::RandomParameter& parameter : parameters) *method.add_parameters() = parameter;
}

absl::StatusOr<v1::Search> SearchOf(const std::string& method, int trials, uint64_t seed,
                                    const std::vector<v1::RandomParameter>& parameters) {
  v1::Search search;
  search.mutable_objective()->set_mode(v1::Objective::MODE_MIN);
  if (method == "random") {
    Fill(*search.mutable_random(), trials, seed, parameters);
  } else if (method == "sobol") {
    Fill(*search.mutable_sobol(), trials, seed, parameters);
  } else if (method == "tpe") {
    Fill(*search.mutable_tpe(), trials, seed, parameters);
    search.mutable_tpe()->set_startup_trials(10);
    search.mutable_tpe()->set_candidates(24);
  } else if (method == "asha") {
    Fill(*search.mutable_asha(), trials, seed, parameters);
    search.mutable_asha()->set_min_epochs(1);
    search.mutable_asha()->set_reduction_factor(4);
  } else if (method == "hyperband") {
    Fill(*search.mutable_hyperband(), trials, seed, parameters);
    search.mutable_hyperband()->set_min_epochs(1);
    search.mutable_hyperband()->set_reduction_factor(3);
  } else {
    return BadLine(absl::StrCat("no such method: ", method));
  }
  return search;
}

// One search at a time.
class SearchBench {
 public:
  absl::StatusOr<Pass> Run(absl::string_view line) {
    const Words words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    const std::string& verb = words.empty() ? "" : words[0];
    if (verb == "begin" && words.size() >= 6) return Begin(words);
    if (verb == "ask" && searcher_ != nullptr) return Ask();
    if (verb == "tell" && words.size() == 3) return Tell(words);
    if (verb == "report" && words.size() == 4) return Report(words);
    if (verb == "overhead" && words.size() == 3) {
      CVT_ASSIGN_OR_RETURN(const double trials, Number(words[2]));
      return MeasureOverhead(words[1], static_cast<int>(trials));
    }
    return BadLine(absl::StrCat("no such line: ", line));
  }

 private:
  absl::StatusOr<Pass> Begin(const Words& words) {
    CVT_ASSIGN_OR_RETURN(const double trials, Number(words[2]));
    CVT_ASSIGN_OR_RETURN(const double seed, Number(words[3]));
    CVT_ASSIGN_OR_RETURN(const double epochs, Number(words[4]));
    std::vector<v1::RandomParameter> parameters;
    for (size_t i = 5; i < words.size(); ++i) {
      CVT_ASSIGN_OR_RETURN(parameters.emplace_back(), ParseParameter(words[i]));
    }
    v1::ExperimentSpec spec;
    CVT_ASSIGN_OR_RETURN(*spec.mutable_search(), SearchOf(words[1], static_cast<int>(trials),
                                                          static_cast<uint64_t>(seed), parameters));
    spec.mutable_recipe()->set_epochs(static_cast<int32_t>(epochs));
    searcher_ = coordinator::MakeSearcher(spec);
    rungs_ = plan::SearchRungs(spec);
    results_.clear();
    parameters_.clear();
    reached_.clear();
    return Pass{.images = 1};
  }

  absl::StatusOr<Pass> Ask() {
    const SearchAdvance advance = searcher_->Advance(results_, 1);
    if (advance.created.empty()) return BadLine("ask: the search makes no more trials");
    parameters_.emplace_back(advance.created[0].begin(), advance.created[0].end());
    reached_.emplace_back();
    results_.emplace_back().parameters = &parameters_.back();
    Pass pass{.images = 1};
    pass.numbers.push_back({"trial", static_cast<double>(results_.size() - 1)});
    for (const auto& [name, value] : advance.created[0]) {
      CVT_ASSIGN_OR_RETURN(const double number, Number(value));
      pass.numbers.push_back({name, number});
    }
    return pass;
  }

  absl::StatusOr<size_t> TrialOf(const std::string& text) const {
    size_t trial = 0;
    if (!absl::SimpleAtoi(text, &trial) || trial >= results_.size()) {
      return BadLine(absl::StrCat("no such trial: ", text));
    }
    return trial;
  }

  absl::StatusOr<Pass> Tell(const Words& words) {
    CVT_ASSIGN_OR_RETURN(const size_t trial, TrialOf(words[1]));
    CVT_ASSIGN_OR_RETURN(const double value, Number(words[2]));
    results_[trial].state = TrialResult::State::kSucceeded;
    results_[trial].objective = value;
    return Pass{.images = 1};
  }

  absl::StatusOr<Pass> Report(const Words& words) {
    CVT_ASSIGN_OR_RETURN(const size_t trial, TrialOf(words[1]));
    CVT_ASSIGN_OR_RETURN(const double epoch, Number(words[2]));
    CVT_ASSIGN_OR_RETURN(const double value, Number(words[3]));
    bool stopped = false;
    for (const int32_t rung : rungs_) {
      if (rung != static_cast<int32_t>(epoch)) continue;
      reached_[trial].push_back(value);
      results_[trial].rungs = reached_[trial];
      const SearchAdvance advance = searcher_->Advance(results_, 0);
      for (const SearchAdvance::Pass& pass : advance.passed) {
        results_[pass.trial].rungs_passed = pass.rungs;
      }
      for (const SearchAdvance::Prune& prune : advance.pruned) {
        results_[prune.trial].pruned = true;
        results_[prune.trial].state = TrialResult::State::kSucceeded;
        stopped = stopped || prune.trial == trial;
      }
    }
    return Pass{.images = 1, .numbers = {{"stopped", stopped ? 1.0 : 0.0}}};
  }

  std::unique_ptr<Searcher> searcher_;
  std::vector<int32_t> rungs_;
  std::deque<RecordedParameters> parameters_;
  std::deque<std::vector<double>> reached_;
  std::vector<TrialResult> results_;
};

}  // namespace

Runner NewSearchBench() {
  return [bench = std::make_shared<SearchBench>()](absl::string_view line) {
    return bench->Run(line);
  };
}

}  // namespace cvtrain::bench
