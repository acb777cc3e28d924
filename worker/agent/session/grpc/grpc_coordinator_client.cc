#include "worker/agent/session/grpc/grpc_coordinator_client.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <set>
#include <stop_token>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/crc32c.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/rpc/channel.h"
#include "common/rpc/status.h"
#include "cvtrain/session/v1/session.grpc.pb.h"
#include "worker/agent/session/grpc/connect_stream.h"

namespace cvtrain::worker {
namespace {

using session::v1::SessionService;

void SetDeadline(absl::Duration timeout, grpc::ClientContext& context) {
  context.set_deadline(DeadlineAfter(timeout));
}

class GrpcCoordinatorClient final : public CoordinatorClient {
 public:
  GrpcCoordinatorClient(std::shared_ptr<grpc::Channel> channel, const GrpcClientOptions& options)
      : options_(options), stub_(std::move(channel)) {}
  ~GrpcCoordinatorClient() override { Shutdown(); }

  void OpenStream(StreamListener& listener) override {
    CloseStream();
    {
      absl::MutexLock lock(&mu_);
      if (shut_down_) return;
      ++streams_;
    }
    ConnectStream* stream =
        ConnectStream::Open(stub_, listener, [this](ConnectStream* gone) { OnStreamGone(gone); });
    {
      absl::MutexLock lock(&mu_);
      opening_ = stream;
    }
    // From here on it may be gone at any time, which only Publish() knows.
    PublishStream(stream);
    listener.OnStreamOpened();
  }

  void SendOnStream(session::v1::ConnectRequest message) override {
    absl::MutexLock lock(&mu_);
    if (stream_ != nullptr) stream_->Send(std::move(message));
  }

  void CloseStream() override {
    absl::MutexLock lock(&mu_);
    if (stream_ != nullptr) std::exchange(stream_, nullptr)->Close();
  }

  void ReportFacts(session::v1::ReportFactsRequest request,
                   Callback<session::v1::ReportFactsResponse> done) override {
    Call<session::v1::ReportFactsRequest, session::v1::ReportFactsResponse>(
        std::move(request), options_.report_deadline, std::move(done),
        [this](auto... arguments) { stub_.async()->ReportFacts(arguments...); });
  }
  void ReportMetrics(session::v1::ReportMetricsRequest request,
                     Callback<session::v1::ReportMetricsResponse> done) override {
    Call<session::v1::ReportMetricsRequest, session::v1::ReportMetricsResponse>(
        std::move(request), options_.report_deadline, std::move(done),
        [this](auto... arguments) { stub_.async()->ReportMetrics(arguments...); });
  }
  void ReportLogs(session::v1::ReportLogsRequest request,
                  Callback<session::v1::ReportLogsResponse> done) override {
    Call<session::v1::ReportLogsRequest, session::v1::ReportLogsResponse>(
        std::move(request), options_.report_deadline, std::move(done),
        [this](auto... arguments) { stub_.async()->ReportLogs(arguments...); });
  }
  void AccessStore(session::v1::AccessStoreRequest request,
                   Callback<session::v1::AccessStoreResponse> done) override {
    const absl::Duration timeout = absl::Seconds(request.operation().timeout().seconds() + 1);
    Call<session::v1::AccessStoreRequest, session::v1::AccessStoreResponse>(
        std::move(request), options_.store_deadline + timeout, std::move(done),
        [this](auto... arguments) { stub_.async()->AccessStore(arguments...); });
  }

  absl::Status UploadCheckpoint(const session::v1::UploadCheckpointHeader& header,
                                const Source& source, const StopToken& stop) override;
  // The same with the header as it is: without chunks if it names shared memory.
  absl::Status Upload(const session::v1::UploadCheckpointHeader& header, const Source& source,
                      const StopToken& stop);
  absl::Status DownloadCheckpoint(const std::string& checkpoint, uint64_t offset, const Sink& sink,
                                  const StopToken& stop) override;
  absl::Status FetchShard(const std::string& digest, uint64_t offset, uint64_t length,
                          const Sink& sink, const StopToken& stop) override;

