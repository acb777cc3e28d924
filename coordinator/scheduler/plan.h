#ifndef CVTRAIN_COORDINATOR_SCHEDULER_PLAN_H_
#define CVTRAIN_COORDINATOR_SCHEDULER_PLAN_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"

// Who runs where, who makes way, and why the others wait: one pass over jobs and slots. Pure and
// deterministic: no clock, no chance, no thread, nothing in an order that could differ.
namespace cvtrain::coordinator {

class Policy;

// A part of a job in which what it needs does not change.
struct JobStage {
  // A gang: it gets all of them or does not run.
  int32_t slots = 1;
  // How long the rest of the stage takes on them, as forecast.
  absl::Duration left;
  // What each slot must have; 0 if nobody knows.
  int64_t memory_bytes = 0;
};

// So many slots of one worker, which is an index into PlanInput::workers.
struct SlotShare {
  int32_t worker = 0;
  int32_t slots = 0;

  friend bool operator==(const SlotShare&, const SlotShare&) = default;
};
using SlotShares = std::vector<SlotShare>;

// What is known of a job: journaled facts and forecasts made of them.
struct PlanJob {
  // Unique; of two that are otherwise alike the lower one goes first.
  int64_t id = 0;
  // The higher one goes first, whatever the policy says.
  int32_t priority = 0;
  // Of its project, more than 0: twice the weight is owed twice the share.
  double weight = 1;
  absl::Time arrival;
  // What it still needs, the present stage first; at least one.
  std::vector<JobStage> stages;
  // How long it has run, in all of its attempts, and how long the forecast said that this would
  // take: the two correct what is left, as far as the forecast may be wrong.
  absl::Duration served;
  absl::Duration served_forecast;
  // By how much forecasts like its own are usually wrong: the deviation of their logarithm; 0 if it
  // is taken as it is.
  double forecast_error = 0;
  // Where it runs; empty if it waits.
  SlotShares shares;
  // When it may be stopped next, if it runs: its next checkpoint or the end of its stage. And how
  // long after a start that would be, if it waits.
  absl::Time preemptible_at = absl::InfiniteFuture();
  absl::Duration preemptible_after = absl::InfiniteDuration();
  // What a stop and a start cost it: lost steps, restart, warm-up.
  absl::Duration restart_cost;
  // Its slots are on one worker if they fit one, else on whole workers and one more; otherwise they
  // may be anywhere, on as few workers as can do it.
  bool packed = false;
  // Its experiment, and how many jobs of that may run at the same time; 0: as many as there are.
  int64_t group = 0;
  int32_t group_running_max = 0;

  bool runs() const { return !shares.empty(); }
  int32_t slots() const { return stages.front().slots; }
  // Of all stages, as forecast.
  absl::Duration left() const;
};

struct PlanWorker {
  // False: whoever runs there stays, and nobody comes. Its slots are no part of any other number,
  // and those who run there cannot be stopped for anybody.
  bool open = true;
  // A gang never mixes kinds; a higher kind is preferred.
  int kind = 0;
  // That may be used, taken or not.
  int32_t slots = 0;
  // Of its smallest slot; 0 if it does not say.
  int64_t memory_bytes = 0;
};

struct PlanInput {
  absl::Time now;
  // In any order.
  absl::Span<const PlanJob> jobs;
  // In the order in which ties are resolved.
  absl::Span<const PlanWorker> workers;
};

// Which rule gave a job its place in the order.
enum class RankRule {
  kArrival,   // first come, first served
  kShortest,  // little is left of it
  kShare,     // how far it is behind its share
  kTail,      // everything would end later if it waited longer
  kFairness,  // it would end later than an equal share of the slots promises
  kProbe,     // nobody knows yet how fast it is
};

// What keeps a job from running now.
enum class WaitReason {
  kOrder,        // others come first, and have all that is free
  kSlots,        // too few are free, or not where it needs them
  kReservation,  // what is free is kept for one that comes first
  kTooLarge,     // all workers together have too few of its size
  kGroupLimit,   // its experiment runs as many as it may
  kShareTaken,   // the policy has given out all shares for now
};

struct StartedJob {
  int32_t job = 0;  // index into PlanInput::jobs
  SlotShares shares;
};

struct PreemptedJob {
  int32_t job = 0;
  // Id of the job that comes before it and takes slots of its own.
  int64_t by = 0;
};

struct WaitingJob {
  int32_t job = 0;
  WaitReason reason = WaitReason::kOrder;
  RankRule rule = RankRule::kArrival;
  // kReservation: id of the job for which they are kept. kOrder: of the one right before it that
  // waits for slots, too.
  int64_t behind = 0;
};

// Slots that are kept for the first job that does not fit.
struct Reservation {
  int32_t job = 0;
  // When those who hold them are expected to be done, or may be stopped for it.
  absl::Time at;
  SlotShares shares;
};

struct Plan {
  // Those that begin now. A job that is preempted and started moves.
  std::vector<StartedJob> started;
  std::vector<PreemptedJob> preempted;
  // Everyone who waits from now on, in the order in which they would be served; only if asked for.
  std::vector<WaitingJob> waiting;
  std::optional<Reservation> reservation;
};

struct PlanOptions {
  // Whether Plan::waiting is wanted: to know all of the order costs more than to use its begin.
  bool queue = true;
};

// Order: priority, highest first; then as `policy` ranks, ties to the lowest id.
//
// Place: of the kinds with enough large slots the highest; the fullest worker that holds the gang,
// which leaves big holes whole; ties go to the first worker. A job that runs stays where it is.
//
// A job that does not fit what is free takes slots of jobs that rank below it and may be stopped
// now, the last in the order first, and no more of them than it needs: free slots and victims'
// slots are one pool, of which a gang gets all or nothing. If even that is not enough, the policy's
// discipline says what happens (Policy::Fill). A job passes a reservation only with slots that are
// not part of it, or if it is expected to end, or may be stopped, before the reservation's time. So
// as far as forecasts hold a reservation is never put off by one that passed it.
Plan MakePlan(Policy& policy, const PlanInput& input, const PlanOptions& options = {});

// When those of `plan.waiting` will start, in their order, if nobody comes and forecasts hold: each
// when enough slots are free behind the one before it. Slots count as one pool, so that packing and
// kinds may put off what this says. InfiniteFuture() for one that is too large.
std::vector<absl::Time> PredictStarts(const PlanInput& input, const Plan& plan);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_SCHEDULER_PLAN_H_
