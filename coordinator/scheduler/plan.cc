#include "coordinator/scheduler/plan.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/container/btree_map.h"
#include "coordinator/scheduler/policy.h"
#include "coordinator/scheduler/slot_map.h"

namespace cvtrain::coordinator {
namespace {

// The pass over the jobs in their order.
//
//   free slots --Find--> started        victims below --Evict--> preempted
//        ^                                    |
//        +------ those who keep running <-----+ what was not needed of them
class Planner {
 public:
  Planner(Policy& policy, const PlanInput& input, const PlanOptions& options)
      : input_(input),
        options_(options),
        fill_(policy.fill()),
        ranks_(input.jobs.size()),
        states_(input.jobs.size(), State::kOpen),
        slots_(input.workers) {
    policy.RankJobs(input, absl::MakeSpan(ranks_));
  }

  Plan Run() {
    LookAtAll();
    while (!order_.empty()) {
      if (!options_.queue && (stopped_ || NothingToGive())) break;
      Visit(PopNext());
    }
    return std::move(plan_);
  }

 private:
  enum class State : uint8_t { kOpen, kKept, kEvicted, kStarted };

  const PlanJob& job(int32_t i) const { return input_.jobs[static_cast<size_t>(i)]; }
  const Rank& rank(int32_t i) const { return ranks_[static_cast<size_t>(i)]; }
  State& state(int32_t i) { return states_[static_cast<size_t>(i)]; }

  // What the order is made of, side by side: jobs themselves are too large to be sorted fast.
  struct Place {
    int32_t priority;
    int32_t job;
    double key;
    int64_t id;
  };
  // True if `a` comes after `b`: the next one is at the back, and at the top of a heap.
  static bool Follows(const Place& a, const Place& b) {
    if (a.priority != b.priority) return a.priority < b.priority;
    if (a.key != b.key) return a.key > b.key;
    return a.id > b.id;
  }
  Place PlaceOf(int32_t i) const { return {job(i).priority, i, rank(i).key, job(i).id}; }

  // One pass over the jobs, which are many: their order, the slots that are taken, and who may be
  // stopped now.
  void LookAtAll() {
    order_.reserve(input_.jobs.size());
    std::vector<Place> victims;
    for (size_t i = 0; i < input_.jobs.size(); ++i) {
      const PlanJob& one = input_.jobs[i];
      order_.push_back(PlaceOf(static_cast<int32_t>(i)));
      if (!one.runs()) continue;
      slots_.Take(one.shares);
      if (one.group_running_max > 0) ++group_running_[one.group];
      if (MayBeStopped(one)) victims.push_back(order_.back());
    }
    // A heap, or all in order at once: sorting is worth it only where all of them are looked at.
    if (options_.queue) {
      std::sort(order_.begin(), order_.end(), Follows);
    } else {
      std::make_heap(order_.begin(), order_.end(), Follows);
    }
    std::sort(victims.begin(), victims.end(), Follows);
    for (const Place& place : victims) victims_.push_back(place.job);
    victims_left_ = victims_.size();
  }

  bool MayBeStopped(const PlanJob& one) const {
    return one.preemptible_at <= input_.now &&
           std::all_of(one.shares.begin(), one.shares.end(), [this](const SlotShare& share) {
             return input_.workers[static_cast<size_t>(share.worker)].open;
           });
  }

  int32_t PopNext() {
    if (!options_.queue) std::pop_heap(order_.begin(), order_.end(), Follows);
    const int32_t next = order_.back().job;
    order_.pop_back();
    return next;
  }

  bool NothingToGive() const { return slots_.free_total() == 0 && victims_left_ == 0; }

