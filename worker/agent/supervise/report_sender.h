#ifndef CVTRAIN_WORKER_AGENT_SUPERVISE_REPORT_SENDER_H_
#define CVTRAIN_WORKER_AGENT_SUPERVISE_REPORT_SENDER_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/random.h"
#include "common/telemetry.h"
#include "worker/agent/session/attempt_key.h"
#include "worker/agent/session/backoff.h"
#include "worker/agent/session/coordinator_client.h"
#include "worker/agent/spool/spool.h"
#include "worker/agent/supervise/mailbox.h"

namespace cvtrain::worker {

struct ReportSenderOptions {
  // workers/{id}
  std::string worker;
  // Between two batches of metrics, or of logs, of one attempt: batches instead of
  // single points, and still durable well within a second.
  absl::Duration batch_interval = absl::Milliseconds(250);
  // Waits after a failed call: jitter below a limit that doubles from the first to the second.
  absl::Duration retry_delay_first = absl::Milliseconds(100);
  absl::Duration retry_delay_max = absl::Seconds(5);
  // A checkpoint that the coordinator has no room for is given up after so long; trying on
  // would keep the attempt from ever ending.
  absl::Duration checkpoint_retry_max = absl::Minutes(10);
};

// Moves reports from the spool to the coordinator, each until it is acknowledged.
//
// Per attempt at most one call of each kind is under way. Facts go at once, metrics and
// logs in batches; RanksEnded goes last: after all metrics, logs and other facts are
// acknowledged and no checkpoint is under way or spooled. It says INTERNAL, not FINISHED, if
// the last checkpoint is lost. A checkpoint goes after all metrics and facts that were reported
// before it. Attempts do not wait for each other. Nothing goes while publishing is off, which it
// is until said otherwise.
//
// Owned by one thread, which also owns the spool, calls Step() and runs the mailbox;
// answers of the client arrive through the mailbox.
class ReportSender {
 public:
  struct Events {
    // A call came back with ABORTED, or the coordinator does not know the attempt.
    std::function<void(const AttemptKey&, const absl::Status&)> refused;
    // RanksEnded is acknowledged; the spool has forgotten the attempt.
    std::function<void(const AttemptKey&)> settled;
    // Uploads a spooled checkpoint, then calls OnUploaded() by way of the mailbox.
    std::function<void(const AttemptKey&, const SpooledCheckpoint&)> upload;
  };

  // All references must outlive it and all calls of the client.
  ReportSender(const ReportSenderOptions& options, std::unique_ptr<Spool> spool,
               CoordinatorClient& client, Mailbox& mailbox, Random& random, Events events,
               TelemetryRegistry& telemetry);

  void Begin(const AttemptKey& key) { spool_->Begin(key); }
  void AppendFact(const AttemptKey& key, session::v1::Fact fact);
  void AppendSeries(const AttemptKey& key, const std::vector<v1::MetricSeries>& series);
  void AppendLines(const AttemptKey& key, const std::vector<v1::LogLine>& lines);

  void SetPublishing(const AttemptKey& key, bool on);
  // Forgets all reports; answers that come later are ignored.
  void Drop(const AttemptKey& key);

  // A checkpoint is being completed in memory: holds back RanksEnded ... `may_go` is called,
  // on this thread, when all that was reported before this call is acknowledged.
  void OnCheckpointPending(const AttemptKey& key, const std::string& checkpoint, int64_t step,
                           std::function<void()> may_go);
  // ... until it has arrived or is lost ...
  void OnCheckpointDone(const AttemptKey& key, const std::string& checkpoint, bool durable);
  // ... or stands in the spool, to be uploaded from there.
  void OnCheckpointSpooled(const AttemptKey& key, SpooledCheckpoint checkpoint);
  void OnUploaded(const AttemptKey& key, const std::string& checkpoint, const absl::Status& status,
                  absl::Duration now);

  // Sends what may be sent; returns when to call again if nothing happens.
  absl::Duration Step(absl::Duration now);

  Spool& spool() { return *spool_; }

 private:
  // A checkpoint in a trainer's memory.
  struct Pending {
    int64_t step = 0;
    ReportMark after;
    std::function<void()> may_go;  // null once it was called
  };
  struct Outgoing {
    explicit Outgoing(const ReportSenderOptions& options, Random& random)
        : backoff(options.retry_delay_first, options.retry_delay_max, random) {}
    bool publishing = false;
    bool facts_out = false;
    bool metrics_out = false;
    bool logs_out = false;
    absl::Duration metrics_due = -absl::InfiniteDuration();
    absl::Duration logs_due = -absl::InfiniteDuration();
    absl::Duration retry_at = -absl::InfiniteDuration();
    Backoff backoff;
    std::map<std::string, Pending> pending_checkpoints;
    std::string uploading;                                // from the spool; empty if none
    std::map<std::string, absl::Duration> first_failure;  // by checkpoint
    int64_t arrived_step = -1;                            // the last checkpoint that arrived
    int64_t lost_step = -1;                               // the last one that never will
  };

  Outgoing& Of(const AttemptKey& key);
  Outgoing* Find(const AttemptKey& key);
  void SendFacts(const AttemptKey& key, Outgoing& outgoing);
  void SendMetrics(const AttemptKey& key, Outgoing& outgoing, absl::Duration now);
  void SendLogs(const AttemptKey& key, Outgoing& outgoing, absl::Duration now);
  void UploadNext(const AttemptKey& key, Outgoing& outgoing);
  void OnFactsAnswer(const AttemptKey& key,
                     const absl::StatusOr<session::v1::ReportFactsResponse>& answer);
  // True if the call succeeded, or can never: then the batch is done with.
  bool OnBatchAnswer(const AttemptKey& key, Outgoing& outgoing, const absl::Status& status,
                     const char* kind);
  void OnFailure(const AttemptKey& key, Outgoing& outgoing, const absl::Status& status);
  // A checkpoint waits for reports to be acknowledged.
  bool IsAwaited(const AttemptKey& key, const Outgoing& outgoing) const;
  void LetCheckpointsGo(const AttemptKey& key, Outgoing& outgoing);
  bool MayEnd(const AttemptKey& key, const Outgoing& outgoing) const;

  const ReportSenderOptions options_;
  const std::unique_ptr<Spool> spool_;
  CoordinatorClient& client_;
  Mailbox& mailbox_;
  Random& random_;
  const Events events_;
  Counter& calls_;
  Counter& failures_;
  Counter& rejected_;

  std::map<AttemptKey, Outgoing> outgoing_;
  absl::Duration now_ = absl::ZeroDuration();  // of the last Step()
};

}  // namespace cvtrain::worker

#endif  // CVTRAIN_WORKER_AGENT_SUPERVISE_REPORT_SENDER_H_
