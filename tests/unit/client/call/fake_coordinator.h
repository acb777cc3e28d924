#ifndef CVTRAIN_TESTS_UNIT_CLIENT_CALL_FAKE_COORDINATOR_H_
#define CVTRAIN_TESTS_UNIT_CLIENT_CALL_FAKE_COORDINATOR_H_

#include <grpc/grpc.h>
#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/rpc/status.h"
#include "common/status_macros.h"
#include "cvtrain/v1/checkpoint.grpc.pb.h"
#include "cvtrain/v1/cluster.grpc.pb.h"
#include "cvtrain/v1/dataset.grpc.pb.h"
#include "cvtrain/v1/experiment.grpc.pb.h"
#include "cvtrain/v1/log.grpc.pb.h"
#include "cvtrain/v1/metric.grpc.pb.h"
#include "cvtrain/v1/queue.grpc.pb.h"
#include "cvtrain/v1/trial.grpc.pb.h"
#include "cvtrain/v1/worker.grpc.pb.h"
#include "tests/support/temp_dir.h"

namespace cvtrain::client {

// The method `name` of a service answers what the function of that name says. A
// function must be set before the first call and must be thread-safe.
#define CVTRAIN_FAKE_METHOD(name)                                                          \
  std::function<absl::Status(const v1::name##Request&, v1::name##Response*)> On##name =    \
      [](const v1::name##Request&, v1::name##Response*) {                                  \
        return Internal(Reason::kInternal, "the test did not say what " #name " answers"); \
      };                                                                                   \
  grpc::Status name(grpc::ServerContext*, const v1::name##Request* request,                \
                    v1::name##Response* response) override {                               \
    return ToGrpcStatus(On##name(*request, response));                                     \
  }

// A coordinator of which each answer is said by the test, behind real gRPC on a Unix
// socket. Thread-safe.
class FakeCoordinator {
 public:
  struct Experiments
      : v1::ExperimentService::Service{
            CVTRAIN_FAKE_METHOD(CreateExperiment) CVTRAIN_FAKE_METHOD(PreviewExperiment)
                CVTRAIN_FAKE_METHOD(GetExperiment) CVTRAIN_FAKE_METHOD(ListExperiments)
                    CVTRAIN_FAKE_METHOD(HoldExperiment)
                        CVTRAIN_FAKE_METHOD(ReleaseExperiment)} experiments;
  struct Trials : v1::TrialService::Service{CVTRAIN_FAKE_METHOD(GetTrial)
                                                CVTRAIN_FAKE_METHOD(ListTrials)} trials;
  struct Queue : v1::QueueService::Service{CVTRAIN_FAKE_METHOD(ListQueue) CVTRAIN_FAKE_METHOD(
                     ExplainTrial) CVTRAIN_FAKE_METHOD(PredictQueue)} queue;
  struct Workers : v1::WorkerService::Service{
                       CVTRAIN_FAKE_METHOD(GetWorker) CVTRAIN_FAKE_METHOD(ListWorkers)
                           CVTRAIN_FAKE_METHOD(CordonWorker) CVTRAIN_FAKE_METHOD(UncordonWorker)
                               CVTRAIN_FAKE_METHOD(RemoveWorker)} workers;
  struct Datasets : v1::DatasetService::Service{CVTRAIN_FAKE_METHOD(BeginDatasetVersion)
                                                    CVTRAIN_FAKE_METHOD(GetDatasetVersion)
                                                        CVTRAIN_FAKE_METHOD(ListDatasets)} datasets;
  struct Metrics : v1::MetricService::Service{CVTRAIN_FAKE_METHOD(ListMetrics)
                                                  CVTRAIN_FAKE_METHOD(QueryMetrics)} metrics;
  struct Checkpoints : v1::CheckpointService::Service {
    CVTRAIN_FAKE_METHOD(GetCheckpoint)
    CVTRAIN_FAKE_METHOD(ListCheckpoints)
    CVTRAIN_FAKE_METHOD(VerifyCheckpoint)
    CVTRAIN_FAKE_METHOD(DeleteCheckpoint)

    using ImportReader = grpc::ServerReader<v1::ImportCheckpointRequest>;
    std::function<absl::Status(ImportReader&, v1::ImportCheckpointResponse*)> OnImportCheckpoint =
        [](ImportReader&, v1::ImportCheckpointResponse*) {
          return Internal(Reason::kInternal, "the test did not say what an import answers");
        };
    grpc::Status ImportCheckpoint(grpc::ServerContext*, ImportReader* reader,
                                  v1::ImportCheckpointResponse* response) override {
      return ToGrpcStatus(OnImportCheckpoint(*reader, response));
    }
  } checkpoints;
  struct Logs : v1::LogService::Service{CVTRAIN_FAKE_METHOD(ListLogLines)} logs;
  struct Cluster : v1::ClusterService::Service{CVTRAIN_FAKE_METHOD(GetCluster)} cluster;

  FakeCoordinator() {
    // For the life of the process: whoever is the last to leave gRPC waits until a thread of it
    // that polls in the background looks up, which it does every ten seconds.
    [[maybe_unused]] static const bool kept = [] {
      grpc_init();
      return true;
    }();
    cluster.OnGetCluster = [](const auto&, auto*) { return absl::OkStatus(); };
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address(), grpc::InsecureServerCredentials());
    for (grpc::Service* service :
         {static_cast<grpc::Service*>(&experiments), static_cast<grpc::Service*>(&trials),
          static_cast<grpc::Service*>(&queue), static_cast<grpc::Service*>(&workers),
          static_cast<grpc::Service*>(&datasets), static_cast<grpc::Service*>(&metrics),
          static_cast<grpc::Service*>(&checkpoints), static_cast<grpc::Service*>(&logs),
          static_cast<grpc::Service*>(&cluster)})
      builder.RegisterService(service);
    server_ = builder.BuildAndStart();
    CVT_CHECK(server_ != nullptr) << "no server at " << address();
  }

  std::string address() const { return absl::StrCat("unix:", dir_ / "c.sock"); }

 private:
  testing::TempDir dir_;
  std::unique_ptr<grpc::Server> server_;  // last: it uses the services
};

#undef CVTRAIN_FAKE_METHOD

// A status as if nobody answered.
inline absl::Status Away() { return Unavailable(Reason::kServerUnreachable, "refused"); }

}  // namespace cvtrain::client

#endif  // CVTRAIN_TESTS_UNIT_CLIENT_CALL_FAKE_COORDINATOR_H_
