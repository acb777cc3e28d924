#include "coordinator/service/session_service.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/ids.h"
#include "common/limits.h"
#include "common/log.h"
#include "coordinator/service/bulk.h"
#include "coordinator/service/session_stream.h"
#include "coordinator/state/decide_attempt.h"

namespace cvtrain::coordinator {
namespace {

namespace session_v1 = session::v1;

template <typename Request>
LeaseClaim ClaimOf(const Request& request) {
  return {.worker = request.worker(),
          .attempt = request.attempt(),
          .lease_generation = request.lease_generation()};
}

absl::StatusOr<MetricBatch> BatchOf(const session_v1::ReportMetricsRequest& request) {
  CVT_ASSIGN_OR_RETURN(const AttemptName attempt, AttemptName::Parse(request.attempt()));
  MetricBatch batch = {.trial = attempt.trial(),
                       .attempt = static_cast<int32_t>(attempt.number()),
                       .stream = request.stream(),
                       .sequence = request.sequence(),
                       .columns = {}};
  for (const v1::MetricSeries& series : request.series()) {
    batch.columns.push_back({.metric = series.metric(),
                             .steps = {series.steps().begin(), series.steps().end()},
                             .values = {series.values().begin(), series.values().end()}});
  }
  return batch;
}

}  // namespace

SessionService::SessionService(Dispatch& dispatch, SessionHub& hub, const SessionStores& stores,
                               TelemetryRegistry& telemetry)
    : dispatch_(dispatch),
      hub_(hub),
      stores_(stores),
      points_(telemetry.NewCounter({.name = "cvtrain_coordinator_metric_points_total",
                                    .help = "Points of series taken from workers."})),
      checkpoint_bytes_(
          telemetry.NewCounter({.name = "cvtrain_coordinator_checkpoint_uploaded_bytes_total",
                                .help = "Bytes of checkpoints taken from workers."})),
      shard_bytes_(telemetry.NewCounter({.name = "cvtrain_coordinator_shard_sent_bytes_total",
                                         .help = "Bytes of shards sent to workers."})),
      upload_seconds_(telemetry.NewHistogram(
          {.name = "cvtrain_coordinator_checkpoint_upload_seconds",
           .help = "Time from the first byte of a checkpoint until its event is durable."},
          LatencyBuckets())) {}

grpc::ServerBidiReactor<session_v1::ConnectRequest, session_v1::ConnectResponse>*
SessionService::Connect(grpc::CallbackServerContext* context) {
  const absl::StatusOr<Caller> caller = Authenticate(*context, Role::kWorker);
  if (!caller.ok()) return SessionStream::Refuse(caller.status(), hub_, dispatch_);
  return SessionStream::Start(*caller, hub_, dispatch_);
}

grpc::ServerUnaryReactor* SessionService::ReportFacts(grpc::CallbackServerContext* context,
                                                      const session_v1::ReportFactsRequest* request,
                                                      session_v1::ReportFactsResponse* response) {
  return dispatch_.CommitForWorker<session_v1::ReportFactsResponse>(
      context, request->worker(), response,
      [request](const ClusterState& state, absl::Time now) {
        return DecideFacts(state, *request, now);
      },
      [request](const View&,
                const Answer& answer) -> absl::StatusOr<session_v1::ReportFactsResponse> {
        session_v1::ReportFactsResponse reply;
        reply.set_durable_sequence(request->facts(request->facts_size() - 1).sequence());
        reply.set_revision(answer.revision);
        return reply;
      });
}

// Runs `stage` if the request's lease is current; `stage` finishes the reactor,
// unless it returns an error.
template <typename Request>
void SessionService::StageIfLeased(grpc::CallbackServerContext* context,
                                   grpc::ServerUnaryReactor* reactor, const Request& request,
                                   std::function<absl::Status()> stage) {
  const absl::StatusOr<Caller> caller = Authenticate(*context, Role::kWorker);
  absl::Status status = caller.status();
  if (status.ok()) status = CheckSpeaksFor(*caller, request.worker());
  if (status.ok()) {
    status = dispatch_.loop().Post(
        [this, reactor, &request, stage = std::move(stage)](Engine& engine, const Instant& now) {
          engine.Read(
              [this, reactor, &request, stage](const absl::StatusOr<View>& view) {
                absl::Status checked = view.status();
                if (checked.ok()) checked = CheckLease(view->state(), ClaimOf(request));
                if (checked.ok()) checked = stage();
                if (!checked.ok()) dispatch_.Finish(reactor, checked);
              },
              now);
        });
  }
  if (!status.ok()) dispatch_.Finish(reactor, status);
}

grpc::ServerUnaryReactor* SessionService::ReportMetrics(
    grpc::CallbackServerContext* context, const session_v1::ReportMetricsRequest* request,
    session_v1::ReportMetricsResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  StageIfLeased(context, reactor, *request, [this, reactor, request, response]() -> absl::Status {
    CVT_ASSIGN_OR_RETURN(MetricBatch batch, BatchOf(*request));
    size_t points = 0;
    for (const MetricColumn& column : batch.columns) points += column.steps.size();
    response->set_durable_sequence(request->sequence());
    return stores_.metrics.Stage(std::move(batch),
                                 [this, reactor, points](const absl::Status& status) {
                                   if (status.ok()) points_.Increment(static_cast<double>(points));
                                   dispatch_.Finish(reactor, status);
                                 });
  });
  return reactor;
}

grpc::ServerUnaryReactor* SessionService::ReportLogs(grpc::CallbackServerContext* context,
                                                     const session_v1::ReportLogsRequest* request,
                                                     session_v1::ReportLogsResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  StageIfLeased(context, reactor, *request, [this, reactor, request, response]() -> absl::Status {
    CVT_ASSIGN_OR_RETURN(LogBatch batch, LogBatchOf(*request));
    response->set_durable_sequence(request->sequence());
    return stores_.logs.Stage(std::move(batch), [this, reactor](const absl::Status& status) {
      dispatch_.Finish(reactor, status);
    });
  });
  return reactor;
}

grpc::ServerUnaryReactor* SessionService::AccessStore(grpc::CallbackServerContext* context,
                                                      const session_v1::AccessStoreRequest* request,
                                                      session_v1::AccessStoreResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const absl::StatusOr<Caller> caller = Authenticate(*context, Role::kWorker);
  absl::Status status = caller.status();
  if (status.ok()) status = CheckSpeaksFor(*caller, request->worker());
  if (status.ok()) {
    status = dispatch_.loop().Post(
        [this, reactor, request, response](Engine& engine, const Instant& now) {
          engine.AccessStore(
              *request,
              [this, reactor, response](const absl::StatusOr<session_v1::StoreResult>& result) {
                if (result.ok()) *response->mutable_result() = *result;
                dispatch_.Finish(reactor, result.status());
              },
              now);
        });
  }
  if (!status.ok()) dispatch_.Finish(reactor, status);
  return reactor;
}

// --- Bulk data -------------------------------------------------------------------
//
// A checkpoint becomes one in three steps, so that it is complete or absent:
//   1. its bytes are staged in tables of their own; a crash leaves staging files,
//      which the next start removes;
//   2. the tables are ingested: durable, verified, and garbage while no event
//      names them; the next start removes garbage;
//   3. the event is journaled: now it exists.
// Only after 3 the worker hears OK. A worker that hears nothing sends it again,
// and finds it after 2 (only the event is made) or after 3 (nothing is).

grpc::Status SessionService::UploadCheckpoint(
    grpc::ServerContext* context, grpc::ServerReader<session_v1::UploadCheckpointRequest>* reader,
    session_v1::UploadCheckpointResponse* response) {
  const absl::StatusOr<Caller> caller = Authenticate(*context, Role::kWorker);
  if (!caller.ok()) return dispatch_.Count(caller.status());
  return dispatch_.Count(Upload(*caller, *context, reader, response));
}

absl::Status SessionService::Upload(const Caller& caller, const grpc::ServerContext& context,
                                    grpc::ServerReader<session_v1::UploadCheckpointRequest>* reader,
                                    session_v1::UploadCheckpointResponse* response) {
  session_v1::UploadCheckpointRequest message;
  if (!reader->Read(&message) || !message.has_header()) {
    return InvalidArgument(Reason::kFieldInvalid,
                           "the first message of an upload must be a header");
  }
  const session_v1::UploadCheckpointHeader header = message.header();
  const absl::Duration start = RealClock().SteadyNow();
  CVT_RETURN_IF_ERROR(CheckSpeaksFor(caller, header.worker()));
  CVT_RETURN_IF_ERROR(dispatch_
                          .ReadAndWait<bool>([&](const View& view) -> absl::StatusOr<bool> {
                            CVT_RETURN_IF_ERROR(CheckLease(view.state(), ClaimOf(header)));
                            return true;
                          })
                          .status());
  CVT_RETURN_IF_ERROR(StoreCheckpoint(header, context, reader));
  const absl::StatusOr<Answer> answer =
      dispatch_.CommitAndWait(caller, {}, [&header](const ClusterState& state, absl::Time now) {
        return DecideCommitCheckpoint(state, header, now);
      });
  if (!answer.ok()) {
    RemoveIfRefusedForGood(header.checkpoint(), answer.status());
    return answer.status();
  }
  response->set_revision(answer->revision);
  checkpoint_bytes_.Increment(static_cast<double>(header.size_bytes()));
  upload_seconds_.Observe(absl::ToDoubleSeconds(RealClock().SteadyNow() - start));
  return absl::OkStatus();
}

// Bytes whose event will never be made would take up the quota until the next start.
void SessionService::RemoveIfRefusedForGood(const std::string& checkpoint,
                                            const absl::Status& refusal) {
  // Another try with this lease is refused as well. Anything else may yet succeed.
  if (!absl::IsAborted(refusal) && !absl::IsNotFound(refusal)) return;
  const absl::StatusOr<Uuid> id = Uuid::Parse(checkpoint);
  if (!id.ok()) return;
  const absl::StatusOr<bool> listed =
      dispatch_.ReadAndWait<bool>([&](const View& view) -> absl::StatusOr<bool> {
        return view.state().checkpoints().contains(CheckpointName(*id));
      });
  if (!listed.ok() || *listed) return;
  const absl::Status removed = stores_.checkpoints.Delete(*id);
  if (!removed.ok()) {
    CVT_LOG(kError, "cannot remove a refused checkpoint's bytes")
        .Field("checkpoint", checkpoint)
        .Field("status", removed);
  }
}

absl::Status SessionService::StoreCheckpoint(
    const session_v1::UploadCheckpointHeader& header, const grpc::ServerContext& context,
    grpc::ServerReader<session_v1::UploadCheckpointRequest>* reader) {
  CVT_ASSIGN_OR_RETURN(const Uuid id, Uuid::Parse(header.checkpoint()));
  const absl::StatusOr<CheckpointInfo> stored = stores_.checkpoints.Find(id);
  if (stored.ok()) {
    if (stored->digest == header.digest()) return absl::OkStatus();
    return DataLoss(Reason::kCheckpointBad, absl::StrCat("checkpoint ", header.checkpoint(),
                                                         " is stored with another digest"));
  }
  CVT_ASSIGN_OR_RETURN(const auto writer, stores_.checkpoints.Begin(id, header.size_bytes()));
  if (header.has_shared()) {
    if (!IsLocalCall(context)) {
      return FailedPrecondition(Reason::kWrongState, "only on a local socket; send chunks");
    }
    CVT_RETURN_IF_ERROR(AppendShared(
        header.shared(), [&] { return context.IsCancelled(); }, *writer));
    return writer->Finish(header.digest());
  }
  session_v1::UploadCheckpointRequest message;
  while (reader->Read(&message)) {
    if (!message.has_chunk()) {
      return InvalidArgument(Reason::kFieldInvalid, "an upload has one header, then chunks");
    }
    CVT_RETURN_IF_ERROR(writer->Append(message.chunk().data(), message.chunk().crc32c()));
  }
  return writer->Finish(header.digest());
}

grpc::Status SessionService::DownloadCheckpoint(
    grpc::ServerContext* context, const session_v1::DownloadCheckpointRequest* request,
    grpc::ServerWriter<session_v1::DownloadCheckpointResponse>* writer) {
  const absl::StatusOr<Caller> caller = Authenticate(*context, Role::kWorker);
  absl::Status status = caller.status();
  if (status.ok()) status = CheckSpeaksFor(*caller, request->worker());
  if (!status.ok()) return dispatch_.Count(status);
  return dispatch_.Count(SendCheckpoint(stores_.checkpoints, request->checkpoint(),
                                        request->offset(), [writer](const CheckpointChunk& chunk) {
                                          session_v1::DownloadCheckpointResponse response;
                                          response.mutable_chunk()->set_data(chunk.bytes);
                                          response.mutable_chunk()->set_crc32c(chunk.crc32c);
                                          return writer->Write(response);
                                        }));
}

grpc::Status SessionService::FetchShard(
    grpc::ServerContext* context, const session_v1::FetchShardRequest* request,
    grpc::ServerWriter<session_v1::FetchShardResponse>* writer) {
  const absl::StatusOr<Caller> caller = Authenticate(*context, Role::kWorker);
  absl::Status status = caller.status();
  if (status.ok()) status = CheckSpeaksFor(*caller, request->worker());
  if (!status.ok()) return dispatch_.Count(status);
  return dispatch_.Count(SendShard(stores_.shards, request->digest(),
                                   {.offset = request->offset(), .length = request->length()},
                                   [&](const std::string& bytes, uint32_t crc32c) {
                                     session_v1::FetchShardResponse response;
                                     response.set_data(bytes);
                                     response.set_crc32c(crc32c);
                                     shard_bytes_.Increment(static_cast<double>(bytes.size()));
                                     return writer->Write(response);
                                   }));
}

}  // namespace cvtrain::coordinator
