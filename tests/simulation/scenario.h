#ifndef CVTRAIN_TESTS_SIMULATION_SCENARIO_H_
#define CVTRAIN_TESTS_SIMULATION_SCENARIO_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "tests/simulation/event_queue.h"

// What one seed means: how large a cluster, which faults how often, which load.
namespace cvtrain::simulation {

// Bugs that a run can have planted, to prove that it would be noticed. All are planted in the
// simulation, where messages, decisions, the journal and the clock pass through it; the product's
// code is the one that ships. See docs/simulation.md.
//
// X(enumerator, name)
#define CVTRAIN_PLANTED_BUGS(X)                                                          \
  /* A report gets the generation that the coordinator would like to see. */             \
  X(kGenerationNotChecked, "generation_not_checked")                                     \
  /* An allocation as stored names a slot that another attempt has. */                   \
  X(kSlotGivenTwice, "slot_given_twice")                                                 \
  /* An allocation as stored lacks a rank. */                                            \
  X(kHalfAGang, "half_a_gang")                                                           \
  /* What the search did in an event is not stored with it: it would be decided anew. */ \
  X(kSearchOutsideTheEvent, "search_outside_the_event")                                  \
  /* Requests of one batch are taken in the order of a hash table of addresses. */       \
  X(kHashOrderDecision, "hash_order_decision")                                           \
  /* Answers leave before the sync is done. */                                           \
  X(kAnswerBeforeSync, "answer_before_sync")                                             \
  /* The journal says OK without having synced. */                                       \
  X(kForgottenSync, "forgotten_sync")                                                    \
  /* A request id is not remembered. */                                                  \
  X(kRequestIdForgotten, "request_id_forgotten")                                         \
  /* Leases are judged by a clock that stands still. */                                  \
  X(kLeaseNeverExpires, "lease_never_expires")                                           \
  /* Replay begins one record late. */                                                   \
  X(kReplayOffByOne, "replay_off_by_one")                                                \
  /* Facts are acknowledged without having been decided. */                              \
  X(kFactsDropped, "facts_dropped")                                                      \
  /* A batch of points that comes again is stored again. */                              \
  X(kPointsDoubled, "points_doubled")                                                    \
  /* A checkpoint is listed before its bytes are on the disk. */                         \
  X(kCheckpointBeforeItsBytes, "checkpoint_before_its_bytes")                            \
  /* A journal that ends before HEAD is served from. */                                  \
  X(kHeadNotChecked, "head_not_checked")                                                 \
  /* Reads see what is decided and not durable yet. */                                   \
  X(kReadOfTheLiveState, "read_of_the_live_state")

enum class Bug {
  kNone,
#define CVTRAIN_ENUMERATOR(enumerator, name) enumerator,
  CVTRAIN_PLANTED_BUGS(CVTRAIN_ENUMERATOR)
#undef CVTRAIN_ENUMERATOR
};

inline constexpr size_t kBugCount = 0
#define CVTRAIN_COUNTED(enumerator, name) +1
    CVTRAIN_PLANTED_BUGS(CVTRAIN_COUNTED)
#undef CVTRAIN_COUNTED
    ;

absl::string_view BugName(Bug bug);
std::optional<Bug> BugFromName(absl::string_view name);

// Rates are means of Poisson processes; 0 is never. Chances are per message or call.
struct Scenario {
  uint64_t seed = 0;
  Bug bug = Bug::kNone;
  // Prints every event of the journal, and what the parts say, for whoever looks for a cause.
  bool print = false;

  // The cluster.
  Nanos duration = 0;  // of the phase with faults
  int workers = 1;
  int slots_max = 1;  // of one worker
  Nanos renew_interval = 0;
  int64_t snapshot_events = 0;
  int64_t tail_records = 0;

  // The load.
  int clients = 1;
  Nanos client_pause = 0;  // mean, between two actions of a client
  int experiments_open_max = 1;
  Nanos trial_time_max = 0;  // of training, without outages
  bool gangs = false;
  bool searches = false;
  bool cancels = false;
  bool imports = false;
  double trial_failures = 0;  // chance for an attempt

  // The network.
  double loss = 0;
  double doubles = 0;
  Nanos delay_max = 0;
  double long_delays = 0;
  Nanos clog_every = 0;
  Nanos partition_every = 0;
  Nanos partition_max = 0;

  // Processes.
  Nanos coordinator_crash_every = 0;
  Nanos coordinator_pause_every = 0;
  Nanos worker_crash_every = 0;  // of each worker
  Nanos worker_pause_every = 0;  // of each worker
  Nanos worker_stop_every = 0;   // of each worker

  // Clocks.
  Nanos clock_step_every = 0;
  double drift_max = 0;  // of steady clocks

  // Disks.
  double disk_errors = 0;  // chance for a write of the journal
  Nanos disk_full_every = 0;
  Nanos disk_slow_every = 0;
  Nanos bit_rot_every = 0;
  Nanos worker_disk_full_every = 0;
  double damaged_checkpoints = 0;  // chance for a download

  double repeats = 0;  // share of clients' actions
};

// Draws the scenario of a seed. Swarm testing: each kind of fault is off in about half of the
// seeds, because faults hide each other.
Scenario DrawScenario(uint64_t seed);

// For people.
std::string Describe(const Scenario& scenario);

}  // namespace cvtrain::simulation

#endif  // CVTRAIN_TESTS_SIMULATION_SCENARIO_H_
