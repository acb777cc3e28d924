#ifndef CVTRAIN_WORKER_AGENT_SUPERVISE_AGENT_H_
#define CVTRAIN_WORKER_AGENT_SUPERVISE_AGENT_H_

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/file_system.h"
#include "common/random.h"
#include "common/telemetry.h"
#include "common/wake_fd.h"
#include "worker/agent/cache/content_cache.h"
#include "worker/agent/session/coordinator_client.h"
#include "worker/agent/session/session.h"
#include "worker/agent/spool/spool.h"
#include "worker/agent/supervise/mailbox.h"
#include "worker/agent/supervise/report_sender.h"
#include "worker/agent/supervise/report_thread.h"
#include "worker/agent/supervise/trainer_slot.h"
#include "worker/agent/supervise/transfers.h"

namespace cvtrain::worker {

struct AgentOptions {
  // Mode 0700. Holds `spool/`, `cache/`, and `identity`: instance, cluster and revision.
  std::string state_directory;
  // Its hello has the slots; `worker` is set there, `instance` is filled in by the agent.
  SessionOptions session;
  TrainerOptions trainer;
  SpoolOptions spool;
  ContentCacheOptions cache;
  ReportSenderOptions reports;
  TransfersOptions transfers;
  // Address that collectives of trainers bind.
  std::string collective_address = "127.0.0.1";
};

// What the agent is made of and who does what:
//
//            +-- transfers: threads; shards, checkpoints ----> ContentCache, files of the spool
//   trainers |
//   (slots) -+-- the loop: Run()'s thread; owns Session and TrainerSlots, touches no disk
//            |
//            +-- reports: one thread; owns ReportSender and Spool
//
//   CoordinatorClient: its own threads; answers are posted to the loop or to reports.
//
// Not concerned with how the coordinator is reached or what flags there are. Run() is called
// once; RequestStop() by any thread.
class Agent : private TrainerEvents, private CoordinatorClient::StreamListener {
 public:
  // Opens spool and cache, and reads or makes the identity. All references must outlive it.
  // Errors of Spool::Open() and ContentCache::Open(); DATA_LOSS (DATA_BAD) if the identity
  // cannot be read: remove the file to begin as a new worker.
  static absl::StatusOr<std::unique_ptr<Agent>> Create(const AgentOptions& options,
                                                       FileSystem& files, const Clock& clock,
                                                       Random& random, CoordinatorClient& client,
                                                       TelemetryRegistry& telemetry);
  ~Agent() override;

  // Works until it is asked to stop and has drained, or the coordinator refuses it.
  // OK after a stop; FAILED_PRECONDITION (WRONG_STATE) with what the coordinator said.
  absl::Status Run();

  // SIGTERM: no new work, checkpoints, then Run() returns. Thread-safe.
  void RequestStop();

 private:
  struct Attempt;
  struct Delayed {
    absl::Duration due;
    std::function<void()> work;
  };

  Agent(const AgentOptions& options, FileSystem& files, const Clock& clock, Random& random,
        CoordinatorClient& client, TelemetryRegistry& telemetry, WakeFd wake);

  absl::Status Open();
  absl::Status LoadIdentity();
  // On the reports' thread.
  void WriteIdentity(const SaveIdentity& identity);

  // --- The loop's thread.
  void EndTrainers();
  void WaitForWork(absl::Duration until);
  void Feed(SessionInput input);
  void Do(OpenStream& output);
  void Do(CloseStream& output);
  void Do(SendMessage& output);
  void Do(StartRanks& output);
  void Do(StopRanks& output);
  void Do(KillRanks& output);
  void Do(SpoolFact& output);
  void Do(SpoolSeries& output);
  void Do(SpoolLines& output);
  void Do(SetPublishing& output);
  void Do(DropAttempt& output);
  void Do(SaveIdentity& output);
  void Do(EndProcess& output);

