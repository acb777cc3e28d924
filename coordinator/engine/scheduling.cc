#include "coordinator/engine/scheduling.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "coordinator/scheduler/policies.h"
#include "coordinator/scheduler/reasons.h"
#include "coordinator/state/conclude.h"
#include "coordinator/state/trial_record.h"

namespace cvtrain::coordinator {
namespace {

constexpr absl::Duration kNoteEvery = absl::Seconds(10);
// Ahead of every priority that a user can give.
constexpr int32_t kFirstPriority = 1'000'000;

v1::WaitReason ToProto(WaitReason reason) {
  switch (reason) {
    case WaitReason::kOrder:
      return v1::WAIT_REASON_ORDER;
    case WaitReason::kSlots:
      return v1::WAIT_REASON_SLOTS;
    case WaitReason::kReservation:
      return v1::WAIT_REASON_RESERVATION;
    case WaitReason::kTooLarge:
      return v1::WAIT_REASON_TOO_LARGE;
    case WaitReason::kGroupLimit:
      return v1::WAIT_REASON_GROUP_LIMIT;
    case WaitReason::kShareTaken:
      return v1::WAIT_REASON_SHARE_TAKEN;
  }
  return v1::WAIT_REASON_UNSPECIFIED;
}

v1::RankRule ToProto(RankRule rule) {
  switch (rule) {
    case RankRule::kArrival:
      return v1::RANK_RULE_ARRIVAL;
    case RankRule::kShortest:
      return v1::RANK_RULE_SHORTEST;
    case RankRule::kShare:
      return v1::RANK_RULE_SHARE;
    case RankRule::kTail:
      return v1::RANK_RULE_TAIL;
    case RankRule::kFairness:
      return v1::RANK_RULE_FAIRNESS;
    case RankRule::kProbe:
      return v1::RANK_RULE_PROBE;
  }
  return v1::RANK_RULE_UNSPECIFIED;
}

// Takes the slots of `shares` out of those that nobody holds; nullopt, taking none, if some of
// them are still held by somebody who is stopping.
std::optional<std::vector<RankSlot>> TakeFree(const SlotShares& shares,
                                              std::vector<Demand::Slots>& slots) {
  for (const SlotShare& share : shares) {
    const Demand::Slots& group = slots[static_cast<size_t>(share.worker)];
    if (group.free.size() < static_cast<size_t>(share.slots)) return std::nullopt;
  }
  std::vector<RankSlot> ranks;
  for (const SlotShare& share : shares) {
    Demand::Slots& group = slots[static_cast<size_t>(share.worker)];
    const auto end = group.free.begin() + share.slots;
    for (auto slot = group.free.begin(); slot != end; ++slot) {
      ranks.push_back({group.worker, *slot});
    }
    group.free.erase(group.free.begin(), end);
  }
  return ranks;
}

// How many more trials of each experiment may run, those that are stopping being counted.
class RunningRoom {
 public:
  bool Take(const ClusterState::Experiment& experiment) {
    const auto [room, is_new] = room_.try_emplace(experiment.name, 0);
    if (is_new) {
      room->second = RunningTrialsMax(experiment.record.spec()) -
                     experiment.trials_by_state[v1::Trial::STATE_RUNNING];
    }
    if (room->second <= 0) return false;
    --room->second;
    return true;
  }

 private:
  absl::btree_map<ExperimentName, int32_t> room_;
};

void Suppose(const QueueChange& change, Demand& demand) {
  for (size_t i = 0; i < demand.workers.size(); ++i) {
    if (change.without.contains(demand.slots[i].worker)) demand.workers[i].open = false;
  }
  demand.workers.insert(demand.workers.end(), change.more.begin(), change.more.end());
  for (size_t i = 0; i < demand.jobs.size(); ++i) {
    if (demand.trials[i].trial->name == change.first) demand.jobs[i].priority = kFirstPriority;
    if (demand.trials[i].experiment->name == change.unlimited) {
      demand.jobs[i].group_running_max = 0;
    }
  }
}

// Makes a report of a plan.
class Reporter {
 public:
  Reporter(const Demand& demand, const Plan& plan)
      : demand_(demand), plan_(plan), input_(demand.input()), slots_(demand.slots) {
    // Those that are only supposed.
    for (size_t i = slots_.size(); i < demand.workers.size(); ++i) {
      slots_.emplace_back().free.resize(static_cast<size_t>(demand.workers[i].slots));
    }
  }

  QueueReport Run() {
    AddRunning();
    AddStarting();
    AddWaiting();
    for (const Demand::Blocked& blocked : demand_.blocked) AddBlocked(blocked);
    return std::move(report_);
  }

 private:
  QueueLine LineOf(const Demand::Job& known, absl::Duration left) const {
    QueueLine line;
    line.experiment = known.experiment;
    line.trial = known.trial;
    line.left = left;
    line.basis = known.basis;
    return line;
  }
  QueueLine LineOf(int32_t job) const {
    const auto i = static_cast<size_t>(job);
    QueueLine line = LineOf(demand_.trials[i], demand_.jobs[i].left());
    line.restart_cost = demand_.jobs[i].restart_cost;
    return line;
  }
  void Predict(absl::Time start, QueueLine& line) const {
    line.start = start;
    line.end = start == absl::InfiniteFuture() ? start : start + line.left;
  }

