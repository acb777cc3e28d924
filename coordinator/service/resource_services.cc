#include "coordinator/service/resource_services.h"

#include <vector>

#include "common/ids.h"
#include "coordinator/engine/queue_views.h"
#include "coordinator/engine/views.h"
#include "coordinator/state/decide_experiment.h"
#include "coordinator/state/decide_worker.h"
#include "coordinator/state/proto_time.h"
#include "plan/curriculum/forecast.h"
#include "plan/recipe/resolve.h"

namespace cvtrain::coordinator {
namespace {

// Plans what a view has left: see StagesToPlan.
template <typename Stages>
absl::Status PlanStages(const StagesToPlan& to_plan, Stages& stages) {
  CVT_ASSIGN_OR_RETURN(std::vector<v1::PlannedStage> planned,
                       plan::PlannedStages(to_plan.recipe, to_plan.facts));
  PredictDurations(to_plan.recipe, to_plan.slots, to_plan.throughput, absl::MakeSpan(planned));
  stages = {planned.begin(), planned.end()};
  return absl::OkStatus();
}

// The experiment, or the worker, that was changed.
template <typename Reply>
absl::StatusOr<Reply> ExperimentReply(const View& view, const Answer& answer) {
  v1::GetExperimentRequest get;
  get.set_name(answer.resource);
  CVT_ASSIGN_OR_RETURN(auto found, coordinator::GetExperiment(view, get));
  Reply reply;
  *reply.mutable_experiment() = std::move(*found.mutable_experiment());
  return reply;
}

template <typename Reply>
absl::StatusOr<Reply> WorkerReply(const View& view, const Answer& answer) {
  v1::GetWorkerRequest get;
  get.set_name(answer.resource);
  CVT_ASSIGN_OR_RETURN(auto found, coordinator::GetWorker(view, get));
  Reply reply;
  *reply.mutable_worker() = std::move(*found.mutable_worker());
  return reply;
}

}  // namespace

// --- Experiments --------------------------------------------------------------

grpc::ServerUnaryReactor* ExperimentService::CreateExperiment(
    grpc::CallbackServerContext* context, const v1::CreateExperimentRequest* request,
    v1::CreateExperimentResponse* response) {
  return dispatch_.Commit<v1::CreateExperimentRequest, v1::CreateExperimentResponse>(
      context, Role::kSubmitter, "CreateExperiment", *request, response,
      [request, this](const ClusterState& state, absl::Time now) {
        return DecideCreateExperiment(state, *request, program_version_, now);
      },
      &ExperimentReply<v1::CreateExperimentResponse>);
}

grpc::Status ExperimentService::PreviewExperiment(grpc::ServerContext* context,
                                                  const v1::PreviewExperimentRequest* request,
                                                  v1::PreviewExperimentResponse* response) {
  return dispatch_.Run(context, Role::kViewer, [&](const Caller&) -> absl::Status {
    StagesToPlan to_plan;
    CVT_RETURN_IF_ERROR(dispatch_.Fill(response, [&](const View& view) {
      return coordinator::PreviewExperiment(view, *request, to_plan);
    }));
    return PlanStages(to_plan, *response->mutable_stages());
  });
}

grpc::ServerUnaryReactor* ExperimentService::GetExperiment(grpc::CallbackServerContext* context,
                                                           const v1::GetExperimentRequest* request,
                                                           v1::GetExperimentResponse* response) {
  return dispatch_.Read<v1::GetExperimentResponse>(
      context, Role::kViewer, response, [request](const View& view, const Caller&) {
        return coordinator::GetExperiment(view, *request);
      });
}

grpc::ServerUnaryReactor* ExperimentService::ListExperiments(
    grpc::CallbackServerContext* context, const v1::ListExperimentsRequest* request,
    v1::ListExperimentsResponse* response) {
  return dispatch_.Read<v1::ListExperimentsResponse>(
      context, Role::kViewer, response, [request, this](const View& view, const Caller& caller) {
        return coordinator::ListExperiments(view, tokens_, caller.identity, *request);
      });
}

grpc::ServerUnaryReactor* ExperimentService::CancelExperiment(
    grpc::CallbackServerContext* context, const v1::CancelExperimentRequest* request,
    v1::CancelExperimentResponse* response) {
  return dispatch_.Commit<v1::CancelExperimentRequest, v1::CancelExperimentResponse>(
      context, Role::kSubmitter, "CancelExperiment", *request, response,
      [request](const ClusterState& state, absl::Time now) {
        return DecideCancelExperiment(state, *request, now);
      },
      &ExperimentReply<v1::CancelExperimentResponse>, Dispatch::Reserve::kMayUse);
}

grpc::ServerUnaryReactor* ExperimentService::HoldExperiment(
    grpc::CallbackServerContext* context, const v1::HoldExperimentRequest* request,
    v1::HoldExperimentResponse* response) {
  return dispatch_.Commit<v1::HoldExperimentRequest, v1::HoldExperimentResponse>(
      context, Role::kSubmitter, "HoldExperiment", *request, response,
      [request](const ClusterState& state, absl::Time now) {
        return DecideHoldExperiment(state, *request, now);
      },
      &ExperimentReply<v1::HoldExperimentResponse>, Dispatch::Reserve::kMayUse);
}

grpc::ServerUnaryReactor* ExperimentService::ReleaseExperiment(
    grpc::CallbackServerContext* context, const v1::ReleaseExperimentRequest* request,
    v1::ReleaseExperimentResponse* response) {
  return dispatch_.Commit<v1::ReleaseExperimentRequest, v1::ReleaseExperimentResponse>(
      context, Role::kSubmitter, "ReleaseExperiment", *request, response,
      [request](const ClusterState& state, absl::Time now) {
        return DecideReleaseExperiment(state, *request, now);
      },
      &ExperimentReply<v1::ReleaseExperimentResponse>, Dispatch::Reserve::kMayUse);
}

// --- Trials ---------------------------------------------------------------------

grpc::Status TrialService::GetTrial(grpc::ServerContext* context,
                                    const v1::GetTrialRequest* request,
                                    v1::GetTrialResponse* response) {
  return dispatch_.Run(context, Role::kViewer, [&](const Caller&) -> absl::Status {
    CVT_ASSIGN_OR_RETURN(const TrialName name, TrialName::Parse(request->name()));
    StagesToPlan to_plan;
    CVT_RETURN_IF_ERROR(
        dispatch_.Fill(response, [&](const View& view) -> absl::StatusOr<v1::GetTrialResponse> {
          CVT_ASSIGN_OR_RETURN(to_plan, StagesOfTrial(view, name));
          return coordinator::GetTrial(view, *request);
        }));
    return PlanStages(to_plan, *response->mutable_trial()->mutable_stages());
  });
}

grpc::ServerUnaryReactor* TrialService::ListTrials(grpc::CallbackServerContext* context,
                                                   const v1::ListTrialsRequest* request,
                                                   v1::ListTrialsResponse* response) {
  return dispatch_.Read<v1::ListTrialsResponse>(
      context, Role::kViewer, response, [request, this](const View& view, const Caller& caller) {
        return coordinator::ListTrials(view, tokens_, caller.identity, *request);
      });
}

grpc::ServerUnaryReactor* TrialService::CancelTrial(grpc::CallbackServerContext* context,
                                                    const v1::CancelTrialRequest* request,
                                                    v1::CancelTrialResponse* response) {
  return dispatch_.Commit<v1::CancelTrialRequest, v1::CancelTrialResponse>(
      context, Role::kSubmitter, "CancelTrial", *request, response,
      [request](const ClusterState& state, absl::Time now) {
        return DecideCancelTrial(state, *request, now);
      },
      [request](const View& view, const Answer&) -> absl::StatusOr<v1::CancelTrialResponse> {
        v1::GetTrialRequest get;
        get.set_name(request->name());
        CVT_ASSIGN_OR_RETURN(auto found, coordinator::GetTrial(view, get));
        v1::CancelTrialResponse reply;
        *reply.mutable_trial() = std::move(*found.mutable_trial());
        return reply;
      },
      Dispatch::Reserve::kMayUse);
}

// --- Workers -----------------------------------------------------

grpc::ServerUnaryReactor* WorkerService::GetWorker(grpc::CallbackServerContext* context,
                                                   const v1::GetWorkerRequest* request,
                                                   v1::GetWorkerResponse* response) {
  return dispatch_.Read<v1::GetWorkerResponse>(context, Role::kViewer, response,
                                               [request](const View& view, const Caller&) {
                                                 return coordinator::GetWorker(view, *request);
                                               });
}

grpc::ServerUnaryReactor* WorkerService::ListWorkers(grpc::CallbackServerContext* context,
                                                     const v1::ListWorkersRequest* request,
                                                     v1::ListWorkersResponse* response) {
  return dispatch_.Read<v1::ListWorkersResponse>(
      context, Role::kViewer, response, [request, this](const View& view, const Caller& caller) {
        return coordinator::ListWorkers(view, tokens_, caller.identity, *request);
      });
}

grpc::ServerUnaryReactor* WorkerService::CordonWorker(grpc::CallbackServerContext* context,
                                                      const v1::CordonWorkerRequest* request,
                                                      v1::CordonWorkerResponse* response) {
  return dispatch_.Commit<v1::CordonWorkerRequest, v1::CordonWorkerResponse>(
      context, Role::kOperator, "CordonWorker", *request, response,
      [request](const ClusterState& state, absl::Time now) {
        return DecideCordonWorker(state, *request, now);
      },
      &WorkerReply<v1::CordonWorkerResponse>, Dispatch::Reserve::kMayUse);
}

grpc::ServerUnaryReactor* WorkerService::UncordonWorker(grpc::CallbackServerContext* context,
                                                        const v1::UncordonWorkerRequest* request,
                                                        v1::UncordonWorkerResponse* response) {
  return dispatch_.Commit<v1::UncordonWorkerRequest, v1::UncordonWorkerResponse>(
      context, Role::kOperator, "UncordonWorker", *request, response,
      [request](const ClusterState& state, absl::Time now) {
        return DecideUncordonWorker(state, *request, now);
      },
      &WorkerReply<v1::UncordonWorkerResponse>, Dispatch::Reserve::kMayUse);
}

grpc::ServerUnaryReactor* WorkerService::RemoveWorker(grpc::CallbackServerContext* context,
                                                      const v1::RemoveWorkerRequest* request,
                                                      v1::RemoveWorkerResponse* response) {
  return dispatch_.Commit<v1::RemoveWorkerRequest, v1::RemoveWorkerResponse>(
      context, Role::kOperator, "RemoveWorker", *request, response,
      [request](const ClusterState& state, absl::Time now) {
        return DecideRemoveWorker(state, *request, now);
      },
      [](const View&, const Answer&) -> absl::StatusOr<v1::RemoveWorkerResponse> {
        return v1::RemoveWorkerResponse();
      },
      Dispatch::Reserve::kMayUse);
}

// --- The queue and the cluster ---------------------------------------------------

grpc::ServerUnaryReactor* QueueService::ListQueue(grpc::CallbackServerContext* context,
                                                  const v1::ListQueueRequest* request,
                                                  v1::ListQueueResponse* response) {
  return dispatch_.Read<v1::ListQueueResponse>(
      context, Role::kViewer, response, [request, this](const View& view, const Caller& caller) {
        return coordinator::ListQueue(view, tokens_, caller.identity, *request);
      });
}

grpc::ServerUnaryReactor* QueueService::ExplainTrial(grpc::CallbackServerContext* context,
                                                     const v1::ExplainTrialRequest* request,
                                                     v1::ExplainTrialResponse* response) {
  return dispatch_.Read<v1::ExplainTrialResponse>(
      context, Role::kViewer, response, [request](const View& view, const Caller&) {
        return coordinator::ExplainTrial(view, *request);
      });
}

grpc::ServerUnaryReactor* QueueService::PredictQueue(grpc::CallbackServerContext* context,
                                                     const v1::PredictQueueRequest* request,
                                                     v1::PredictQueueResponse* response) {
  return dispatch_.Read<v1::PredictQueueResponse>(
      context, Role::kViewer, response, [request](const View& view, const Caller&) {
        return coordinator::PredictQueue(view, *request);
      });
}

grpc::ServerUnaryReactor* ClusterService::GetCluster(grpc::CallbackServerContext* context,
                                                     const v1::GetClusterRequest*,
                                                     v1::GetClusterResponse* response) {
  return dispatch_.Read<v1::GetClusterResponse>(
      context, Role::kViewer, response,
      [this](const View& view, const Caller&) -> absl::StatusOr<v1::GetClusterResponse> {
        v1::GetClusterResponse reply;
        v1::Cluster& cluster = *reply.mutable_cluster();
        cluster = ClusterToProto(view);
        cluster.set_id(facts_.cluster_id);
        *cluster.mutable_start_time() = ToTimestamp(facts_.start_time);
        cluster.set_program_version(facts_.program_version);
        cluster.set_build_id(facts_.build_id);
        cluster.set_plan_version(plan::kPlanVersion);
        cluster.set_session_protocol_min(facts_.session_protocol_min);
        cluster.set_session_protocol_max(facts_.session_protocol_max);
        return reply;
      });
}

}  // namespace cvtrain::coordinator