  void StartIfReady(const AttemptKey& key);
  trainer::v1::Start MakeStart(const Attempt& attempt,
                               const session::v1::RankAssignment& rank) const;
  void OnResumeFile(const AttemptKey& key, absl::StatusOr<CachedFile> file);
  void EndUnstarted(const AttemptKey& key, v1::Cause cause, const std::string& message,
                    const std::string& damaged_checkpoint = "");
  // Says that a rank has ended, once the files that it suspects are verified again.
  void VerifySuspects(RankEnded ended, trainer::v1::Exit::Suspect suspect);
  TrainerSlot* FindSlot(int index);
  std::shared_ptr<TransferScope> ScopeOf(const AttemptKey& key) ABSL_LOCKS_EXCLUDED(scopes_mu_);
  void EndScope(const AttemptKey& key) ABSL_LOCKS_EXCLUDED(scopes_mu_);
  void SendShard(const TrainerRef& to, const trainer::v1::ShardRequest& request,
                 const absl::StatusOr<CachedFile>& file);
  void CallStore(const TrainerRef& from, const AttemptKey& key, trainer::v1::StoreCall call,
                 std::shared_ptr<TransferScope> scope);
  void OnStoreAnswer(const TrainerRef& from, const AttemptKey& key,
                     const trainer::v1::StoreCall& call, std::shared_ptr<TransferScope> scope,
                     const absl::StatusOr<session::v1::AccessStoreResponse>& answer);
  void ReleaseBuffer(const TrainerRef& to, const trainer::v1::CheckpointReady& ready, bool durable);
  void UpdateTelemetry();
  void CountProgress(const AttemptKey& key, int rank, const trainer::v1::Report& report);
  absl::Duration NextWake() const;

  // TrainerEvents.
  void OnReport(const AttemptKey& key, int rank, trainer::v1::Report report) override;
  void OnLines(const AttemptKey& key, int rank, std::vector<v1::LogLine> lines) override;
  void OnShardRequest(const TrainerRef& from, const AttemptKey& key,
                      const trainer::v1::ShardRequest& request) override;
  void OnStoreCall(const TrainerRef& from, const AttemptKey& key,
                   trainer::v1::StoreCall call) override;
  void OnCheckpoint(const TrainerRef& from, const AttemptKey& key,
                    CheckpointBuffer buffer) override;
  void OnRankEnded(RankEnded ended, trainer::v1::Exit::Suspect suspect) override;

  // StreamListener, on the client's threads.
  void OnStreamOpened() override;
  void OnStreamMessage(session::v1::ConnectResponse message) override;
  void OnStreamClosed(absl::Status status) override;

  // On the reports' thread.
  void UploadSpooled(const AttemptKey& key, const SpooledCheckpoint& checkpoint);

  // Constant after Open().
  AgentOptions options_;
  FileSystem& files_;
  const Clock& clock_;
  Random& random_;
  CoordinatorClient& client_;
  TelemetryRegistry& telemetry_;
  struct Telemetry;
  const std::unique_ptr<Telemetry> series_;
  std::function<int64_t()> oom_kills_;
  const WakeFd wake_;
  Mailbox loop_mail_;
  std::unique_ptr<ContentCache> cache_;

  // Owned by the loop's thread.
  std::unique_ptr<Session> session_;
  std::deque<SessionInput> inputs_;  // that wait for their step
  bool feeding_ = false;
  std::vector<std::unique_ptr<TrainerSlot>> slots_;
  std::map<AttemptKey, std::unique_ptr<Attempt>> attempts_;
  std::vector<Delayed> delayed_;
  bool done_ = false;
  absl::Status result_;

  absl::Mutex scopes_mu_;
  // Shared with transfers, which may outlast the attempt.
  std::map<AttemptKey, std::shared_ptr<TransferScope>> scopes_ ABSL_GUARDED_BY(scopes_mu_);

  std::unique_ptr<Transfers> transfers_;
  std::unique_ptr<ReportThread> reports_;
};

}  // namespace cvtrain::worker

#endif  // CVTRAIN_WORKER_AGENT_SUPERVISE_AGENT_H_
