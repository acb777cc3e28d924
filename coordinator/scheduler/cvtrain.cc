// Our policy. A job's key is the least of four numbers of seconds, and the least key goes first:
//
//   how long it still takes, and how wide it is          short jobs leave soon: low mean completion
//   how long everyone's end can wait for it      (tail)  a long job that begins last makes a tail
//   how long an equal share can wait for it  (fairness)  nobody starves
//   almost nothing, if nobody knows its speed   (probe)  a wrong forecast costs one short run
//
// less what a change would cost, if it runs. One number instead of classes of jobs: a short job
// still passes an urgent one as long as the urgent one has more time left than that.
// docs/scheduling.md says why each term is there and what each constant was chosen by.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "coordinator/scheduler/policies.h"

namespace cvtrain::coordinator {
namespace {

// The width of a gang counts less than its length: by area alone wide jobs would always be last.
constexpr double kWidthExponent = 0.8;
// A job counts as this much longer where its being late would be felt by all: forecasts err.
constexpr double kTailMargin = 0.12;
// The same where only the job itself would feel it.
constexpr double kFairMargin = 0.05;
// The part of what an equal share promises within which a job should end.
constexpr double kFairPart = 0.95;
// An urgent job goes before one that still takes this many times the urgent one's slack.
constexpr double kSlackFactor = 3;
// Jobs of fewer seconds than this on one slot go before urgent ones whatever those have left:
// they put nobody off for long.
constexpr double kTailFloor = 240;
constexpr double kFairFloor = 120;
// Of two jobs that are both out of time, the one that is further behind by this part of it.
constexpr double kLateScale = 1e-3;
// A change of places must be worth this many times what it costs; where slack decides, so many
// times in slack, too.
constexpr double kKeepFactor = 30;
constexpr double kKeepSlackFactor = 10;
// A forecast that may be wrong by more than this is tried first, for this long.
constexpr double kTrustedError = 0.1;
constexpr double kProbeSeconds = 120;
// A forecast with an error of e is worth as much as this over e^2 seconds of running: a minute
// outweighs one that is usually wrong by a quarter, nothing outweighs an exact one.
constexpr double kPriorSeconds = 4;

// `slots` to the power kWidthExponent, of small numbers from a table.
class WidthPower {
 public:
  WidthPower() {
    for (size_t i = 0; i < kTable; ++i) power_[i] = Of(static_cast<double>(i));
  }
  double operator()(int32_t slots) const {
    const auto i = static_cast<size_t>(slots);
    return i < kTable ? power_[i] : Of(static_cast<double>(slots));
  }

 private:
  static constexpr size_t kTable = 65;
  static double Of(double slots) { return std::pow(slots, kWidthExponent); }
  double power_[kTable];
};

// How crowded the cluster was at most since a moment: the slots asked for over the slots there are.
class Crowding {
 public:
  // `now` never goes back.
  void Note(absl::Time now, double crowding) {
    // Only what was not exceeded later can be the most since any moment.
    while (!peaks_.empty() && peaks_.back().second <= crowding) peaks_.pop_back();
    peaks_.emplace_back(now, crowding);
  }
  double MostSince(absl::Time moment) const {
    const auto at =
        std::lower_bound(peaks_.begin(), peaks_.end(), moment,
                         [](const auto& peak, absl::Time time) { return peak.first < time; });
    return at == peaks_.end() ? peaks_.back().second : at->second;
  }

 private:
  std::vector<std::pair<absl::Time, double>> peaks_;  // times rise, crowding falls
};

// What is left of a job, in seconds, as its forecast says and what it has run corrects.
double SecondsLeft(const PlanJob& job) {
  const double left = absl::ToDoubleSeconds(job.left());
  if (job.forecast_error <= 0) return left;
  const double prior = kPriorSeconds / (job.forecast_error * job.forecast_error);
  return left * (absl::ToDoubleSeconds(job.served) + prior) /
         (absl::ToDoubleSeconds(job.served_forecast) + prior);
}

double UrgentKey(double slack, double floor) {
  return floor + kSlackFactor * slack * (slack < 0 ? kLateScale : 1);
}

class Cvtrain : public Policy {
 public:
  std::unique_ptr<Policy> Clone() const override { return std::make_unique<Cvtrain>(*this); }

  Fill fill() const override { return Fill::kReserve; }

  void RankJobs(const PlanInput& input, absl::Span<Rank> ranks) override {
    left_.resize(ranks.size());
    double slots = 0;
    for (const PlanWorker& worker : input.workers) slots += worker.open ? worker.slots : 0;
    slots = std::max(slots, 1.0);
    double longest = 0;
    double work = 0;
    double asked = 0;
    for (size_t i = 0; i < ranks.size(); ++i) {
      const PlanJob& job = input.jobs[i];
      left_[i] = SecondsLeft(job);
      longest = std::max(longest, left_[i]);
      work += left_[i] * job.slots();
      asked += job.slots() * job.weight;
    }
    crowding_.Note(input.now, asked / slots);
    // Nobody can be done earlier than this with what is known.
    const double horizon = std::max(longest, work / slots);
    for (size_t i = 0; i < ranks.size(); ++i) {
      ranks[i] = RankOf(input.jobs[i], left_[i], input.now, horizon);
    }
  }

 private:
  Rank RankOf(const PlanJob& job, double left, absl::Time now, double horizon) const {
    const double cost = job.runs() ? absl::ToDoubleSeconds(job.restart_cost) : 0;
    Rank rank{.key = left * width_(job.slots()), .rule = RankRule::kShortest};
    const auto lower = [&](double key, RankRule rule) {
      if (key < rank.key) rank = {.key = key, .rule = rule};
    };
    const double tail = horizon - (1 + kTailMargin) * left - kKeepSlackFactor * cost;
    lower(UrgentKey(tail, kTailFloor), RankRule::kTail);

    // With an equal share of the most crowded moment that it saw, it would take so long in all.
    const double share = std::max(1.0, crowding_.MostSince(job.arrival) / job.weight);
    const double fair = kFairPart * share * (left + absl::ToDoubleSeconds(job.served)) -
                        absl::ToDoubleSeconds(now - job.arrival) - (1 + kFairMargin) * left -
                        kKeepSlackFactor * cost;
    lower(UrgentKey(fair, kFairFloor), RankRule::kFairness);

    if (job.forecast_error > kTrustedError && job.served < absl::Seconds(kProbeSeconds)) {
      lower(kTailFloor, RankRule::kProbe);
    }
    rank.key -= kKeepFactor * cost;
    return rank;
  }

  const WidthPower width_;
  Crowding crowding_;
  std::vector<double> left_;  // of the jobs being ranked
};

}  // namespace

std::unique_ptr<Policy> MakeCvtrain() { return std::make_unique<Cvtrain>(); }

}  // namespace cvtrain::coordinator
