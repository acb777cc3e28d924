#ifndef CVTRAIN_COORDINATOR_SERVICE_DATA_SERVICES_H_
#define CVTRAIN_COORDINATOR_SERVICE_DATA_SERVICES_H_

#include "coordinator/engine/page_token.h"
#include "coordinator/service/dispatch.h"
#include "coordinator/storage/catalogue/shard_store.h"
#include "coordinator/storage/checkpoints/checkpoint_store.h"
#include "coordinator/storage/logs/log_store.h"
#include "coordinator/storage/metrics/metric_store.h"
#include "cvtrain/v1/checkpoint.grpc.pb.h"
#include "cvtrain/v1/dataset.grpc.pb.h"
#include "cvtrain/v1/log.grpc.pb.h"
#include "cvtrain/v1/metric.grpc.pb.h"

// Services that read or move stored data: their handlers have a thread each,
// from gRPC's bounded pool, and may wait for the disk. What each method does is
// said in the protos. Thread-safe.
namespace cvtrain::coordinator {

class MetricService : public v1::MetricService::Service {
 public:
  MetricService(Dispatch& dispatch, const MetricStore& store)
      : dispatch_(dispatch), store_(store) {}

  grpc::Status ListMetrics(grpc::ServerContext* context, const v1::ListMetricsRequest* request,
                           v1::ListMetricsResponse* response) override;
  grpc::Status QueryMetrics(grpc::ServerContext* context, const v1::QueryMetricsRequest* request,
                            v1::QueryMetricsResponse* response) override;

 private:
  absl::Status Query(const v1::QueryMetricsRequest& request, v1::QueryMetricsResponse* response);

  Dispatch& dispatch_;
  const MetricStore& store_;
};

class LogService : public v1::LogService::Service {
 public:
  LogService(Dispatch& dispatch, const LogStore& store, const PageTokens& tokens)
      : dispatch_(dispatch), store_(store), tokens_(tokens) {}

  grpc::Status ListLogLines(grpc::ServerContext* context, const v1::ListLogLinesRequest* request,
                            v1::ListLogLinesResponse* response) override;

 private:
  absl::Status List(const Caller& caller, const v1::ListLogLinesRequest& request,
                    v1::ListLogLinesResponse* response);

  Dispatch& dispatch_;
  const LogStore& store_;
  const PageTokens& tokens_;
};

class CheckpointService : public v1::CheckpointService::Service {
 public:
  CheckpointService(Dispatch& dispatch, CheckpointStore& store, const PageTokens& tokens)
      : dispatch_(dispatch), store_(store), tokens_(tokens) {}

  grpc::Status GetCheckpoint(grpc::ServerContext* context, const v1::GetCheckpointRequest* request,
                             v1::GetCheckpointResponse* response) override;
  grpc::Status ListCheckpoints(grpc::ServerContext* context,
                               const v1::ListCheckpointsRequest* request,
                               v1::ListCheckpointsResponse* response) override;
  grpc::Status VerifyCheckpoint(grpc::ServerContext* context,
                                const v1::VerifyCheckpointRequest* request,
                                v1::VerifyCheckpointResponse* response) override;
  grpc::Status DownloadCheckpoint(
      grpc::ServerContext* context, const v1::DownloadCheckpointRequest* request,
      grpc::ServerWriter<v1::DownloadCheckpointResponse>* writer) override;
  grpc::Status ImportCheckpoint(grpc::ServerContext* context,
                                grpc::ServerReader<v1::ImportCheckpointRequest>* reader,
                                v1::ImportCheckpointResponse* response) override;
  grpc::Status DeleteCheckpoint(grpc::ServerContext* context,
                                const v1::DeleteCheckpointRequest* request,
                                v1::DeleteCheckpointResponse* response) override;

 private:
  absl::Status Verify(const std::string& name, v1::VerifyCheckpointResponse* response);
  absl::StatusOr<int> CountTensors(const CheckpointName& name);
  // Fails with NOT_FOUND (CHECKPOINT_NOT_FOUND) unless the journal has it.
  absl::StatusOr<v1::Checkpoint> Find(const std::string& name);

  Dispatch& dispatch_;
  CheckpointStore& store_;
  const PageTokens& tokens_;
};

class DatasetService : public v1::DatasetService::Service {
 public:
  DatasetService(Dispatch& dispatch, ShardStore& store, const PageTokens& tokens)
      : dispatch_(dispatch), store_(store), tokens_(tokens) {}

  grpc::Status BeginDatasetVersion(grpc::ServerContext* context,
                                   const v1::BeginDatasetVersionRequest* request,
                                   v1::BeginDatasetVersionResponse* response) override;
  grpc::Status UploadShard(grpc::ServerContext* context,
                           grpc::ServerReader<v1::UploadShardRequest>* reader,
                           v1::UploadShardResponse* response) override;
  grpc::Status CommitDatasetVersion(grpc::ServerContext* context,
                                    const v1::CommitDatasetVersionRequest* request,
                                    v1::CommitDatasetVersionResponse* response) override;
  grpc::Status GetDataset(grpc::ServerContext* context, const v1::GetDatasetRequest* request,
                          v1::GetDatasetResponse* response) override;
  grpc::Status ListDatasets(grpc::ServerContext* context, const v1::ListDatasetsRequest* request,
                            v1::ListDatasetsResponse* response) override;
  grpc::Status ListDatasetVersions(grpc::ServerContext* context,
                                   const v1::ListDatasetVersionsRequest* request,
                                   v1::ListDatasetVersionsResponse* response) override;
  grpc::Status GetDatasetVersion(grpc::ServerContext* context,
                                 const v1::GetDatasetVersionRequest* request,
                                 v1::GetDatasetVersionResponse* response) override;
  grpc::Status ReadShard(grpc::ServerContext* context, const v1::ReadShardRequest* request,
                         grpc::ServerWriter<v1::ReadShardResponse>* writer) override;

 private:
  // SHA-256 of a shard of a version. NOT_FOUND (DATASET_NOT_FOUND, SHARD_NOT_FOUND).
  absl::StatusOr<std::string> DigestOf(const v1::ReadShardRequest& request);
  absl::Status Begin(const v1::BeginDatasetVersionRequest& request,
                     v1::BeginDatasetVersionResponse* response);
  absl::Status Upload(grpc::ServerReader<v1::UploadShardRequest>* reader);
  absl::Status Commit(const Caller& caller, const v1::CommitDatasetVersionRequest& request,
                      v1::CommitDatasetVersionResponse* response);

  Dispatch& dispatch_;
  ShardStore& store_;
  const PageTokens& tokens_;
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_SERVICE_DATA_SERVICES_H_
