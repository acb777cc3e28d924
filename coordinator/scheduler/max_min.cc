// Equal shares by time slices, with the mechanism of Gavel's simulator (stanford-futuredata/gavel,
// scheduler/scheduler.py): what each job may have of the time is computed anew only when jobs have
// come or gone and at least kResetEvery have passed. From then on the job comes first that has had
// least for its share; of several that are equal, the one that is further behind from before. Who
// comes in between waits for the next time. Gavel computes the shares with a linear program; for
// one kind of slot filling water gives the same.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <tuple>
#include <vector>

#include "absl/container/btree_map.h"
#include "coordinator/scheduler/policies.h"
#include "coordinator/scheduler/water_filling.h"

namespace cvtrain::coordinator {
namespace {

constexpr absl::Duration kResetEvery = absl::Seconds(1000);
// What each job is taken to have run already: half a round of Gavel's.
constexpr double kHeadStartSeconds = 60;

// Of one job, since the last reset.
struct ShareOfTime {
  double share = 0;  // of the time; 0: not given yet
  double served_before = 0;
  double behind_seconds = 0;
  bool seen = false;
};

class MaxMin : public Policy {
 public:
  std::unique_ptr<Policy> Clone() const override { return std::make_unique<MaxMin>(*this); }

  Fill fill() const override { return Fill::kPass; }

  void RankJobs(const PlanInput& input, absl::Span<Rank> ranks) override {
    if (begin_ == absl::InfinitePast()) begin_ = last_reset_ = input.now;
    Meet(input);
    // The first shares are given without a wait, and given again as soon as someone comes.
    const bool due = last_reset_ == begin_ || input.now - last_reset_ >= kResetEvery;
    if (changed_ && due) Reset(input);
    RankByShare(input, ranks);
  }

 private:
  // Takes notice of who has come and gone.
  void Meet(const PlanInput& input) {
    for (auto& [id, share] : shares_) share.seen = false;
    for (const PlanJob& job : input.jobs) {
      const auto [at, is_new] = shares_.try_emplace(job.id);
      at->second.seen = true;
      if (is_new) at->second.served_before = absl::ToDoubleSeconds(job.served);
      changed_ = changed_ || is_new;
    }
    for (auto at = shares_.begin(); at != shares_.end();) {
      if (at->second.seen) {
        ++at;
      } else {
        at = shares_.erase(at);
        changed_ = true;
      }
    }
  }

  void Reset(const PlanInput& input) {
    const double elapsed = absl::ToDoubleSeconds(input.now - last_reset_);
    std::vector<Claim> claims;
    double slots = 0;
    for (const PlanJob& job : input.jobs) {
      ShareOfTime& share = shares_[job.id];
      const double served = absl::ToDoubleSeconds(job.served);
      share.behind_seconds += share.share * elapsed - (served - share.served_before);
      share.served_before = served;
      claims.push_back({.weight = job.weight, .most = static_cast<double>(job.slots())});
    }
    for (const PlanWorker& worker : input.workers) slots += worker.slots;
    const std::vector<double> parts = FillWater(claims, slots);
    for (size_t i = 0; i < parts.size(); ++i) {
      shares_[input.jobs[i].id].share = parts[i] / claims[i].most;
    }
    last_reset_ = input.now;
    changed_ = false;
  }

  void RankByShare(const PlanInput& input, absl::Span<Rank> ranks) {
    using Place = std::tuple<double, double, double, int64_t>;
    std::vector<Place> places;
    for (const PlanJob& job : input.jobs) {
      const ShareOfTime& share = shares_[job.id];
      const double had = absl::ToDoubleSeconds(job.served) - share.served_before;
      places.emplace_back(-share.share / (kHeadStartSeconds + had), -share.behind_seconds,
                          -share.share, job.id);
    }
    std::vector<size_t> order(places.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::sort(order.begin(), order.end(),
              [&](size_t a, size_t b) { return places[a] < places[b]; });
    for (size_t place = 0; place < order.size(); ++place) {
      const size_t i = order[place];
      ranks[i] = {.key = static_cast<double>(place),
                  .rule = RankRule::kShare,
                  .eligible = shares_[input.jobs[i].id].share > 0};
    }
  }

  absl::Time begin_ = absl::InfinitePast();
  absl::Time last_reset_;
  bool changed_ = false;
  absl::btree_map<int64_t, ShareOfTime> shares_;  // by id of the job
};

}  // namespace

std::unique_ptr<Policy> MakeMaxMin() { return std::make_unique<MaxMin>(); }

}  // namespace cvtrain::coordinator