  void Visit(int32_t i) {
    const PlanJob& here = job(i);
    if (here.runs() && state(i) != State::kEvicted) {
      // From here on it ranks above everyone who comes.
      state(i) = State::kKept;
      if (MayBeStopped(here)) --victims_left_;
      return;
    }
    if (!rank(i).eligible) return Wait(i, WaitReason::kShareTaken);
    if (here.group_running_max > 0 && group_running_[here.group] >= here.group_running_max) {
      return Wait(i, WaitReason::kGroupLimit);
    }
    const GangShape gang(here);
    if (!EverFits(gang)) return Wait(i, WaitReason::kTooLarge);
    if (stopped_ || NothingToGive()) {
      // Nobody can pass it anyway: for those who ask when it will start.
      if (!stopped_ && !in_line_.has_value() && fill_ == Policy::Fill::kReserve) Reserve(i, gang);
      return Wait(i, in_line_.has_value() ? WaitReason::kOrder : WaitReason::kSlots);
    }
    if (HasFailed(here, gang)) return Wait(i, WaitReason::kSlots);
    if (Start(i, gang) || Evict(i, gang)) return;
    Block(i, gang);
  }

  // Whether the job is out of the way, or can be put there, when the reservation needs its slots.
  bool LeavesReservation(const PlanJob& here) const {
    return !plan_.reservation.has_value() ||
           input_.now + std::min(here.left(), here.preemptible_after) <= plan_.reservation->at;
  }

  std::optional<SlotShares> Find(int32_t i, const GangShape& gang) const {
    return LeavesReservation(job(i)) ? slots_.Find(gang) : slots_.FindWithin(gang, spare_);
  }

  bool Start(int32_t i, const GangShape& gang) {
    const std::optional<SlotShares> shares = Find(i, gang);
    if (shares.has_value()) Admit(i, *shares);
    return shares.has_value();
  }

  void Admit(int32_t i, const SlotShares& shares) {
    slots_.Take(shares);
    if (!LeavesReservation(job(i))) {
      for (const SlotShare& share : shares) {
        spare_[static_cast<size_t>(share.worker)] -= share.slots;
      }
    }
    state(i) = State::kStarted;
    plan_.started.push_back({i, shares});
    if (job(i).group_running_max > 0) ++group_running_[job(i).group];
  }

  // Takes the slots of jobs that rank below job `i`, the last one first, until it fits; then gives
  // back to those victims whose slots it did not take, the first one first.
  bool Evict(int32_t i, const GangShape& gang) {
    if (victims_left_ == 0) return false;
    std::vector<int32_t> asked;
    std::optional<SlotShares> shares;
    for (const int32_t victim : victims_) {
      if (state(victim) != State::kOpen) continue;
      asked.push_back(victim);
      slots_.Give(job(victim).shares);
      if (!slots_.MayHold(gang, job(victim).shares)) continue;
      shares = Find(i, gang);
      if (shares.has_value()) break;
    }
    if (shares.has_value()) Admit(i, *shares);
    for (auto victim = asked.rbegin(); victim != asked.rend(); ++victim) {
      if (shares.has_value() && !IsFree(job(*victim).shares)) {
        Preempt(*victim, job(i).id);
      } else {
        slots_.Take(job(*victim).shares);
      }
    }
    return shares.has_value();
  }

  bool IsFree(const SlotShares& shares) const {
    return std::all_of(shares.begin(), shares.end(), [this](const SlotShare& share) {
      return slots_.free()[static_cast<size_t>(share.worker)] >= share.slots;
    });
  }

  void Preempt(int32_t victim, int64_t by) {
    state(victim) = State::kEvicted;
    --victims_left_;
    plan_.preempted.push_back({victim, by});
    if (job(victim).group_running_max > 0) --group_running_[job(victim).group];
  }

  // Neither free slots nor victims are enough for it.
  void Block(int32_t i, const GangShape& gang) {
    const bool leaves = LeavesReservation(job(i));
    Wait(i,
         !leaves && slots_.Find(gang).has_value() ? WaitReason::kReservation : WaitReason::kSlots);
    (leaves ? failed_ : failed_to_pass_).push_back(gang);
    if (fill_ == Policy::Fill::kStop) stopped_ = true;
    if (fill_ == Policy::Fill::kReserve && !plan_.reservation.has_value()) Reserve(i, gang);
  }

