#ifndef CVTRAIN_WORKER_TRAINER_LINK_AGENT_LINK_H_
#define CVTRAIN_WORKER_TRAINER_LINK_AGENT_LINK_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "common/clock.h"
#include "common/thread.h"
#include "common/unix_socket.h"
#include "cvtrain/trainer/v1/trainer.pb.h"
#include "worker/trainer/collective/store_transport.h"
#include "worker/trainer/data/section_set.h"
#include "worker/trainer/data/shard_provider.h"
#include "worker/trainer/link/reporter.h"
#include "worker/trainer/snapshot/snapshotter.h"
#include "worker/trainer/train/host.h"

namespace cvtrain::trainer {

// The trainer's end of the socket to its agent: all that an attempt asks for and reports becomes
// frames of cvtrain.trainer.v1, and back.
//
//   reader thread    Receive() -> Start, Stop, Shard, StoreReply, CheckpointReleased, Shutdown
//   report thread    every 100 ms: points, facts, progress, log lines (see Reporter)
//   any thread       ShardRequest, StoreCall, CheckpointReady; answers wake who asked
//
// Knows nothing about what an attempt does. Thread-safe.
class AgentLink : public TrainerHost,
                  public ShardProvider,
                  public StoreTransport,
                  public CheckpointSink {
 public:
  // `on_agent_gone` runs on the reader thread, once, when the other end is closed or sends what is
  // not a frame, but not when this is destroyed; a process ends itself there. `clock` must outlive
  // this.
  AgentLink(std::unique_ptr<UnixConnection> connection, const Clock& clock,
            std::function<void(const absl::Status&)> on_agent_gone);
  ~AgentLink() override;

  absl::Status SendHello(const v1::Hello& hello);

  struct StartFrame {
    v1::Start start;
    UniqueFd checkpoint;  // valid if `start` has a resume point
  };
  // Waits for the next attempt; nothing when the agent says Shutdown or is gone. Stop requests and
  // answers that were for the attempt before are forgotten.
  std::optional<StartFrame> WaitForStart() ABSL_LOCKS_EXCLUDED(mu_);

  // Ends the attempt: sends what was reported, then `exit`. Calls that still wait fail.
  absl::Status SendExit(const v1::Exit& exit) ABSL_LOCKS_EXCLUDED(mu_);

  // TrainerHost
  void ReportPoint(absl::string_view metric, int64_t step, double value) override;
  void ReportFact(session::v1::Fact fact) override;
  void ReportProgress(const cvtrain::v1::Progress& progress) override;
  void NoteActivity() override;
  void Log(cvtrain::v1::LogLevel level, absl::string_view text) override;
  StopRequest stop_request() const override ABSL_LOCKS_EXCLUDED(mu_);
  void WaitFor(absl::Duration duration) const override ABSL_LOCKS_EXCLUDED(mu_);

  // ShardProvider
  void Prefetch(absl::Span<const ShardParts> shards) override ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<UniqueFd> GetShard(const ShardParts& shard) override ABSL_LOCKS_EXCLUDED(mu_);
  void CancelWaits() override ABSL_LOCKS_EXCLUDED(mu_);

  // StoreTransport
  absl::StatusOr<session::v1::StoreResult> Call(
      const session::v1::StoreOperation& operation) override ABSL_LOCKS_EXCLUDED(mu_);

  // CheckpointSink. Reports that came before are sent before.
  absl::Status SendCheckpoint(const Notice& notice) override;
  void SetReleaseHandler(ReleaseHandler handler) override ABSL_LOCKS_EXCLUDED(handler_mu_);

 private:
  struct ShardAnswer {
    std::string error;
    cvtrain::v1::Cause cause = cvtrain::v1::CAUSE_UNSPECIFIED;  // of the error
    UniqueFd file;
  };

  struct Prefetched {
    int64_t id = 0;
    SectionSet sections;
  };

  void Read();
  void Dispatch(Frame frame) ABSL_LOCKS_EXCLUDED(mu_);
  void OnStart(const v1::Start& start, Frame& frame) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void OnStop(const v1::Stop& stop) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void OnReleased(const v1::CheckpointReleased& released) ABSL_LOCKS_EXCLUDED(handler_mu_);
  // After an error the connection is of no more use, and ends: what was reported must not get
  // lost without anybody's noticing.
  absl::Status Send(const v1::TrainerFrame& frame, int fd = -1);
  // The id of a request that is about to be sent.
  int64_t OpenShardRequest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status SendShardRequest(int64_t id, const ShardParts& shard);
  // Why nothing can be waited for any more; OK while the attempt runs.
  absl::Status Ended() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Waits for `answers` to hold `key`, and takes it out.
  template <typename Key, typename Answer>
  absl::StatusOr<Answer> Await(std::map<Key, std::optional<Answer>>& answers, Key key)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Constant after construction.
  const std::unique_ptr<UnixConnection> connection_;
  const std::function<void(const absl::Status&)> on_agent_gone_;

  mutable absl::Mutex mu_;
  std::optional<StartFrame> next_start_ ABSL_GUARDED_BY(mu_);
  bool shutdown_ ABSL_GUARDED_BY(mu_) = false;
  bool agent_gone_ ABSL_GUARDED_BY(mu_) = false;
  bool closing_ ABSL_GUARDED_BY(mu_) = false;
  bool attempt_ended_ ABSL_GUARDED_BY(mu_) = true;
  StopRequest stop_ ABSL_GUARDED_BY(mu_);
  int64_t last_store_call_ ABSL_GUARDED_BY(mu_) = 0;
  // By what was asked for; no value until the answer is there.
  std::map<int64_t, std::optional<v1::StoreReply>> store_calls_ ABSL_GUARDED_BY(mu_);
  int64_t last_shard_request_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<int64_t, std::optional<ShardAnswer>> shards_ ABSL_GUARDED_BY(mu_);
  // By index of the shard: requests that GetShard() has not taken yet.
  std::map<int32_t, Prefetched> prefetched_ ABSL_GUARDED_BY(mu_);
  bool shards_cancelled_ ABSL_GUARDED_BY(mu_) = false;

  // Held while the handler runs, so that replacing it waits for it.
  absl::Mutex handler_mu_;
  ReleaseHandler release_handler_ ABSL_GUARDED_BY(handler_mu_);

  Reporter reporter_;
  Thread reader_;  // last: it uses the members above
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_LINK_AGENT_LINK_H_
