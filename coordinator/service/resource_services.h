#ifndef CVTRAIN_COORDINATOR_SERVICE_RESOURCE_SERVICES_H_
#define CVTRAIN_COORDINATOR_SERVICE_RESOURCE_SERVICES_H_

#include <string>

#include "absl/time/time.h"
#include "coordinator/engine/page_token.h"
#include "coordinator/service/dispatch.h"
#include "cvtrain/v1/cluster.grpc.pb.h"
#include "cvtrain/v1/experiment.grpc.pb.h"
#include "cvtrain/v1/queue.grpc.pb.h"
#include "cvtrain/v1/trial.grpc.pb.h"
#include "cvtrain/v1/worker.grpc.pb.h"

// Services that only read or change the engine's state. What each method does is
// said in the protos. Thread-safe.
namespace cvtrain::coordinator {

// Methods that hold no thread while they wait, and those (the base's) that plan
// the stages of a trial on the thread that they have.
using ExperimentServiceBase = v1::ExperimentService::WithCallbackMethod_CreateExperiment<
    v1::ExperimentService::WithCallbackMethod_GetExperiment<
        v1::ExperimentService::WithCallbackMethod_ListExperiments<
            v1::ExperimentService::WithCallbackMethod_CancelExperiment<
                v1::ExperimentService::WithCallbackMethod_HoldExperiment<
                    v1::ExperimentService::WithCallbackMethod_ReleaseExperiment<
                        v1::ExperimentService::Service>>>>>>;
using TrialServiceBase = v1::TrialService::WithCallbackMethod_ListTrials<
    v1::TrialService::WithCallbackMethod_CancelTrial<v1::TrialService::Service>>;

class ExperimentService : public ExperimentServiceBase {
 public:
  ExperimentService(Dispatch& dispatch, const PageTokens& tokens, std::string program_version)
      : dispatch_(dispatch), tokens_(tokens), program_version_(std::move(program_version)) {}

  grpc::ServerUnaryReactor* CreateExperiment(grpc::CallbackServerContext* context,
                                             const v1::CreateExperimentRequest* request,
                                             v1::CreateExperimentResponse* response) override;
  grpc::Status PreviewExperiment(grpc::ServerContext* context,
                                 const v1::PreviewExperimentRequest* request,
                                 v1::PreviewExperimentResponse* response) override;
  grpc::ServerUnaryReactor* GetExperiment(grpc::CallbackServerContext* context,
                                          const v1::GetExperimentRequest* request,
                                          v1::GetExperimentResponse* response) override;
  grpc::ServerUnaryReactor* ListExperiments(grpc::CallbackServerContext* context,
                                            const v1::ListExperimentsRequest* request,
                                            v1::ListExperimentsResponse* response) override;
  grpc::ServerUnaryReactor* CancelExperiment(grpc::CallbackServerContext* context,
                                             const v1::CancelExperimentRequest* request,
                                             v1::CancelExperimentResponse* response) override;
  grpc::ServerUnaryReactor* HoldExperiment(grpc::CallbackServerContext* context,
                                           const v1::HoldExperimentRequest* request,
                                           v1::HoldExperimentResponse* response) override;
  grpc::ServerUnaryReactor* ReleaseExperiment(grpc::CallbackServerContext* context,
                                              const v1::ReleaseExperimentRequest* request,
                                              v1::ReleaseExperimentResponse* response) override;

 private:
  Dispatch& dispatch_;
  const PageTokens& tokens_;
  const std::string program_version_;
};

class TrialService : public TrialServiceBase {
 public:
  TrialService(Dispatch& dispatch, const PageTokens& tokens)
      : dispatch_(dispatch), tokens_(tokens) {}

  grpc::Status GetTrial(grpc::ServerContext* context, const v1::GetTrialRequest* request,
                        v1::GetTrialResponse* response) override;
  grpc::ServerUnaryReactor* ListTrials(grpc::CallbackServerContext* context,
                                       const v1::ListTrialsRequest* request,
                                       v1::ListTrialsResponse* response) override;
  grpc::ServerUnaryReactor* CancelTrial(grpc::CallbackServerContext* context,
                                        const v1::CancelTrialRequest* request,
                                        v1::CancelTrialResponse* response) override;

 private:
  Dispatch& dispatch_;
  const PageTokens& tokens_;
};

class WorkerService : public v1::WorkerService::CallbackService {
 public:
  WorkerService(Dispatch& dispatch, const PageTokens& tokens)
      : dispatch_(dispatch), tokens_(tokens) {}

  grpc::ServerUnaryReactor* GetWorker(grpc::CallbackServerContext* context,
                                      const v1::GetWorkerRequest* request,
                                      v1::GetWorkerResponse* response) override;
  grpc::ServerUnaryReactor* ListWorkers(grpc::CallbackServerContext* context,
                                        const v1::ListWorkersRequest* request,
                                        v1::ListWorkersResponse* response) override;
  grpc::ServerUnaryReactor* CordonWorker(grpc::CallbackServerContext* context,
                                         const v1::CordonWorkerRequest* request,
                                         v1::CordonWorkerResponse* response) override;
  grpc::ServerUnaryReactor* UncordonWorker(grpc::CallbackServerContext* context,
                                           const v1::UncordonWorkerRequest* request,
                                           v1::UncordonWorkerResponse* response) override;
  grpc::ServerUnaryReactor* RemoveWorker(grpc::CallbackServerContext* context,
                                         const v1::RemoveWorkerRequest* request,
                                         v1::RemoveWorkerResponse* response) override;

 private:
  Dispatch& dispatch_;
  const PageTokens& tokens_;
};

class QueueService : public v1::QueueService::CallbackService {
 public:
  QueueService(Dispatch& dispatch, const PageTokens& tokens)
      : dispatch_(dispatch), tokens_(tokens) {}

  grpc::ServerUnaryReactor* ListQueue(grpc::CallbackServerContext* context,
                                      const v1::ListQueueRequest* request,
                                      v1::ListQueueResponse* response) override;
  grpc::ServerUnaryReactor* ExplainTrial(grpc::CallbackServerContext* context,
                                         const v1::ExplainTrialRequest* request,
                                         v1::ExplainTrialResponse* response) override;
  grpc::ServerUnaryReactor* PredictQueue(grpc::CallbackServerContext* context,
                                         const v1::PredictQueueRequest* request,
                                         v1::PredictQueueResponse* response) override;

 private:
  Dispatch& dispatch_;
  const PageTokens& tokens_;
};

// What only this process knows of itself.
struct ProcessFacts {
  std::string cluster_id;
  absl::Time start_time;
  std::string program_version;
  std::string build_id;
  int session_protocol_min = 2;
  int session_protocol_max = 2;
};

class ClusterService : public v1::ClusterService::CallbackService {
 public:
  ClusterService(Dispatch& dispatch, const ProcessFacts& facts)
      : dispatch_(dispatch), facts_(facts) {}

  grpc::ServerUnaryReactor* GetCluster(grpc::CallbackServerContext* context,
                                       const v1::GetClusterRequest* request,
                                       v1::GetClusterResponse* response) override;

 private:
  Dispatch& dispatch_;
  const ProcessFacts facts_;
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_SERVICE_RESOURCE_SERVICES_H_
