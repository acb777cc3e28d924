#ifndef CVTRAIN_COORDINATOR_SERVICE_SESSION_SERVICE_H_
#define CVTRAIN_COORDINATOR_SERVICE_SESSION_SERVICE_H_

#include "coordinator/service/dispatch.h"
#include "coordinator/service/session_hub.h"
#include "coordinator/storage/catalogue/shard_store.h"
#include "coordinator/storage/checkpoints/checkpoint_store.h"
#include "coordinator/storage/logs/log_store.h"
#include "coordinator/storage/metrics/metric_store.h"
#include "cvtrain/session/v1/session.grpc.pb.h"

namespace cvtrain::coordinator {

// Methods that wait without a thread, and methods (the base's) that have one
// because they move bulk data.
using SessionServiceBase = session::v1::SessionService::WithCallbackMethod_Connect<
    session::v1::SessionService::WithCallbackMethod_ReportFacts<
        session::v1::SessionService::WithCallbackMethod_ReportMetrics<
            session::v1::SessionService::WithCallbackMethod_ReportLogs<
                session::v1::SessionService::WithCallbackMethod_AccessStore<
                    session::v1::SessionService::Service>>>>>;

struct SessionStores {
  MetricStore& metrics;
  LogStore& logs;
  CheckpointStore& checkpoints;
  ShardStore& shards;
};

// What workers call. Each method is as session.proto says: acknowledged only
// when durable, safe to repeat, refused with a stale generation. Thread-safe.
class SessionService : public SessionServiceBase {
 public:
  SessionService(Dispatch& dispatch, SessionHub& hub, const SessionStores& stores,
                 TelemetryRegistry& telemetry);

  grpc::ServerBidiReactor<session::v1::ConnectRequest, session::v1::ConnectResponse>* Connect(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* ReportFacts(grpc::CallbackServerContext* context,
                                        const session::v1::ReportFactsRequest* request,
                                        session::v1::ReportFactsResponse* response) override;
  grpc::ServerUnaryReactor* ReportMetrics(grpc::CallbackServerContext* context,
                                          const session::v1::ReportMetricsRequest* request,
                                          session::v1::ReportMetricsResponse* response) override;
  grpc::ServerUnaryReactor* ReportLogs(grpc::CallbackServerContext* context,
                                       const session::v1::ReportLogsRequest* request,
                                       session::v1::ReportLogsResponse* response) override;
  grpc::ServerUnaryReactor* AccessStore(grpc::CallbackServerContext* context,
                                        const session::v1::AccessStoreRequest* request,
                                        session::v1::AccessStoreResponse* response) override;

  grpc::Status UploadCheckpoint(grpc::ServerContext* context,
                                grpc::ServerReader<session::v1::UploadCheckpointRequest>* reader,
                                session::v1::UploadCheckpointResponse* response) override;
  grpc::Status DownloadCheckpoint(
      grpc::ServerContext* context, const session::v1::DownloadCheckpointRequest* request,
      grpc::ServerWriter<session::v1::DownloadCheckpointResponse>* writer) override;
  grpc::Status FetchShard(grpc::ServerContext* context,
                          const session::v1::FetchShardRequest* request,
                          grpc::ServerWriter<session::v1::FetchShardResponse>* writer) override;

 private:
  template <typename Request>
  void StageIfLeased(grpc::CallbackServerContext* context, grpc::ServerUnaryReactor* reactor,
                     const Request& request, std::function<absl::Status()> stage);
  absl::Status Upload(const Caller& caller, const grpc::ServerContext& context,
                      grpc::ServerReader<session::v1::UploadCheckpointRequest>* reader,
                      session::v1::UploadCheckpointResponse* response);
  void RemoveIfRefusedForGood(const std::string& checkpoint, const absl::Status& refusal);
  absl::Status StoreCheckpoint(const session::v1::UploadCheckpointHeader& header,
                               const grpc::ServerContext& context,
                               grpc::ServerReader<session::v1::UploadCheckpointRequest>* reader);

  Dispatch& dispatch_;
  SessionHub& hub_;
  SessionStores stores_;
  Counter& points_;
  Counter& checkpoint_bytes_;
  Counter& shard_bytes_;
  Histogram& upload_seconds_;
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_SERVICE_SESSION_SERVICE_H_
