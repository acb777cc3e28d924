#ifndef CVTRAIN_COORDINATOR_SCHEDULER_SCHEDULER_H_
#define CVTRAIN_COORDINATOR_SCHEDULER_SCHEDULER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "common/ids.h"

namespace cvtrain::coordinator {

// The slots of one kind that a worker offers. A gang never mixes kinds.
struct WorkerSlots {
  WorkerName worker;
  // Number of v1::Slot::Kind; a higher kind is preferred.
  int kind = 0;
  // Indices of free slots, ascending.
  std::vector<int32_t> free;
  // Free and busy ones.
  int32_t total = 0;
  // Of the smallest slot; 0 if the worker does not say.
  int64_t memory_bytes = 0;
};

// The trials of one experiment that wait, all alike.
struct QueuedTrials {
  ExperimentName experiment;
  int32_t priority = 0;
  // Slots that each of them needs.
  int32_t slots = 1;
  // Trials of the experiment that run, and how many may.
  int32_t running = 0;
  int32_t running_max = 1;
  // Numbers of the trials, ascending.
  std::vector<int64_t> trials;
  // What each of its slots must have; 0 if nobody knows.
  int64_t memory_bytes = 0;
};

struct RankSlot {
  WorkerName worker;
  int32_t slot = 0;

  friend bool operator==(const RankSlot&, const RankSlot&) = default;
};

// All slots of one trial, in order of rank.
struct TrialPlacement {
  TrialName trial;
  std::vector<RankSlot> ranks;
};

// Where trials go, and why they wait. Gangs: a trial gets all of its slots or none.
//
// A slot of a worker that says how much memory it has is given only to trials that need no more.
//
// Order: priority, highest first; then first come, first served, by experiment, then by number of
// the trial. The first trial that does not fit keeps what is free and large enough for it, so that
// no smaller one behind it keeps it waiting for ever. Passed over are only trials that free slots
// could not help: those of an experiment that runs as many as it may, and those that need more
// slots, or larger ones, than all workers have.
//
// Place: the fewest workers; among those the best fit, which leaves big holes whole; ties go to
// the first name. Ranks are numbered worker by worker, neighbours together.
//
// Pure functions; `queue` is in order of (priority descending, experiment), `workers` in order of
// name. Thread-safe.

std::vector<TrialPlacement> PlaceTrials(absl::Span<const QueuedTrials> queue,
                                        std::vector<WorkerSlots> workers);

// Why `trial`, which is in `queue`, waits, when PlaceTrials() has nothing more to place:
//   waiting for 2 slots: 1 of 2 free
//   waiting for 8 slots: all workers together have 2
//   waiting for 2 slots of 5.1 GiB: all workers together have 1
//   waiting for 1 slot of 9.5 GiB: all workers together have 0; a smaller model or size
//     needs less
//   waiting: its experiment runs 2 of at most 2 trials
//   waiting behind trial/3.1, which needs 4 slots: 1 of 4 free
std::string ExplainWait(absl::Span<const QueuedTrials> queue, absl::Span<const WorkerSlots> workers,
                        const TrialName& trial);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_SCHEDULER_SCHEDULER_H_
