#ifndef CVTRAIN_CLIENT_CALL_CONNECTION_H_
#define CVTRAIN_CLIENT_CALL_CONNECTION_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/files/cli.h"
#include "common/rpc/channel.h"
#include "cvtrain/v1/checkpoint.pb.h"
#include "cvtrain/v1/cluster.pb.h"
#include "cvtrain/v1/dataset.pb.h"
#include "cvtrain/v1/experiment.pb.h"
#include "cvtrain/v1/log.pb.h"
#include "cvtrain/v1/metric.pb.h"
#include "cvtrain/v1/queue.pb.h"
#include "cvtrain/v1/trial.pb.h"
#include "cvtrain/v1/worker.pb.h"

// Every unary method that cvctl calls: X(service, method).
#define CVTRAIN_CLIENT_CALLS(X)           \
  X(ExperimentService, CreateExperiment)  \
  X(ExperimentService, PreviewExperiment) \
  X(ExperimentService, GetExperiment)     \
  X(ExperimentService, ListExperiments)   \
  X(ExperimentService, CancelExperiment)  \
  X(ExperimentService, HoldExperiment)    \
  X(ExperimentService, ReleaseExperiment) \
  X(TrialService, GetTrial)               \
  X(TrialService, ListTrials)             \
  X(TrialService, CancelTrial)            \
  X(QueueService, ListQueue)              \
  X(QueueService, ExplainTrial)           \
  X(QueueService, PredictQueue)           \
  X(WorkerService, GetWorker)             \
  X(WorkerService, ListWorkers)           \
  X(WorkerService, CordonWorker)          \
  X(WorkerService, UncordonWorker)        \
  X(WorkerService, RemoveWorker)          \
  X(DatasetService, BeginDatasetVersion)  \
  X(DatasetService, CommitDatasetVersion) \
  X(DatasetService, ListDatasets)         \
  X(DatasetService, ListDatasetVersions)  \
  X(DatasetService, GetDatasetVersion)    \
  X(MetricService, ListMetrics)           \
  X(MetricService, QueryMetrics)          \
  X(CheckpointService, GetCheckpoint)     \
  X(CheckpointService, ListCheckpoints)   \
  X(CheckpointService, VerifyCheckpoint)  \
  X(CheckpointService, DeleteCheckpoint)  \
  X(LogService, ListLogLines)             \
  X(ClusterService, GetCluster)

namespace cvtrain::client {

// True if an error says that nobody answers at this moment: what a verb that
// follows something waits out.
bool IsOutage(const absl::Status& status);

struct ConnectionOptions {
  std::string address;
  TlsFiles tls;
  // Of one call, with its repetitions.
  absl::Duration timeout = absl::Seconds(30);
  // The user asked for `timeout`, so that hitting it is an answer of its own
  // (DEADLINE); otherwise it says that nobody answers (SERVER_UNREACHABLE).
  bool timeout_given = false;
};

// A coordinator, as functions.
//
// Every call has a deadline. UNAVAILABLE is tried again until then, which is
// safe because reads change nothing and mutations carry a request id. Errors
// are the service's, with reasons; SERVER_UNREACHABLE says what to do. Ctrl-C
// cancels the call that is on its way: CANCELLED (STOPPING). Thread-compatible.
class Connection {
 public:
  static absl::StatusOr<std::unique_ptr<Connection>> Open(const Cli& cli,
                                                          const ConnectionOptions& options);
  ~Connection();

  const std::string& address() const;

  // From now on calls, with their repetitions, take at most `timeout`: for verbs
  // that look again and again, and would rather say soon that nobody answers.
  void LimitCalls(absl::Duration timeout);

#define CVTRAIN_DECLARE_CALL(service, method) \
  absl::StatusOr<v1::method##Response> method(const v1::method##Request& request);
  CVTRAIN_CLIENT_CALLS(CVTRAIN_DECLARE_CALL)
#undef CVTRAIN_DECLARE_CALL

  // True if a coordinator answers within `timeout`, without repetition.
  bool Answers(absl::Duration timeout);

  // Calls `chunk` with the bytes in order; its error ends the transfer. Checks
  // every chunk's CRC: DATA_LOSS (CHECKPOINT_BAD).
  absl::Status DownloadCheckpoint(const std::string& name,
                                  const std::function<absl::Status(absl::string_view)>& chunk);

  // Sends a checkpoint file, which `write` makes: it gives all bytes to its sink, in pieces of at
  // most limits::kChunkSizeBytes, again if the upload has to be repeated. An error of `write` ends
  // the transfer.
  absl::StatusOr<v1::Checkpoint> ImportCheckpoint(
      const v1::ImportCheckpointHeader& header,
      const std::function<absl::Status(const std::function<absl::Status(absl::string_view)>& sink)>&
          write);

  // Sends the file at `path`, whose SHA-256 is `shard.digest()`.
  absl::Status UploadShard(const std::string& request_id, const v1::Shard& shard,
                           const std::string& path);

  // Calls `chunk` with `length` bytes of a shard from `offset` on, in order; its error ends the
  // transfer. `version` is datasets/{name}/versions/{number}. Checks every chunk's CRC: DATA_LOSS
  // (SHARD_BAD).
  absl::Status ReadShard(const std::string& version, int32_t index, uint64_t offset,
                         uint64_t length,
                         const std::function<absl::Status(absl::string_view)>& chunk);

  // All pages of a list, in its order.
  absl::StatusOr<std::vector<v1::Trial>> AllTrials(const std::string& parent);

 private:
  class Impl;
  explicit Connection(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_CALL_CONNECTION_H_
