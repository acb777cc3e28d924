#ifndef CVTRAIN_WORKER_AGENT_SUPERVISE_TRANSFERS_H_
#define CVTRAIN_WORKER_AGENT_SUPERVISE_TRANSFERS_H_

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/bounded_queue.h"
#include "common/clock.h"
#include "common/file_system.h"
#include "common/memfd.h"
#include "common/random.h"
#include "common/telemetry.h"
#include "common/thread.h"
#include "cvtrain/session/v1/session.pb.h"
#include "worker/agent/cache/content_cache.h"
#include "worker/agent/origin/shard_origins.h"
#include "worker/agent/session/attempt_key.h"
#include "worker/agent/session/coordinator_client.h"
#include "worker/agent/spool/spool.h"

namespace cvtrain::worker {

struct TransfersOptions {
  std::string worker;           // workers/{id}
  std::string spool_directory;  // for checkpoints that cannot be uploaded
  // Downloads at once; each has one stream. What is in the cache never waits for them.
  int fetch_threads = 4;
  // Checkpoints that are completed and uploaded at once.
  int store_threads = 2;
  // Where shards are looked for before the coordinator is asked, in this order: valid for
  // NewOrigin().
  std::vector<std::string> shards_from;
  // Copies of checkpoints up to this size are kept in the cache, the newest of each
  // trial, for an attempt that goes on here. Larger ones cost more to write than they
  // save.
  uint64_t cached_checkpoint_size_bytes_max = uint64_t{256} << 20;
  // How long a checkpoint in memory waits for the reports before it to be acknowledged. After
  // that it goes by way of the spool, so that its trainer gets the buffer back.
  absl::Duration reports_wait_max = absl::Seconds(2);
  absl::Duration retry_delay_first = absl::Milliseconds(100);
  absl::Duration retry_delay_max = absl::Seconds(5);
};

// What an attempt shares with its transfers.
struct TransferScope {
  // Ends them, because the attempt is over for us or because the process ends.
  StopSource stop;
  // The attempt is over for us: its checkpoints are of no more use. Set before `stop`.
  std::atomic<bool> dropped{false};
  // Its checkpoints may go to the coordinator; else they go to the spool.
  std::atomic<bool> publishing{false};
};

// Holds back the upload of a checkpoint until what the trainer reported before it is
// acknowledged: the coordinator must never know a checkpoint whose facts and points may still
// be lost. Thread-safe.
class UploadGate {
 public:
  void Open() ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    open_ = true;
  }
  // False if it is not open after `timeout`.
  bool Wait(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return mu_.AwaitWithTimeout(absl::Condition(&open_), timeout);
  }

 private:
  absl::Mutex mu_;
  bool open_ ABSL_GUARDED_BY(mu_) = false;
};

// A checkpoint as the trainer left it: without its trailer.
struct CheckpointJob {
  AttemptKey key;
  session::v1::UploadCheckpointHeader header;  // without digest
  std::shared_ptr<SharedMemory> memory;        // shared with the trainer's slot
  std::shared_ptr<TransferScope> scope;        // shared with the attempt
  std::shared_ptr<UploadGate> gate;            // shared with who opens it
};

// What became of it. At most one of the two is set; neither: it is lost.
struct CheckpointOutcome {
  bool uploaded = false;
  std::unique_ptr<SpooledCheckpoint> spooled;
  absl::Status status;  // why it was not uploaded
};

// Moves the large things, on threads of its own: shards and checkpoints down into the
// cache, checkpoints up from a trainer's memory or from the spool. Downloads are repeated
// while the coordinator is away; uploads that fail are for the caller to repeat.
//
//                  +--> look-up: one thread, disk only ---- in the cache? ---> answer
//   GetShard() ... |                                           | no
//                  |          +--- after a delay ---+          v
//                  |     retry: one thread          +--- fetch: several threads ---> answer
//
// Shards come from the places that the operator has named, as far as they have them, and from the
// coordinator. What has wrong bytes is asked of the coordinator alone.
//
// Callbacks run on its threads and must not block. Thread-safe.
class Transfers {
 public:
  // All references must outlive it.
  Transfers(const TransfersOptions& options, FileSystem& files, CoordinatorClient& client,
            ContentCache& cache, const Clock& clock, Random& random, TelemetryRegistry& telemetry);
  // Ends what runs and joins the threads; what still waits is answered with CANCELLED.
  ~Transfers();

  using FileCallback = std::function<void(absl::StatusOr<CachedFile>)>;