  // Whether one that asked for no more has found nothing: what is free or can be taken, and what is
  // spared by the reservation, only shrinks.
  bool HasFailed(const PlanJob& here, const GangShape& gang) const {
    const auto covers = [&](const GangShape& one) { return gang.Covers(one); };
    return std::any_of(failed_.begin(), failed_.end(), covers) ||
           (!failed_to_pass_.empty() && !LeavesReservation(here) &&
            std::any_of(failed_to_pass_.begin(), failed_to_pass_.end(), covers));
  }

  // Whether all slots together would do. Shapes are few.
  bool EverFits(const GangShape& gang) {
    for (const auto& [known, fits] : ever_) {
      if (known == gang) return fits;
    }
    return ever_.emplace_back(gang, slots_.EverFits(gang)).second;
  }

  // Keeps the first slots that job `i` fits for it, as those who hold them go.
  void Reserve(int32_t i, const GangShape& gang) {
    std::vector<std::pair<absl::Time, const SlotShares*>> ends;
    for (size_t k = 0; k < input_.jobs.size(); ++k) {
      const PlanJob& one = input_.jobs[k];
      if (!one.runs() || states_[k] == State::kEvicted) continue;
      absl::Time end = input_.now + one.left();
      // Who ranks below it can be stopped for it.
      if (states_[k] == State::kOpen) end = std::min(end, one.preemptible_at);
      ends.emplace_back(std::max(end, input_.now), &one.shares);
    }
    for (const StartedJob& one : plan_.started) {
      ends.emplace_back(input_.now + job(one.job).left(), &one.shares);
    }
    std::sort(ends.begin(), ends.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    SlotMap later(slots_);
    for (size_t k = 0; k < ends.size(); ++k) {
      later.Give(*ends[k].second);
      // All who leave at the same moment have left.
      if (k + 1 < ends.size() && ends[k + 1].first == ends[k].first) continue;
      if (later.free_total() < gang.slots) continue;
      const std::optional<SlotShares> kept = later.Find(gang);
      if (!kept.has_value()) continue;
      plan_.reservation = Reservation{i, ends[k].first, *kept};
      later.Take(*kept);
      spare_.assign(later.free().begin(), later.free().end());
      return;
    }
  }

  void Wait(int32_t i, WaitReason reason) {
    if (!options_.queue) return;
    WaitingJob waiting{.job = i, .reason = reason, .rule = rank(i).rule};
    if (reason == WaitReason::kReservation) waiting.behind = job(plan_.reservation->job).id;
    if (reason == WaitReason::kOrder) waiting.behind = in_line_.value_or(0);
    plan_.waiting.push_back(waiting);
    if (reason == WaitReason::kOrder || reason == WaitReason::kSlots ||
        reason == WaitReason::kReservation) {
      in_line_ = job(i).id;
    }
  }

  const PlanInput& input_;
  const PlanOptions options_;
  const Policy::Fill fill_;
  std::vector<Rank> ranks_;
  std::vector<State> states_;
  SlotMap slots_;
  std::vector<Place> order_;      // a heap, or the next one at the back
  std::vector<int32_t> victims_;  // those that may be stopped now, the last in the order first
  size_t victims_left_ = 0;       // that rank below the one being looked at
  std::vector<GangShape> failed_;
  std::vector<GangShape> failed_to_pass_;            // the reservation
  std::vector<std::pair<GangShape, bool>> ever_;     // shape, whether it fits an empty cluster
  std::vector<int32_t> spare_;                       // of each worker at the reservation's time
  absl::btree_map<int64_t, int32_t> group_running_;  // by group
  bool stopped_ = false;
  std::optional<int64_t> in_line_;  // the last one that waits for slots
  Plan plan_;
};

}  // namespace

absl::Duration PlanJob::left() const {
  absl::Duration sum = stages.front().left;
  for (size_t i = 1; i < stages.size(); ++i) sum += stages[i].left;
  return sum;
}

Plan MakePlan(Policy& policy, const PlanInput& input, const PlanOptions& options) {
  return Planner(policy, input, options).Run();
}

}  // namespace cvtrain::coordinator
