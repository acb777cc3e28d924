#include <algorithm>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "coordinator/search/methods.h"
#include "coordinator/search/paired_test.h"

namespace cvtrain::coordinator {
namespace {

constexpr char kSeedPath[] = "recipe.seed";

// One result for each point: the mean of its trials. A point with a trial that failed, or that
// ended without an objective, has failed; trials that a user cancelled are left out of it.
//
// With racing, a point gets its first trials at once and each further one when those before it have
// ended, unless a paired t-test says that it is worse than the best point: over the trials that
// both have, which share their seeds.
class Replicated : public Searcher {
 public:
  Replicated(const v1::ExperimentSpec& spec, std::unique_ptr<Searcher> inner)
      : inner_(std::move(inner)),
        replicates_(static_cast<size_t>(spec.search().replicates())),
        races_(spec.search().has_racing()),
        first_(races_ ? static_cast<size_t>(spec.search().racing().min_replicates()) : replicates_),
        confidence_(spec.search().racing().confidence()),
        seed_(spec.recipe().seed()),
        maximize_(spec.search().objective().mode() != v1::Objective::MODE_MIN) {}

  SearchAdvance Advance(absl::Span<const TrialResult> results, size_t room) const override {
    std::vector<Point> points = PointsOf(results);
    const std::vector<TrialResult> inner_results = ResultsOf(points);
    const size_t inner_room = (room + first_ - 1) / first_;
    SearchAdvance inner = inner_->Advance(inner_results, inner_room);
    SearchAdvance advance;
    for (const SearchAdvance::Discard& discard : inner.discarded) {
      Point& point = points[discard.trial];
      point.wanted = point.trials.size();
      for (const size_t trial : point.trials) advance.discarded.push_back({trial, discard.reason});
    }
    for (size_t p = 0; p < points.size(); ++p) Complete(points[p], p, room, advance);
    for (Parameters& parameters : inner.created) {
      Point& point = points.emplace_back();
      point.wanted = first_;
      point.parameters = std::move(parameters);
      Complete(point, points.size() - 1, room, advance);
    }
    Finish(points, inner, advance);
    return advance;
  }

  std::optional<int64_t> TrialTotal() const override {
    const std::optional<int64_t> points = inner_->TrialTotal();
    if (!points || races_) return std::nullopt;
    return *points * static_cast<int64_t>(replicates_);
  }

  bool DependsOnResults() const override { return races_ || inner_->DependsOnResults(); }

  SearchFindings Findings(absl::Span<const TrialResult> results) const override {
    const std::vector<Point> points = PointsOf(results);
    SearchFindings findings = inner_->Findings(ResultsOf(points));
    for (const Point& point : points) findings.raced_out += point.raced_out ? 1 : 0;
    return findings;
  }

 private:
  struct Point {
    // Indices of its trials, by replicate.
    std::vector<size_t> trials;
    // Of each of them that ended with one.
    std::vector<std::optional<double>> objectives;
    std::vector<bool> ended;
    const RecordedParameters* recorded = nullptr;
    Parameters parameters;  // without the seed
    bool open = false;
    bool failed = false;
    bool discarded = false;
    bool raced_out = false;
    // How many trials it should have by now.
    size_t wanted = 0;

    // Of its `first` trials, those that have ended.
    size_t EndedOf(size_t first) const {
      const auto last = ended.begin() + static_cast<std::ptrdiff_t>(std::min(first, ended.size()));
      return static_cast<size_t>(std::count(ended.begin(), last, true));
    }

    // Over the `first` of them, as far as they have an objective.
    std::optional<double> MeanOf(size_t first) const {
      double sum = 0;
      double count = 0;
      for (size_t i = 0; i < std::min(first, objectives.size()); ++i) {
        if (!objectives[i]) continue;
        sum += *objectives[i];
        ++count;
      }
      if (count == 0 || failed) return std::nullopt;
      return sum / count;
    }
  };

  std::vector<Point> PointsOf(absl::Span<const TrialResult> results) const {
    std::vector<Point> points;
    for (size_t i = 0; i < results.size(); ++i) {
      const TrialResult& result = results[i];
      const size_t number = static_cast<size_t>(result.point);
      if (number >= points.size()) points.resize(number + 1);
      Point& point = points[number];
      if (point.trials.empty()) {
        point.recorded = result.parameters;
        point.parameters = {result.parameters->begin(), result.parameters->end()};
        point.parameters.erase(kSeedPath);
      }
      point.trials.push_back(i);
      const bool succeeded = result.state == TrialResult::State::kSucceeded;
      point.objectives.push_back(succeeded ? result.objective : std::nullopt);
      point.ended.push_back(result.state != TrialResult::State::kOpen);
      point.open = point.open || !point.ended.back();
      point.failed = point.failed || result.state == TrialResult::State::kFailed ||
                     (succeeded && !result.objective);
      point.discarded = point.discarded || result.discarded;
    }
    SetWanted(points);
    return points;
  }