  struct ShardWanted {
    ContentKey key;
    // At least these of it, or all of it if none are named.
    std::vector<int32_t> sections = {};
    // Nobody waits for it yet: it comes on a thread of its own, one after the other.
    bool ahead = false;
  };
  // A shard. Errors of ContentCache::GetSections(), of the coordinator, and CANCELLED when the
  // scope is stopped. DATA_LOSS comes after a second try only.
  void GetShard(ShardWanted shard, std::shared_ptr<TransferScope> scope, FileCallback done);
  // The checkpoint to go on from, the same way.
  void GetCheckpoint(const session::v1::ResumePoint& resume, std::shared_ptr<TransferScope> scope,
                     FileCallback done);

  // Reads these in the cache anew, and removes damaged ones: kDamaged if any was, else kAbsent if
  // any is not here, else kGood.
  void Verify(std::vector<ContentKey> files, std::function<void(ContentCache::Verdict)> done);

  // Completes a checkpoint in its memory and uploads it, or writes it to the spool.
  void StoreCheckpoint(CheckpointJob job, std::function<void(CheckpointOutcome)> done);
  // Uploads one from the spool. DATA_LOSS (CHECKPOINT_BAD) if its file is gone or cut off;
  // other errors of FileSystem may pass.
  void UploadSpooled(const AttemptKey& key, const SpooledCheckpoint& checkpoint,
                     std::shared_ptr<TransferScope> scope, std::function<void(absl::Status)> done);

 private:
  using Job = std::function<void()>;
  // A file on its way; shared by the jobs that follow each other.
  struct Wanted;
  // What is called for a range of a file.
  using Download =
      std::function<absl::Status(const Wanted& wanted, uint64_t offset, uint64_t length,
                                 const ByteSink& sink, const StopToken& stop)>;
  void RunJobs(BoundedQueue<Job>& jobs);
  void RunRetries(const StopToken& stop);
  void Submit(BoundedQueue<Job>& jobs, Job job);
  void GetFile(ShardWanted file, std::shared_ptr<TransferScope> scope, Download download,
               FileCallback done);
  // Those that bring what it wants.
  BoundedQueue<Job>& FetchersOf(const Wanted& wanted);
  // From the first place that has it.
  absl::Status FetchShard(const Wanted& wanted, uint64_t offset, uint64_t length,
                          const ByteSink& sink, const StopToken& stop);
  void LookUp(const std::shared_ptr<Wanted>& wanted);
  void Fetch(const std::shared_ptr<Wanted>& wanted);
  // Whether the next try may be better.
  bool MayRetry(Wanted& wanted, const absl::Status& status) const;
  CheckpointOutcome Store(const CheckpointJob& job);
  // Whether the reports before it have arrived, however long that takes, within a minute.
  bool WaitForGate(const CheckpointJob& job) const;
  absl::Status UploadFromMemory(const CheckpointJob& job,
                                const session::v1::UploadCheckpointHeader& header,
                                absl::Span<const char> bytes);
  void KeepCopy(const AttemptKey& key, const std::string& digest, absl::Span<const char> bytes);
  absl::Status Upload(const session::v1::UploadCheckpointHeader& header,
                      const CoordinatorClient::Source& source, const StopToken& stop);

  const TransfersOptions options_;
  FileSystem& files_;
  CoordinatorClient& client_;
  ContentCache& cache_;
  const Clock& clock_;
  Random& random_;
  Histogram& upload_seconds_;
  Histogram& commit_seconds_;
  Counter& uploaded_bytes_;
  Counter& fetched_bytes_;
  ShardOrigins origins_;
  CounterSet checkpoints_;

  absl::Mutex mu_;
  // Digest of the newest copy in the cache.
  std::map<TrialName, std::string> copies_ ABSL_GUARDED_BY(mu_);

  absl::CondVar retry_changed_;
  // By when they are due.
  std::multimap<absl::Duration, Job> retries_ ABSL_GUARDED_BY(mu_);

  BoundedQueue<Job> lookup_jobs_;
  BoundedQueue<Job> fetch_jobs_;
  BoundedQueue<Job> ahead_jobs_;
  BoundedQueue<Job> store_jobs_;
  // Last: they use all of the above.
  std::unique_ptr<Thread> retry_thread_;
  std::vector<std::unique_ptr<Thread>> threads_;
};

}  // namespace cvtrain::worker

#endif  // CVTRAIN_WORKER_AGENT_SUPERVISE_TRANSFERS_H_