  void AddRunning() {
    std::vector<bool> stopped(demand_.jobs.size());
    for (const PreemptedJob& one : plan_.preempted) stopped[static_cast<size_t>(one.job)] = true;
    for (size_t i = 0; i < demand_.jobs.size(); ++i) {
      if (!demand_.jobs[i].runs() || stopped[i]) continue;
      QueueLine line = LineOf(static_cast<int32_t>(i));
      Predict(demand_.now, line);
      line.preemptible_at = demand_.jobs[i].preemptible_at;
      report_.running.push_back(std::move(line));
    }
    std::sort(report_.running.begin(), report_.running.end(),
              [](const QueueLine& a, const QueueLine& b) { return a.trial->name < b.trial->name; });
  }

  // Those that have slots, and begin at once or wait for who holds them.
  void AddStarting() {
    for (const StartedJob& one : plan_.started) {
      if (demand_.jobs[static_cast<size_t>(one.job)].runs()) continue;
      QueueLine line = LineOf(one.job);
      const bool free = TakeFree(one.shares, slots_).has_value();
      line.reason = free ? v1::WAIT_REASON_ORDER : v1::WAIT_REASON_STOPPING;
      line.text = free ? "starts now" : "waiting for others to write a checkpoint and make way";
      Predict(demand_.now, line);
      report_.waiting.push_back(std::move(line));
    }
  }

  void AddWaiting() {
    const std::vector<absl::Time> starts = PredictStarts(input_, plan_);
    const bool nobody = std::none_of(demand_.workers.begin(), demand_.workers.end(),
                                     [](const PlanWorker& worker) { return worker.open; });
    for (size_t i = 0; i < plan_.waiting.size(); ++i) {
      const WaitingJob& one = plan_.waiting[i];
      QueueLine line = LineOf(one.job);
      line.reason = ToProto(one.reason);
      line.rule = ToProto(one.rule);
      if (one.behind != 0) line.behind = TrialOfJob(one.behind);
      line.text =
          WaitText(input_, plan_, one, [](int64_t id) { return FormatShort(TrialOfJob(id)); });
      if (nobody) line.text = absl::StrCat(line.text, "; no worker is ready");
      absl::Time start = starts[i];
      // Those who can be stopped for it make it sooner than their ends.
      if (plan_.reservation.has_value() && plan_.reservation->job == one.job) {
        start = std::min(start, plan_.reservation->at);
      }
      Predict(start, line);
      report_.waiting.push_back(std::move(line));
    }
  }

  void AddBlocked(const Demand::Blocked& blocked) {
    QueueLine line = LineOf(blocked.job, blocked.left);
    line.reason = blocked.block.reason;
    line.text = blocked.block.text;
    report_.waiting.push_back(std::move(line));
  }

  const Demand& demand_;
  const Plan& plan_;
  const PlanInput input_;
  std::vector<Demand::Slots> slots_;
  QueueReport report_;
};

}  // namespace

Scheduling::Scheduling() : policy_(MakeCvtrain()) {}

Scheduling::Decisions Scheduling::Decide(const ClusterState& state, const LiveState& live,
                                         const Instant& now) {
  Demand demand = GatherDemand(state, live, forecaster_, now);
  const PlanInput input = demand.input();
  const Plan plan = MakePlan(*policy_, input, {.queue = false});
  Decisions decisions;
  decisions.considered = demand.jobs.size() + demand.blocked.size();
  for (const PreemptedJob& one : plan.preempted) {
    const ClusterState::Trial& trial = *demand.trials[static_cast<size_t>(one.job)].trial;
    const storage::v1::AttemptRecord& attempt = *OpenAttempt(trial.record);
    decisions.preemptions.push_back({NameOf(trial.record, attempt), TrialOfJob(one.by)});
  }
  RunningRoom room;
  for (const StartedJob& one : plan.started) {
    const auto i = static_cast<size_t>(one.job);
    // One that moves begins again when it has stopped.
    if (demand.jobs[i].runs()) continue;
    std::optional<std::vector<RankSlot>> ranks = TakeFree(one.shares, demand.slots);
    if (!ranks.has_value() || !room.Take(*demand.trials[i].experiment)) continue;
    decisions.placements.push_back({demand.trials[i].trial->name, *std::move(ranks)});
  }
  return decisions;
}

QueueReport Scheduling::Report(const ClusterState& state, const LiveState& live, const Instant& now,
                               const QueueChange& change) {
  Demand demand = GatherDemand(state, live, forecaster_, now);
  Suppose(change, demand);
  const std::unique_ptr<Policy> policy = policy_->Clone();
  const Plan plan = MakePlan(*policy, demand.input());
  return Reporter(demand, plan).Run();
}

void Scheduling::NotePredictions(const ClusterState& state, const LiveState& live,
                                 const Instant& now) {
  if (now.steady - noted_at_ < kNoteEvery) return;
  noted_at_ = now.steady;
  forecaster_.Forget(state);
  for (auto known = predictions_.begin(); known != predictions_.end();) {
    const auto trial = state.FindTrial(known->first);
    const bool open = trial.ok() && !HasEnded((*trial)->record.state());
    known = open ? std::next(known) : predictions_.erase(known);
  }
  const QueueReport report = Report(state, live, now);
  for (const auto* lines : {&report.running, &report.waiting}) {
    for (const QueueLine& line : *lines) {
      if (line.end == absl::InfiniteFuture()) continue;
      const absl::Time start = lines == &report.running ? absl::InfinitePast() : line.start;
      predictions_.try_emplace(line.trial->name, QueuePrediction{now.wall, start, line.end});
    }
  }
}

std::optional<QueuePrediction> Scheduling::FirstPrediction(const TrialName& trial) const {
  const auto found = predictions_.find(trial);
  if (found == predictions_.end()) return std::nullopt;
  return found->second;
}

}  // namespace cvtrain::coordinator
