#ifndef CVTRAIN_TESTS_SIMULATION_TALLY_H_
#define CVTRAIN_TESTS_SIMULATION_TALLY_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

// What a simulation counts: the faults that it injected, and probes, which are places that a run
// must reach to be worth something. Names are those of docs/evidence/simulation.csv.
//
// X(enumerator, name)
#define CVTRAIN_SIMULATED_FAULTS(X)                      \
  X(kRequestLost, "request_lost")                        \
  X(kResponseLost, "response_lost")                      \
  X(kRequestDoubled, "request_doubled")                  \
  X(kStreamBroken, "stream_broken")                      \
  X(kLongDelay, "long_delay")                            \
  X(kClog, "clog")                                       \
  X(kPartitionSingle, "partition_single")                \
  X(kPartitionHalves, "partition_halves")                \
  X(kPartitionCoordinator, "partition_coordinator")      \
  X(kPartitionOneWay, "partition_one_way")               \
  X(kCoordinatorKilled, "coordinator_killed")            \
  X(kCoordinatorPower, "coordinator_power_loss")         \
  X(kCoordinatorStopped, "coordinator_stopped_in_order") \
  X(kCoordinatorPaused, "coordinator_paused")            \
  X(kWorkerKilled, "worker_killed")                      \
  X(kWorkerPower, "worker_power_loss")                   \
  X(kWorkerWiped, "worker_wiped")                        \
  X(kWorkerStopped, "worker_stopped_in_order")           \
  X(kWorkerPaused, "worker_paused")                      \
  X(kCoordinatorClock, "coordinator_wall_clock_step")    \
  X(kWorkerClock, "worker_wall_clock_step")              \
  X(kDiskError, "disk_error")                            \
  X(kDiskFull, "disk_full")                              \
  X(kDiskSlow, "disk_slow")                              \
  X(kTornTail, "torn_tail")                              \
  X(kBitRot, "bit_rot")                                  \
  X(kOldCopy, "older_copy_of_the_journal")               \
  X(kWorkerDiskFull, "worker_disk_full")                 \
  X(kTrialFailure, "trial_failure")                      \
  X(kCheckpointDamaged, "checkpoint_damaged")            \
  X(kRequestRepeated, "request_repeated")                \
  X(kRequestReused, "request_id_reused")