  void Shutdown() override ABSL_LOCKS_EXCLUDED(mu_) {
    CloseStream();
    absl::MutexLock lock(&mu_);
    shut_down_ = true;
    for (grpc::ClientContext* context : calls_) context->TryCancel();
    mu_.Await(absl::Condition(
        +[](GrpcCoordinatorClient* client) ABSL_EXCLUSIVE_LOCKS_REQUIRED(client->mu_) {
          return client->calls_.empty() && client->streams_ == 0;
        },
        this));
  }

 private:
  // A unary call under way.
  template <typename Request, typename Response>
  struct Pending {
    grpc::ClientContext context;
    Request request;
    Response response;
    Callback<Response> done;
  };

  template <typename Request, typename Response, typename Start>
  void Call(Request request, absl::Duration deadline, Callback<Response> done, Start start) {
    // Freed by the callback.
    auto* call = new Pending<Request, Response>();
    call->request = std::move(request);
    call->done = std::move(done);
    SetDeadline(deadline, call->context);
    if (!Register(call->context)) {
      call->done(Stopped());
      delete call;
      return;
    }
    start(&call->context, &call->request, &call->response, [this, call](grpc::Status status) {
      if (status.ok()) {
        call->done(std::move(call->response));
      } else {
        call->done(Translate(status, /*stopped=*/false));
      }
      Unregister(call->context);
      delete call;
    });
  }

  static absl::Status Stopped() { return Cancelled(Reason::kStopping, "the worker is stopping"); }

  // A call that we did not cancel was cancelled by a server that ends.
  absl::Status Translate(const grpc::Status& status, bool stopped) ABSL_LOCKS_EXCLUDED(mu_) {
    if (status.error_code() == grpc::StatusCode::CANCELLED) {
      absl::MutexLock lock(&mu_);
      if (stopped || shut_down_) return Stopped();
      return Unavailable(Reason::kPeerGone, "the coordinator is stopping");
    }
    return FromGrpcStatus(status);
  }

  bool Register(grpc::ClientContext& context) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    if (shut_down_) return false;
    calls_.insert(&context);
    return true;
  }
  void Unregister(grpc::ClientContext& context) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    calls_.erase(&context);
  }

  void PublishStream(ConnectStream* stream) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    if (opening_ != stream) return;  // gone already
    opening_ = nullptr;
    stream_ = stream;
    if (shut_down_) std::exchange(stream_, nullptr)->Close();
  }
  void OnStreamGone(ConnectStream* stream) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    if (stream_ == stream) stream_ = nullptr;
    if (opening_ == stream) opening_ = nullptr;
    --streams_;
  }

  // Reads pieces of a server stream into `sink`.
  template <typename Response, typename PieceOf>
  absl::Status Receive(grpc::ClientContext& context, grpc::ClientReader<Response>& reader,
                       const Sink& sink, Reason bad, const StopToken& stop, PieceOf piece_of);

  const GrpcClientOptions options_;
  SessionService::Stub stub_;

  absl::Mutex mu_;
  std::set<grpc::ClientContext*> calls_ ABSL_GUARDED_BY(mu_);
  int streams_ ABSL_GUARDED_BY(mu_) = 0;                   // that are not gone
  ConnectStream* opening_ ABSL_GUARDED_BY(mu_) = nullptr;  // made, not yet in use
  ConnectStream* stream_ ABSL_GUARDED_BY(mu_) = nullptr;   // in use
  bool shut_down_ ABSL_GUARDED_BY(mu_) = false;
};

absl::Status GrpcCoordinatorClient::UploadCheckpoint(
    const session::v1::UploadCheckpointHeader& header, const Source& source,
    const StopToken& stop) {
  if (header.has_shared() && options_.is_local) {
    const absl::Status uploaded = Upload(header, source, stop);
    if (!absl::IsFailedPrecondition(uploaded)) return uploaded;
  }
  session::v1::UploadCheckpointHeader with_chunks = header;
  with_chunks.clear_shared();
  return Upload(with_chunks, source, stop);
}