  void SetWanted(std::vector<Point>& points) const {
    for (Point& point : points) {
      const bool takes_part = !point.failed && !point.discarded;
      point.wanted = takes_part ? std::max(point.trials.size(), first_) : point.trials.size();
    }
    if (races_ && static_cast<int64_t>(points.size()) == inner_->TrialTotal()) Race(points);
  }

  // Plays the rounds again, as far as they have got. What a round decided stays, because the trials
  // that it went by do; only a point that fails later has never been there.
  void Race(std::vector<Point>& points) const {
    std::vector<Point*> left;
    for (Point& point : points) {
      if (!point.failed && !point.discarded) left.push_back(&point);
    }
    for (size_t round = first_; round < replicates_; ++round) {
      const bool complete = std::all_of(left.begin(), left.end(), [&](const Point* point) {
        return point->EndedOf(round) == round;
      });
      if (!complete) return;
      const Point* best = BestOf(left, round);
      if (best == nullptr) return;
      std::erase_if(left, [&](Point* point) {
        point->raced_out = point != best && IsClearlyWorse(*point, *best, round);
        return point->raced_out;
      });
      for (Point* point : left) point->wanted = std::max(point->trials.size(), round + 1);
    }
  }

  // By the mean of the first trials; of equals the first.
  const Point* BestOf(const std::vector<Point*>& points, size_t trials) const {
    const Point* best = nullptr;
    double best_mean = 0;
    for (const Point* point : points) {
      const std::optional<double> mean = point->MeanOf(trials);
      if (!mean) continue;
      if (best != nullptr && (maximize_ ? *mean <= best_mean : *mean >= best_mean)) continue;
      best = point;
      best_mean = *mean;
    }
    return best;
  }

  bool IsClearlyWorse(const Point& point, const Point& best, size_t trials) const {
    std::vector<double> worse_by;
    for (size_t i = 0; i < trials; ++i) {
      if (!point.objectives[i] || !best.objectives[i]) continue;
      const double difference = *best.objectives[i] - *point.objectives[i];
      worse_by.push_back(maximize_ ? difference : -difference);
    }
    return IsClearlyPositive(worse_by, confidence_);
  }

  static std::vector<TrialResult> ResultsOf(const std::vector<Point>& points) {
    std::vector<TrialResult> results;
    for (const Point& point : points) {
      TrialResult& result = results.emplace_back();
      result.parameters = point.recorded;
      result.discarded = point.discarded;
      result.objective = point.MeanOf(point.trials.size());
      if (point.failed) {
        result.state = TrialResult::State::kFailed;
      } else if (point.open || point.trials.size() < point.wanted) {
        result.state = TrialResult::State::kOpen;
        result.objective = std::nullopt;
      } else {
        result.state =
            result.objective ? TrialResult::State::kSucceeded : TrialResult::State::kCancelled;
      }
    }
    return results;
  }

  // Makes what `point` should have and has not, as far as there is room.
  void Complete(Point& point, size_t number, size_t room, SearchAdvance& advance) const {
    while (point.trials.size() < point.wanted && advance.created.size() < room) {
      const size_t replicate = point.trials.size();
      Parameters parameters = point.parameters;
      parameters[kSeedPath] = absl::StrCat(seed_ + replicate);
      advance.created.push_back(std::move(parameters));
      advance.places.push_back({static_cast<int64_t>(number), static_cast<int32_t>(replicate)});
      point.trials.push_back(0);  // has no result yet
      point.open = true;
    }
  }

  void Finish(const std::vector<Point>& points, const SearchAdvance& inner,
              SearchAdvance& advance) const {
    bool all_made = inner.done;
    bool any_open = false;
    int64_t missing = 0;
    for (const Point& point : points) {
      all_made = all_made && point.trials.size() >= point.wanted;
      any_open = any_open || point.open;
      missing += static_cast<int64_t>(point.wanted - std::min(point.wanted, point.trials.size()));
    }
    advance.done = all_made && !(races_ && any_open);
    if (advance.done) {
      advance.left = 0;
    } else if (inner.left < 0 || races_) {
      advance.left = -1;
    } else {
      advance.left = static_cast<int32_t>(missing + inner.left * static_cast<int64_t>(replicates_));
    }
  }

  const std::unique_ptr<Searcher> inner_;
  const size_t replicates_;
  const bool races_;
  const size_t first_;
  const double confidence_;
  const uint64_t seed_;
  const bool maximize_;
};

}  // namespace

std::unique_ptr<Searcher> MakeReplicated(const v1::ExperimentSpec& spec,
                                         std::unique_ptr<Searcher> inner) {
  return std::make_unique<Replicated>(spec, std::move(inner));
}

}  // namespace cvtrain::coordinator