#define CVTRAIN_SIMULATED_PROBES(X)                                  \
  /* Trials. */                                                      \
  X(kTrialSucceeded, "trial_succeeded")                              \
  X(kTrialFailed, "trial_failed")                                    \
  X(kTrialCancelledQueued, "trial_cancelled_while_queued")           \
  X(kTrialCancelledRunning, "trial_cancelled_while_running")         \
  X(kTrialDiscarded, "trial_discarded_by_its_search")                \
  X(kTrialRequeued, "trial_queued_again")                            \
  X(kRetryUser, "retry_of_user_budget")                              \
  X(kRetryOutOfMemory, "retry_of_out_of_memory_budget")              \
  X(kRetryInfrastructure, "retry_of_infrastructure_budget")          \
  X(kBudgetUsedUp, "retry_budget_used_up")                           \
  X(kManyAttempts, "trial_with_ten_attempts")                        \
  X(kDelayedRetry, "trial_waits_between_attempts")                   \
  X(kExperimentSucceeded, "experiment_succeeded")                    \
  X(kExperimentFailed, "experiment_failed")                          \
  X(kExperimentCancelled, "experiment_cancelled")                    \
  X(kSearchAdvanced, "search_advanced_by_itself")                    \
  X(kSearchCreated, "search_made_trials_in_an_event")                \
  X(kSearchDone, "search_ended")                                     \
  /* Attempts. */                                                    \
  X(kGang, "gang_allocated")                                         \
  X(kGangAcross, "gang_allocated_across_workers")                    \
  X(kResumed, "attempt_goes_on_from_a_checkpoint")                   \
  X(kResumedElsewhere, "attempt_goes_on_on_another_worker")          \
  X(kResumedEarlier, "attempt_goes_on_from_an_earlier_checkpoint")   \
  X(kBegunWithImported, "attempt_begins_with_imported_weights")      \
  X(kLostUnstarted, "attempt_lost_before_its_first_step")            \
  X(kLostRunning, "attempt_lost_after_its_first_step")               \
  X(kPartLost, "one_part_of_a_gang_lost")                            \
  X(kPartFailedStops, "a_failed_part_stops_the_others")              \
  X(kHarderStop, "a_harder_stop")                                    \
  X(kFinishedAfterCancel, "finished_though_cancelled")               \
  X(kPreempted, "attempt_ended_preempted")                           \
  X(kMadeWay, "attempt_asked_to_make_way")                           \
  X(kCordoned, "worker_cordoned")                                    \
  X(kSetAside, "worker_set_aside_for_failures")                      \
  X(kTakenBack, "worker_taken_back")                                 \
  X(kOrphaned, "worker_orphaned")                                    \
  X(kEveryCause, "attempt_ended_with_a_rare_cause")                  \
  /* Leases and sessions. */                                         \
  X(kWorkerLost, "lease_expired")                                    \
  X(kWorkerBack, "lost_worker_came_back")                            \
  X(kSuspect, "worker_suspect")                                      \
  X(kSessionReplaced, "newer_session_of_a_worker")                   \
  X(kWelcomeKept, "welcome_keeps_an_attempt")                        \
  X(kWelcomeDropped, "welcome_drops_an_attempt")                     \
  X(kAssignedAgain, "assignment_said_again")                         \
  X(kLostByHello, "hello_no_longer_holds_an_attempt")                \
  X(kNewInstance, "worker_with_another_instance")                    \
  X(kStaleFacts, "stale_facts_refused")                              \
  X(kStaleMetrics, "stale_points_refused")                           \
  X(kStaleCheckpoint, "stale_checkpoint_refused")                    \
  X(kStaleProgress, "stale_progress_answered_by_stop")               \
  X(kFactsRepeated, "facts_repeated")                                \
  X(kPointsRepeated, "points_repeated")                              \
  X(kCheckpointRepeated, "checkpoint_repeated")                      \
  X(kCheckpointSpooled, "checkpoint_by_way_of_the_spool")            \
  X(kCheckpointDeleted, "checkpoint_deleted_by_policy")              \
  X(kSpoolRecovered, "spool_with_attempts_recovered")                \
  X(kWorkerDrained, "worker_stopped_in_order")                       \
  X(kRendezvousWait, "rank_waits_in_the_store")                      \
  X(kRendezvousTimeout, "rank_waits_in_vain")                        \
  X(kPausedPastLease, "worker_resumed_after_its_lease")              \
  X(kOutageBridged, "attempt_outlives_a_coordinator")                \
  /* Journal and coordinator. */                                     \
  X(kRecovered, "coordinator_recovered")                             \
  X(kRecoveredSnapshot, "recovered_from_snapshot_and_tail")          \
  X(kRecoveredEvents, "recovered_from_events_alone")                 \
  X(kTailLost, "unsynced_events_lost")                               \
  X(kTailKept, "unsynced_events_kept")                               \
  X(kCrashInFlush, "crash_while_syncing")                            \
  X(kSnapshotLost, "unsynced_snapshot_lost")                         \
  X(kDamageRefused, "damaged_journal_refused")                       \
  X(kBehindRefused, "journal_behind_refused")                        \
  X(kErrorStored, "failed_write_was_stored")                         \
  X(kErrorLost, "failed_write_was_lost")                             \
  X(kBatch, "batch_of_ten_events")                                   \
  X(kGrace, "nobody_expires_after_a_start")                          \
  X(kEventTimeHeld, "event_time_held_back")                          \
  /* Clients. */                                                     \
  X(kSameAnswer, "repeated_request_same_answer")                     \
  X(kSameAnswerAcross, "repeated_request_same_answer_after_a_crash") \
  X(kUnknownThenDone, "unanswered_request_was_done")                 \
  X(kUnknownThenNot, "unanswered_request_was_not_done")              \
  X(kReuseRefused, "reused_request_id_refused")                      \
  X(kRequestForgotten, "request_forgotten_after_a_day")              \
  X(kRefusedFinished, "cancel_of_what_has_ended_refused")            \
  X(kRefusedFull, "new_work_refused_on_a_full_disk")                 \
  X(kReadOwnWrite, "read_after_own_write")                           \
  X(kImported, "weights_imported")                                   \
  X(kImportDeleted, "weights_deleted")                               \
  X(kImportHeld, "delete_of_used_weights_refused")                   \
  /* The end. */                                                     \
  X(kSettled, "everything_ended")

namespace cvtrain::simulation {

enum class Fault : size_t {
#define CVTRAIN_ENUMERATOR(enumerator, name) enumerator,
  CVTRAIN_SIMULATED_FAULTS(CVTRAIN_ENUMERATOR)
#undef CVTRAIN_ENUMERATOR
      kCount
};

enum class Probe : size_t {
#define CVTRAIN_ENUMERATOR(enumerator, name) enumerator,
  CVTRAIN_SIMULATED_PROBES(CVTRAIN_ENUMERATOR)
#undef CVTRAIN_ENUMERATOR
      kCount
};

inline constexpr size_t kFaultCount = static_cast<size_t>(Fault::kCount);
inline constexpr size_t kProbeCount = static_cast<size_t>(Probe::kCount);

inline constexpr std::array<absl::string_view, kFaultCount> kFaultNames = {
#define CVTRAIN_NAME(enumerator, name) name,
    CVTRAIN_SIMULATED_FAULTS(CVTRAIN_NAME)};
inline constexpr std::array<absl::string_view, kProbeCount> kProbeNames = {
    CVTRAIN_SIMULATED_PROBES(CVTRAIN_NAME)};
#undef CVTRAIN_NAME

// Counts of one run, or summed over many. A value type.
struct Tally {
  std::array<int64_t, kFaultCount> faults = {};
  std::array<int64_t, kProbeCount> probes = {};

  void Add(Fault fault) { ++faults[static_cast<size_t>(fault)]; }
  void Add(Probe probe) { ++probes[static_cast<size_t>(probe)]; }
  void Add(const Tally& other) {
    for (size_t i = 0; i < kFaultCount; ++i) faults[i] += other.faults[i];
    for (size_t i = 0; i < kProbeCount; ++i) probes[i] += other.probes[i];
  }
  int64_t fault_sum() const {
    int64_t sum = 0;
    for (const int64_t count : faults) sum += count;
    return sum;
  }
  size_t probes_hit() const {
    size_t hit = 0;
    for (const int64_t count : probes) hit += count > 0 ? 1 : 0;
    return hit;
  }
};

}  // namespace cvtrain::simulation

#endif  // CVTRAIN_TESTS_SIMULATION_TALLY_H_