absl::Status GrpcCoordinatorClient::Upload(const session::v1::UploadCheckpointHeader& header,
                                           const Source& source, const StopToken& stop) {
  grpc::ClientContext context;
  SetDeadline(options_.transfer_deadline + absl::Seconds(static_cast<double>(header.size_bytes()) /
                                                         options_.upload_rate_min),
              context);
  if (!Register(context)) return Stopped();
  const absl::Status uploaded = [&]() -> absl::Status {
    std::stop_callback cancel(stop, [&] { context.TryCancel(); });
    session::v1::UploadCheckpointResponse response;
    const auto writer = stub_.UploadCheckpoint(&context, &response);
    session::v1::UploadCheckpointRequest message;
    *message.mutable_header() = header;
    bool sent = writer->Write(message);
    const auto size = header.has_shared() ? 0 : static_cast<uint64_t>(header.size_bytes());
    absl::Status read = absl::OkStatus();
    for (uint64_t offset = 0; sent && offset < size; offset += limits::kChunkSizeBytes) {
      const auto piece = source(
          offset, static_cast<size_t>(std::min<uint64_t>(limits::kChunkSizeBytes, size - offset)));
      if (!piece.ok()) {
        read = piece.status();
        context.TryCancel();
        break;
      }
      session::v1::CheckpointChunk& chunk = *message.mutable_chunk();
      chunk.set_data(piece->data(), piece->size());
      chunk.set_crc32c(Crc32c(*piece));
      sent = writer->Write(message);
    }
    if (sent) writer->WritesDone();
    const grpc::Status status = writer->Finish();
    if (!read.ok()) return read;
    return status.ok() ? absl::OkStatus() : Translate(status, stop.stop_requested());
  }();
  Unregister(context);
  return uploaded;
}

template <typename Response, typename PieceOf>
absl::Status GrpcCoordinatorClient::Receive(grpc::ClientContext& context,
                                            grpc::ClientReader<Response>& reader, const Sink& sink,
                                            Reason bad, const StopToken& stop, PieceOf piece_of) {
  std::stop_callback cancel(stop, [&] { context.TryCancel(); });
  Response response;
  absl::Status taken = absl::OkStatus();
  while (taken.ok() && reader.Read(&response)) {
    const auto& piece = piece_of(response);
    if (Crc32c(piece.data()) != piece.crc32c()) {
      taken = DataLoss(bad, "a piece was damaged on its way: its CRC32C does not agree");
    } else {
      taken = sink(piece.data());
    }
  }
  if (!taken.ok()) context.TryCancel();
  const grpc::Status status = reader.Finish();
  if (!taken.ok()) return taken;
  return status.ok() ? absl::OkStatus() : Translate(status, stop.stop_requested());
}

absl::Status GrpcCoordinatorClient::DownloadCheckpoint(const std::string& checkpoint,
                                                       uint64_t offset, const Sink& sink,
                                                       const StopToken& stop) {
  grpc::ClientContext context;
  SetDeadline(options_.transfer_deadline, context);
  if (!Register(context)) return Stopped();
  session::v1::DownloadCheckpointRequest request;
  request.set_worker(options_.worker);
  request.set_checkpoint(checkpoint);
  request.set_offset(static_cast<int64_t>(offset));
  const auto reader = stub_.DownloadCheckpoint(&context, request);
  const absl::Status received = Receive(
      context, *reader, sink, Reason::kCheckpointBad, stop,
      [](const session::v1::DownloadCheckpointResponse& response) -> const auto& {
        return response.chunk();
      });
  Unregister(context);
  return received;
}

absl::Status GrpcCoordinatorClient::FetchShard(const std::string& digest, uint64_t offset,
                                               uint64_t length, const Sink& sink,
                                               const StopToken& stop) {
  grpc::ClientContext context;
  SetDeadline(options_.transfer_deadline, context);
  if (!Register(context)) return Stopped();
  session::v1::FetchShardRequest request;
  request.set_worker(options_.worker);
  request.set_digest(digest);
  request.set_offset(static_cast<int64_t>(offset));
  request.set_length(static_cast<int64_t>(length));
  const auto reader = stub_.FetchShard(&context, request);
  const absl::Status received = Receive(
      context, *reader, sink, Reason::kShardBad, stop,
      [](const session::v1::FetchShardResponse& response) -> const auto& { return response; });
  Unregister(context);
  return received;
}

}  // namespace

std::unique_ptr<CoordinatorClient> MakeGrpcCoordinatorClient(std::shared_ptr<grpc::Channel> channel,
                                                             const GrpcClientOptions& options) {
  return std::make_unique<GrpcCoordinatorClient>(std::move(channel), options);
}

}  // namespace cvtrain::worker
