#ifndef CVTRAIN_COORDINATOR_STORAGE_COMMITTER_H_
#define CVTRAIN_COORDINATOR_STORAGE_COMMITTER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/telemetry.h"

namespace cvtrain::coordinator {

class Rocks;
// Rows that become visible and durable together; commit_batch.h, for storage only.
class CommitBatch;

struct CommitterOptions {
  // A commit waits so long for company, or for so many bytes. At 2 ms a commit costs at most a
  // tenth of a core in syncs, and people do not see the delay.
  absl::Duration window = absl::Milliseconds(2);
  size_t window_size_bytes = size_t{256} << 10;
  // Staged bytes that may wait; more are refused.
  size_t queue_size_bytes_max = size_t{32} << 20;
  // Makes a batch durable before it returns. Empty, as it is in every program: Rocks::Write(), one
  // synced write to the log. Crash tests put in one that forgets the sync, and must notice.
  std::function<absl::Status(CommitBatch& batch)> write;
};

// Collects writes of many callers and makes them durable with one sync: group commit for metrics
// and logs. The journal has its own way to disk.
//
// It has no thread. Whoever owns one runs
//
//   while (!stopping) {
//     if (committer.AwaitWork(absl::Seconds(1))) committer.Commit();
//   }
//   committer.Commit();  // what was staged before the stop
//
// AwaitWork() and Commit() are called by one thread at a time; Stage() and Wake() by any. Tests
// call Commit() by hand.
class Committer {
 public:
  // What callers of the stores give: called when the outcome is known, on the thread of Commit(),
  // in the order of staging; must not block. Not OK means: not acknowledged, and for UNAVAILABLE
  // that the outcome is unknown.
  using Done = std::function<void(const absl::Status&)>;

  // One request that waits. Both functions run on the thread of Commit().
  class Staged {
   public:
    virtual ~Staged() = default;
    // Adds rows to `batch`. An error refuses this request alone, which then must have added none.
    virtual absl::Status Prepare(CommitBatch& batch) = 0;
    virtual void Done(const absl::Status& status) = 0;
  };

  // A store that adds rows at the end of each commit, for all of its requests in it.
  class Participant {
   public:
    virtual ~Participant() = default;
    virtual absl::Status FinishCommit(CommitBatch& batch) = 0;
    // After the sync; `status` is not OK if the commit failed.
    virtual void EndCommit(const absl::Status& status) = 0;
  };

  // `on_durable` is called after each sync, before the Done functions. `rocks` and `telemetry` must
  // outlive this.
  Committer(const CommitterOptions& options, Rocks& rocks, TelemetryRegistry& telemetry,
            std::function<void()> on_durable);
  Committer(const Committer&) = delete;
  Committer& operator=(const Committer&) = delete;
  // Ends what is still staged with UNAVAILABLE (STOPPING).
  ~Committer();

  // Queues `staged`, which counts as `size_bytes`. Returns RESOURCE_EXHAUSTED (LIMIT_EXCEEDED) if
  // the queue is full, and the failure of an earlier commit; `staged` is then not called.
  absl::Status Stage(std::unique_ptr<Staged> staged, size_t size_bytes) ABSL_LOCKS_EXCLUDED(mu_);

  // Registers a store before the first commit; it must stay until the last.
  void AddParticipant(Participant* participant);
  void RemoveParticipant(Participant* participant);

  // Waits until something is staged and its window is over, or `wait_max` has passed, or Wake() was
  // called. Returns whether there is something to commit.
  bool AwaitWork(absl::Duration wait_max) ABSL_LOCKS_EXCLUDED(mu_);
  // OK, or the first failed write of the database, whoever made it: nothing will be staged any
  // more.
  absl::Status health() const;

  // Ends the current or the next AwaitWork() at once.
  void Wake() ABSL_LOCKS_EXCLUDED(mu_);

  // Makes all that is staged durable, in one batch with one sync, then calls the Done functions.
  // Returns the status that they were given; OK if nothing was staged.
  absl::Status Commit() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // Constant after construction.
  const CommitterOptions options_;
  Rocks& rocks_;
  const std::function<void()> on_durable_;
  Counter& commits_;
  Counter& refused_;

  // Of the thread of Commit().
  std::vector<Participant*> participants_;

  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return woken_ || !staged_.empty(); }
  bool WindowIsFull() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return woken_ || staged_bytes_ >= options_.window_size_bytes;
  }

  mutable absl::Mutex mu_;
  std::vector<std::unique_ptr<Staged>> staged_ ABSL_GUARDED_BY(mu_);
  size_t staged_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  bool woken_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STORAGE_COMMITTER_H_
