#include "coordinator/service/data_services.h"

#include <algorithm>
#include <limits>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/ids.h"
#include "common/limits.h"
#include "coordinator/engine/views.h"
#include "coordinator/service/bulk.h"
#include "coordinator/service/checkpoint_import.h"
#include "coordinator/state/decide_checkpoint.h"
#include "coordinator/state/decide_dataset.h"
#include "coordinator/state/proto_time.h"
#include "formats/checkpoint/checkpoint.h"

namespace cvtrain::coordinator {
namespace {

// Lines of a page of a log.
constexpr int kLogPageDefault = 1'000;
constexpr int kLogPageMax = 10'000;
// Bytes of lines in one answer: below what a message may have.
constexpr size_t kLogAnswerBytesMax = size_t{2} << 20;

// Which attempts' points count.
absl::StatusOr<std::vector<LineagePart>> LineageOfTrial(Dispatch& dispatch, const TrialName& name) {
  return dispatch.ReadAndWait<std::vector<LineagePart>>(
      [&](const View& view) -> absl::StatusOr<std::vector<LineagePart>> {
        CVT_ASSIGN_OR_RETURN(const ClusterState::Trial* trial, view.state().FindTrial(name));
        std::vector<LineagePart> parts;
        for (const LineageSegment& segment : LineageOf(*trial)) {
          parts.push_back(
              {.attempt = static_cast<int32_t>(segment.attempt), .from_step = segment.from_step});
        }
        return parts;
      });
}

// FAILED_PRECONDITION (WRONG_STATE) unless the bytes of all shards are here.
absl::Status CheckArrived(const v1::DatasetVersion& version,
                          const std::vector<std::string>& arrived) {
  const std::set<std::string> here(arrived.begin(), arrived.end());
  for (const v1::Shard& shard : version.shards()) {
    if (here.contains(shard.digest())) continue;
    return FailedPrecondition(Reason::kWrongState,
                              absl::StrCat("shard ", shard.index(), " (", shard.digest(),
                                           ") has not arrived; upload it first"));
  }
  return absl::OkStatus();
}

// Lowers `to_step` until the points before it fit into one answer, and drops the
// others. At least one step stays.
void CutToBudget(std::vector<std::vector<MetricPoint>>& columns, int64_t& to_step) {
  std::vector<int64_t> steps;
  for (auto& points : columns) {
    const auto end = std::find_if(points.begin(), points.end(),
                                  [&](const MetricPoint& point) { return point.step >= to_step; });
    points.erase(end, points.end());
    for (const MetricPoint& point : points) steps.push_back(point.step);
  }
  if (steps.size() <= MetricStore::kPointsPerAnswerMax) return;
  std::nth_element(steps.begin(), steps.begin() + MetricStore::kPointsPerAnswerMax, steps.end());
  const int64_t first = *std::min_element(steps.begin(), steps.end());
  to_step = std::max(first + 1, steps[MetricStore::kPointsPerAnswerMax]);
  for (auto& points : columns) {
    std::erase_if(points, [&](const MetricPoint& point) { return point.step >= to_step; });
  }
}

}  // namespace

// --- Metrics ----------------------------------------------------------------------

grpc::Status MetricService::ListMetrics(grpc::ServerContext* context,
                                        const v1::ListMetricsRequest* request,
                                        v1::ListMetricsResponse* response) {
  return dispatch_.Run(context, Role::kViewer, [&](const Caller&) -> absl::Status {
    CVT_ASSIGN_OR_RETURN(const TrialName trial, TrialName::Parse(request->trial()));
    CVT_RETURN_IF_ERROR(LineageOfTrial(dispatch_, trial).status());
    CVT_ASSIGN_OR_RETURN(const std::vector<std::string> names, store_.ListMetrics(trial));
    *response->mutable_metrics() = {names.begin(), names.end()};
    return absl::OkStatus();
  });
}

grpc::Status MetricService::QueryMetrics(grpc::ServerContext* context,
                                         const v1::QueryMetricsRequest* request,
                                         v1::QueryMetricsResponse* response) {
  return dispatch_.Run(context, Role::kViewer,
                       [&](const Caller&) { return Query(*request, response); });
}

absl::Status MetricService::Query(const v1::QueryMetricsRequest& request,
                                  v1::QueryMetricsResponse* response) {
  if (request.max_points() < 0 || request.from_step() < 0 || request.to_step() < 0) {
    return FieldViolations(
        {{.field = "max_points, from_step, to_step", .rule = "must not be negative", .value = ""}});
  }
  CVT_ASSIGN_OR_RETURN(const TrialName trial, TrialName::Parse(request.trial()));
  CVT_ASSIGN_OR_RETURN(const std::vector<LineagePart> lineage, LineageOfTrial(dispatch_, trial));
  const std::set<std::string> asked(request.metrics().begin(), request.metrics().end());
  std::vector<std::string> names(asked.begin(), asked.end());
  if (names.size() > limits::kMetricsPerTrialMax) {
    return LimitExceeded("kMetricsPerTrialMax",
                         absl::StrCat("metrics: at most ", limits::kMetricsPerTrialMax,
                                      " names, got ", names.size()));
  }
  if (names.empty()) {
    CVT_ASSIGN_OR_RETURN(names, store_.ListMetrics(trial));
  }
  const int points_max =
      std::min(request.max_points(), static_cast<int>(MetricStore::kPointsPerAnswerMax));
  // All series of an answer end at the same step, so that `next_step` is one.
  int64_t to_step =
      request.to_step() == 0 ? std::numeric_limits<int64_t>::max() : request.to_step();
  std::vector<std::vector<MetricPoint>> columns;
  for (const std::string& name : names) {
    CVT_ASSIGN_OR_RETURN(MetricAnswer answer, store_.Query({.trial = trial,
                                                            .metric = name,
                                                            .lineage = lineage,
                                                            .from_step = request.from_step(),
                                                            .to_step = to_step,
                                                            .points_max = points_max}));
    if (answer.next_step != 0) to_step = answer.next_step;
    columns.push_back(std::move(answer.points));
    CutToBudget(columns, to_step);
    if (to_step != std::numeric_limits<int64_t>::max() && to_step != request.to_step()) {
      response->set_next_step(to_step);
    }
  }
  for (size_t i = 0; i < names.size(); ++i) {
    v1::MetricSeries& series = *response->add_series();
    series.set_metric(names[i]);
    for (const MetricPoint& point : columns[i]) {
      if (point.step >= to_step) break;
      series.add_steps(point.step);
      series.add_values(point.value);
    }
  }
  return absl::OkStatus();
}

// --- Logs ---------------------------------------------------------------------------

grpc::Status LogService::ListLogLines(grpc::ServerContext* context,
                                      const v1::ListLogLinesRequest* request,
                                      v1::ListLogLinesResponse* response) {
  return dispatch_.Run(context, Role::kViewer,
                       [&](const Caller& caller) { return List(caller, *request, response); });
}

absl::Status LogService::List(const Caller& caller, const v1::ListLogLinesRequest& request,
                              v1::ListLogLinesResponse* response) {
  CVT_ASSIGN_OR_RETURN(const TrialName trial, TrialName::Parse(request.trial()));
  if (request.page_size() < 0 || request.tail() < 0 || request.attempt() < 0) {
    return FieldViolations(
        {{.field = "page_size, tail, attempt", .rule = "must not be negative", .value = ""}});
  }
  CVT_RETURN_IF_ERROR(LineageOfTrial(dispatch_, trial).status());
  const std::string query =
      absl::StrCat("ListLogLines/", caller.identity, "/", request.trial(), "/", request.attempt(),
                   "/", request.has_rank() ? request.rank() : -1, "/", request.level_min());
  LogQuery lookup;
  lookup.trial = trial;
  lookup.tail = request.tail();
  if (!request.page_token().empty()) {
    CVT_ASSIGN_OR_RETURN(const std::string position, tokens_.Open(query, request.page_token()));
    if (!absl::SimpleAtoi(position, &lookup.after)) {
      return InvalidArgument(Reason::kBadPageToken, "page_token: leave it out to begin anew");
    }
    lookup.tail = 0;
  }
  lookup.lines_max = static_cast<size_t>(
      request.page_size() == 0 ? kLogPageDefault : std::min(request.page_size(), kLogPageMax));
  lookup.attempt = request.attempt();
  if (request.has_rank()) lookup.rank = request.rank();
  lookup.level_min = request.level_min();
  CVT_ASSIGN_OR_RETURN(LogAnswer answer, store_.List(lookup));

  size_t bytes = 0;
  for (const TrialLogLine& line : answer.lines) {
    bytes += line.text.size();
    if (bytes > kLogAnswerBytesMax && response->lines_size() > 0) {
      answer.after = response->lines(response->lines_size() - 1).sequence();
      answer.at_end = false;
      break;
    }
    v1::LogLine& out = *response->add_lines();
    out.set_sequence(line.sequence);
    *out.mutable_time() = ToTimestamp(line.time);
    out.set_level(static_cast<v1::LogLevel>(line.level));
    out.set_attempt(line.attempt);
    out.set_rank(line.rank);
    out.set_text(line.text);
  }
  response->set_next_page_token(tokens_.Seal(query, absl::StrCat(answer.after)));
  response->set_at_end(answer.at_end);
  return absl::OkStatus();
}

// --- Checkpoints ----------------------------------------------------------------------

grpc::Status CheckpointService::GetCheckpoint(grpc::ServerContext* context,
                                              const v1::GetCheckpointRequest* request,
                                              v1::GetCheckpointResponse* response) {
  return dispatch_.Run(context, Role::kViewer, [&](const Caller&) {
    return dispatch_.Fill(
        response, [&](const View& view) { return coordinator::GetCheckpoint(view, *request); });
  });
}

grpc::Status CheckpointService::ListCheckpoints(grpc::ServerContext* context,
                                                const v1::ListCheckpointsRequest* request,
                                                v1::ListCheckpointsResponse* response) {
  return dispatch_.Run(context, Role::kViewer, [&](const Caller& caller) {
    return dispatch_.Fill(response, [&](const View& view) {
      return coordinator::ListCheckpoints(view, tokens_, caller.identity, *request);
    });
  });
}

absl::StatusOr<v1::Checkpoint> CheckpointService::Find(const std::string& name) {
  v1::GetCheckpointRequest request;
  request.set_name(name);
  v1::GetCheckpointResponse response;
  CVT_RETURN_IF_ERROR(dispatch_.Fill(
      &response, [&](const View& view) { return coordinator::GetCheckpoint(view, request); }));
  return response.checkpoint();
}

absl::StatusOr<int> CheckpointService::CountTensors(const CheckpointName& name) {
  std::string prefix;
  while (true) {
    CVT_ASSIGN_OR_RETURN(const CheckpointChunk chunk,
                         store_.Read(name.uuid(), static_cast<int64_t>(prefix.size())));
    prefix += chunk.bytes;
    const auto manifest = formats::ReadManifest(prefix, name.ToString());
    if (manifest.ok()) return manifest->tensors_size();
    if (!absl::IsOutOfRange(manifest.status())) return manifest.status();
    if (chunk.bytes.empty()) {
      return DataLoss(Reason::kCheckpointBad,
                      absl::StrCat(name.ToString(), ": ends within its manifest"));
    }
  }
}

absl::Status CheckpointService::Verify(const std::string& name,
                                       v1::VerifyCheckpointResponse* response) {
  CVT_ASSIGN_OR_RETURN(const v1::Checkpoint checkpoint, Find(name));
  CVT_ASSIGN_OR_RETURN(const CheckpointName parsed, CheckpointName::Parse(name));
  CVT_ASSIGN_OR_RETURN(const CheckpointInfo info, store_.Verify(parsed.uuid()));
  if (info.digest != checkpoint.digest()) {
    return DataLoss(Reason::kCheckpointBad,
                    absl::StrCat(name, ": has digest ", info.digest, ", the journal says ",
                                 checkpoint.digest()));
  }
  CVT_ASSIGN_OR_RETURN(const int tensors, CountTensors(parsed));
  response->set_size_bytes(info.size_bytes);
  response->set_digest(info.digest);
  response->set_tensors(tensors);
  return absl::OkStatus();
}

grpc::Status CheckpointService::VerifyCheckpoint(grpc::ServerContext* context,
                                                 const v1::VerifyCheckpointRequest* request,
                                                 v1::VerifyCheckpointResponse* response) {
  return dispatch_.Run(context, Role::kViewer,
                       [&](const Caller&) { return Verify(request->name(), response); });
}

grpc::Status CheckpointService::DownloadCheckpoint(
    grpc::ServerContext* context, const v1::DownloadCheckpointRequest* request,
    grpc::ServerWriter<v1::DownloadCheckpointResponse>* writer) {
  return dispatch_.Run(context, Role::kViewer, [&](const Caller&) -> absl::Status {
    CVT_RETURN_IF_ERROR(Find(request->name()).status());
    return SendCheckpoint(store_, request->name(), request->offset(),
                          [writer](const CheckpointChunk& chunk) {
                            v1::DownloadCheckpointResponse response;
                            response.set_chunk(chunk.bytes);
                            response.set_crc32c(chunk.crc32c);
                            return writer->Write(response);
                          });
  });
}

grpc::Status CheckpointService::ImportCheckpoint(
    grpc::ServerContext* context, grpc::ServerReader<v1::ImportCheckpointRequest>* reader,
    v1::ImportCheckpointResponse* response) {
  return dispatch_.Run(context, Role::kSubmitter, [&](const Caller& caller) {
    return coordinator::ImportCheckpoint(dispatch_, store_, caller, reader, response);
  });
}

// Makes room, so it may use what is kept free on a full disk. The bytes go after the event.
grpc::Status CheckpointService::DeleteCheckpoint(grpc::ServerContext* context,
                                                 const v1::DeleteCheckpointRequest* request,
                                                 v1::DeleteCheckpointResponse*) {
  return dispatch_.Run(context, Role::kSubmitter, [&](const Caller& caller) -> absl::Status {
    CVT_RETURN_IF_ERROR(Dispatch::CheckRequestId(request->request_id()));
    return dispatch_
        .CommitAndWait(caller,
                       {.id = request->request_id(),
                        .fingerprint = Fingerprint("DeleteCheckpoint", caller, *request)},
                       [request](const ClusterState& state, absl::Time now) {
                         return DecideDeleteCheckpoint(state, *request, now);
                       })
        .status();
  });
}

// --- Data sets -------------------------------------------------------------------------

grpc::Status DatasetService::BeginDatasetVersion(grpc::ServerContext* context,
                                                 const v1::BeginDatasetVersionRequest* request,
                                                 v1::BeginDatasetVersionResponse* response) {
  return dispatch_.Run(context, Role::kSubmitter,
                       [&](const Caller&) { return Begin(*request, response); });
}

absl::Status DatasetService::Begin(const v1::BeginDatasetVersionRequest& request,
                                   v1::BeginDatasetVersionResponse* response) {
  CVT_RETURN_IF_ERROR(ValidateLabelName("dataset", request.dataset()));
  CVT_RETURN_IF_ERROR(Dispatch::CheckRequestId(request.request_id()));
  CVT_ASSIGN_OR_RETURN(const Uuid id, Uuid::Parse(request.request_id()));
  CVT_ASSIGN_OR_RETURN(const std::vector<std::string> arrived, store_.Begin(id));
  *response->mutable_arrived() = {arrived.begin(), arrived.end()};
  return absl::OkStatus();
}

grpc::Status DatasetService::UploadShard(grpc::ServerContext* context,
                                         grpc::ServerReader<v1::UploadShardRequest>* reader,
                                         v1::UploadShardResponse*) {
  return dispatch_.Run(context, Role::kSubmitter, [&](const Caller&) { return Upload(reader); });
}

absl::Status DatasetService::Upload(grpc::ServerReader<v1::UploadShardRequest>* reader) {
  v1::UploadShardRequest message;
  if (!reader->Read(&message) || !message.has_header()) {
    return InvalidArgument(Reason::kFieldInvalid,
                           "the first message of an upload must be a header");
  }
  CVT_ASSIGN_OR_RETURN(const Uuid id, Uuid::Parse(message.header().request_id()));
  CVT_ASSIGN_OR_RETURN(const auto writer,
                       store_.Upload(id, {.digest = message.header().digest(),
                                          .size_bytes = message.header().size_bytes()}));
  if (writer == nullptr) return absl::OkStatus();  // its bytes are here
  while (reader->Read(&message)) {
    CVT_RETURN_IF_ERROR(writer->Append(message.chunk()));
  }
  return writer->Finish();
}

grpc::Status DatasetService::CommitDatasetVersion(grpc::ServerContext* context,
                                                  const v1::CommitDatasetVersionRequest* request,
                                                  v1::CommitDatasetVersionResponse* response) {
  return dispatch_.Run(context, Role::kSubmitter,
                       [&](const Caller& caller) { return Commit(caller, *request, response); });
}

absl::Status DatasetService::Commit(const Caller& caller,
                                    const v1::CommitDatasetVersionRequest& request,
                                    v1::CommitDatasetVersionResponse* response) {
  CVT_RETURN_IF_ERROR(Dispatch::CheckRequestId(request.request_id()));
  CVT_ASSIGN_OR_RETURN(const Uuid id, Uuid::Parse(request.request_id()));
  CVT_ASSIGN_OR_RETURN(const std::vector<std::string> arrived, store_.Arrived(id));
  const auto reply = [&](const View& view, const Answer& answer) {
    const auto name = DatasetVersionName::Parse(answer.resource);
    if (!name.ok()) return;
    const auto version = view.state().FindDatasetVersion(*name);
    if (version.ok()) *response->mutable_version() = **version;
  };
  return dispatch_
      .CommitAndWait(
          caller,
          {.id = request.request_id(),
           .fingerprint = Fingerprint("CommitDatasetVersion", caller, request)},
          dispatch_.IfThereIsSpace([&](const ClusterState& state, absl::Time now) -> Decision {
            // Not for a repetition: what it names may be long gone from the list of arrivals.
            CVT_RETURN_IF_ERROR(CheckArrived(request.version(), arrived));
            return DecideCommitDataset(state, request, now);
          }),
          reply)
      .status();
}

grpc::Status DatasetService::GetDataset(grpc::ServerContext* context,
                                        const v1::GetDatasetRequest* request,
                                        v1::GetDatasetResponse* response) {
  return dispatch_.Run(context, Role::kViewer, [&](const Caller&) {
    return dispatch_.Fill(
        response, [&](const View& view) { return coordinator::GetDataset(view, *request); });
  });
}

grpc::Status DatasetService::ListDatasets(grpc::ServerContext* context,
                                          const v1::ListDatasetsRequest* request,
                                          v1::ListDatasetsResponse* response) {
  return dispatch_.Run(context, Role::kViewer, [&](const Caller& caller) {
    return dispatch_.Fill(response, [&](const View& view) {
      return coordinator::ListDatasets(view, tokens_, caller.identity, *request);
    });
  });
}

grpc::Status DatasetService::ListDatasetVersions(grpc::ServerContext* context,
                                                 const v1::ListDatasetVersionsRequest* request,
                                                 v1::ListDatasetVersionsResponse* response) {
  return dispatch_.Run(context, Role::kViewer, [&](const Caller& caller) {
    return dispatch_.Fill(response, [&](const View& view) {
      return coordinator::ListDatasetVersions(view, tokens_, caller.identity, *request);
    });
  });
}

grpc::Status DatasetService::GetDatasetVersion(grpc::ServerContext* context,
                                               const v1::GetDatasetVersionRequest* request,
                                               v1::GetDatasetVersionResponse* response) {
  return dispatch_.Run(context, Role::kViewer, [&](const Caller&) {
    return dispatch_.Fill(
        response, [&](const View& view) { return coordinator::GetDatasetVersion(view, *request); });
  });
}

grpc::Status DatasetService::ReadShard(grpc::ServerContext* context,
                                       const v1::ReadShardRequest* request,
                                       grpc::ServerWriter<v1::ReadShardResponse>* writer) {
  return dispatch_.Run(context, Role::kViewer, [&](const Caller&) -> absl::Status {
    CVT_ASSIGN_OR_RETURN(const std::string digest, DigestOf(*request));
    return SendShard(store_, digest, {.offset = request->offset(), .length = request->length()},
                     [writer](const std::string& bytes, uint32_t crc32c) {
                       v1::ReadShardResponse response;
                       response.set_data(bytes);
                       response.set_crc32c(crc32c);
                       return writer->Write(response);
                     });
  });
}

absl::StatusOr<std::string> DatasetService::DigestOf(const v1::ReadShardRequest& request) {
  CVT_ASSIGN_OR_RETURN(const DatasetVersionName name, DatasetVersionName::Parse(request.version()));
  return dispatch_.ReadAndWait<std::string>([&](const View& view) -> absl::StatusOr<std::string> {
    CVT_ASSIGN_OR_RETURN(const v1::DatasetVersion* version, view.state().FindDatasetVersion(name));
    if (request.index() >= 0 && request.index() < version->shards_size()) {
      return version->shards(request.index()).digest();  // they are numbered by position
    }
    return NotFound(Reason::kShardNotFound,
                    absl::StrCat(version->name(), ": has no shard ", request.index(),
                                 "; there are ", version->shards_size(), ", from 0 on"));
  });
}

}  // namespace cvtrain::coordinator
