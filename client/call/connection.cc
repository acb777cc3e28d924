#include "client/call/connection.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/call/pages.h"
#include "common/crc32c.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/rpc/channel.h"
#include "common/rpc/status.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "cvtrain/v1/checkpoint.grpc.pb.h"
#include "cvtrain/v1/cluster.grpc.pb.h"
#include "cvtrain/v1/dataset.grpc.pb.h"
#include "cvtrain/v1/experiment.grpc.pb.h"
#include "cvtrain/v1/log.grpc.pb.h"
#include "cvtrain/v1/metric.grpc.pb.h"
#include "cvtrain/v1/queue.grpc.pb.h"
#include "cvtrain/v1/trial.grpc.pb.h"
#include "cvtrain/v1/worker.grpc.pb.h"

namespace cvtrain::client {
namespace {

constexpr size_t kChunkBytes = size_t{1} << 20;
// Between two tries of a call that found nobody.
constexpr absl::Duration kRetryPause = absl::Milliseconds(200);
// A stream may take as long as its bytes need, but not for ever.
constexpr absl::Duration kStreamTimeout = absl::Hours(2);

// Hands the bytes of a stream's messages on, in order, once their CRC is right; `bad` is what they
// are else.
template <typename Response>
absl::Status Receive(grpc::ClientContext& context, grpc::ClientReader<Response>& reader,
                     const std::string& (Response::*bytes)() const, Reason bad,
                     absl::string_view name,
                     const std::function<absl::Status(absl::string_view)>& chunk) {
  Response response;
  uint64_t offset = 0;
  absl::Status status;
  while (status.ok() && reader.Read(&response)) {
    const std::string& piece = (response.*bytes)();
    if (Crc32c(piece) != response.crc32c()) {
      status = DataLoss(bad, absl::StrCat(name, ": the bytes at offset ", offset,
                                          " were damaged on the way; try again"));
    } else {
      status = chunk(piece);
    }
    offset += piece.size();
  }
  if (!status.ok()) context.TryCancel();
  const absl::Status finished = FromGrpcStatus(reader.Finish());
  return status.ok() ? finished : status;
}

}  // namespace

bool IsOutage(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

class Connection::Impl {
 public:
  Impl(const Cli& cli, const ConnectionOptions& options,
       const std::shared_ptr<grpc::Channel>& channel)
      : cli_(cli), options_(options), channel_(channel) {}

  // One try, which Ctrl-C cancels.
  absl::Status Call(absl::Duration timeout,
                    const std::function<absl::Status(grpc::ClientContext&)>& call) const {
    grpc::ClientContext context;
    context.set_deadline(DeadlineAfter(timeout));
    const std::stop_callback cancel(cli_.stop, [&context] { context.TryCancel(); });
    const absl::Status status = call(context);
    return !status.ok() && cli_.stop.stop_requested() ? Interrupted() : status;
  }

  // `once` makes one try with the time that is left.
  absl::Status Repeat(const std::function<absl::Status(absl::Duration left)>& once) const {
    const absl::Duration end = cli_.clock.SteadyNow() + options_.timeout;
    while (true) {
      const absl::Status status =
          once(std::max(absl::Milliseconds(100), end - cli_.clock.SteadyNow()));
      if (!absl::IsUnavailable(status)) return Explain(status);
      if (cli_.clock.SteadyNow() + kRetryPause >= end) return Explain(status);
      if (!cli_.sleep(kRetryPause)) return Interrupted();
    }
  }

  absl::Status Explain(const absl::Status& status) const {
    if (ReasonOf(status) == Reason::kDeadline && absl::IsDeadlineExceeded(status) &&
        !options_.timeout_given) {
      return Unavailable(
          Reason::kServerUnreachable,
          absl::StrCat("the coordinator at ", options_.address, " did not answer within ",
                       FormatElapsed(options_.timeout), "; --timeout allows it more"));
    }
    if (ReasonOf(status) != Reason::kServerUnreachable) return status;
    const char* way_out = IsLocalAddress(options_.address)
                              ? "`cvctl local up` starts one, --server names another"
                              : "--server names another";
    return Unavailable(Reason::kServerUnreachable,
                       absl::StrCat("no coordinator answers at ", options_.address, " (",
                                    status.message(), "); ", way_out));
  }

  const Cli& cli_;
  ConnectionOptions options_;
  const std::shared_ptr<grpc::Channel> channel_;
};

Connection::Connection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Connection::~Connection() = default;

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(const Cli& cli,
                                                             const ConnectionOptions& options) {
  CVT_ASSIGN_OR_RETURN(auto channel, OpenChannel(options.address, options.tls, cli.files));
  return std::unique_ptr<Connection>(new Connection(std::make_unique<Impl>(cli, options, channel)));
}

const std::string& Connection::address() const { return impl_->options_.address; }

void Connection::LimitCalls(absl::Duration timeout) {
  impl_->options_.timeout = std::min(impl_->options_.timeout, timeout);
}

#define CVTRAIN_DEFINE_CALL(service, method)                                                    \
  absl::StatusOr<v1::method##Response> Connection::method(const v1::method##Request& request) { \
    const auto stub = v1::service::NewStub(impl_->channel_);                                    \
    v1::method##Response response;                                                              \
    CVT_RETURN_IF_ERROR(impl_->Repeat([&](absl::Duration left) {                                \
      return impl_->Call(left, [&](grpc::ClientContext& context) {                              \
        return FromGrpcStatus(stub->method(&context, request, &response));                      \
      });                                                                                       \
    }));                                                                                        \
    return response;                                                                            \
  }
CVTRAIN_CLIENT_CALLS(CVTRAIN_DEFINE_CALL)
#undef CVTRAIN_DEFINE_CALL

bool Connection::Answers(absl::Duration timeout) {
  const auto stub = v1::ClusterService::NewStub(impl_->channel_);
  v1::GetClusterResponse response;
  return impl_
      ->Call(
          timeout,
          [&](grpc::ClientContext& context) {
            return FromGrpcStatus(stub->GetCluster(&context, v1::GetClusterRequest(), &response));
          })
      .ok();
}

absl::Status Connection::DownloadCheckpoint(
    const std::string& name, const std::function<absl::Status(absl::string_view)>& chunk) {
  const auto stub = v1::CheckpointService::NewStub(impl_->channel_);
  v1::DownloadCheckpointRequest request;
  request.set_name(name);
  const absl::Status end = impl_->Call(kStreamTimeout, [&](grpc::ClientContext& context) {
    const auto reader = stub->DownloadCheckpoint(&context, request);
    return Receive(context, *reader, &v1::DownloadCheckpointResponse::chunk, Reason::kCheckpointBad,
                   name, chunk);
  });
  return impl_->Explain(end);
}

absl::StatusOr<v1::Checkpoint> Connection::ImportCheckpoint(
    const v1::ImportCheckpointHeader& header,
    const std::function<absl::Status(const std::function<absl::Status(absl::string_view)>& sink)>&
        write) {
  const auto stub = v1::CheckpointService::NewStub(impl_->channel_);
  v1::ImportCheckpointResponse response;
  const auto send = [&](grpc::ClientContext& context) -> absl::Status {
    const auto writer = stub->ImportCheckpoint(&context, &response);
    v1::ImportCheckpointRequest message;
    *message.mutable_header() = header;
    bool open = writer->Write(message);
    const absl::Status written = write([&](absl::string_view piece) {
      message.mutable_chunk()->set_data(piece.data(), piece.size());
      message.mutable_chunk()->set_crc32c(Crc32c(piece));
      open = open && writer->Write(message);
      return open ? absl::OkStatus() : Unavailable(Reason::kPeerGone, "the stream has ended");
    });
    // A stream that the coordinator has ended has its answer already: Finish() says which.
    if (open && !written.ok()) {
      context.TryCancel();
      writer->Finish();  // of what was just cancelled
      return written;
    }
    writer->WritesDone();
    return FromGrpcStatus(writer->Finish());
  };
  CVT_RETURN_IF_ERROR(
      impl_->Repeat([&](absl::Duration) { return impl_->Call(kStreamTimeout, send); }));
  return std::move(*response.mutable_checkpoint());
}

absl::Status Connection::UploadShard(const std::string& request_id, const v1::Shard& shard,
                                     const std::string& path) {
  const auto stub = v1::DatasetService::NewStub(impl_->channel_);
  CVT_ASSIGN_OR_RETURN(auto file, impl_->cli_.files.NewRandomAccessFile(path));
  const auto send = [&](grpc::ClientContext& context) -> absl::Status {
    v1::UploadShardResponse response;
    const auto writer = stub->UploadShard(&context, &response);
    v1::UploadShardRequest message;
    message.mutable_header()->set_request_id(request_id);
    message.mutable_header()->set_digest(shard.digest());
    message.mutable_header()->set_size_bytes(shard.size_bytes());
    bool open = writer->Write(message);
    std::string buffer(kChunkBytes, '\0');
    for (uint64_t offset = 0; open && offset < static_cast<uint64_t>(shard.size_bytes());) {
      CVT_ASSIGN_OR_RETURN(const size_t got, file->Read(offset, absl::MakeSpan(buffer)));
      if (got == 0) {
        context.TryCancel();
        return DataLoss(Reason::kShardBad, absl::StrCat(path, ": ends at ", offset, " of ",
                                                        shard.size_bytes(), " bytes"));
      }
      message.set_chunk(buffer.data(), got);
      open = writer->Write(message);
      offset += got;
    }
    writer->WritesDone();
    return FromGrpcStatus(writer->Finish());
  };
  return impl_->Repeat([&](absl::Duration) { return impl_->Call(kStreamTimeout, send); });
}

absl::Status Connection::ReadShard(const std::string& version, int32_t index, uint64_t offset,
                                   uint64_t length,
                                   const std::function<absl::Status(absl::string_view)>& chunk) {
  const auto stub = v1::DatasetService::NewStub(impl_->channel_);
  v1::ReadShardRequest request;
  request.set_version(version);
  request.set_index(index);
  request.set_offset(static_cast<int64_t>(offset));
  request.set_length(static_cast<int64_t>(length));
  const absl::Status end = impl_->Call(kStreamTimeout, [&](grpc::ClientContext& context) {
    const auto reader = stub->ReadShard(&context, request);
    return Receive(context, *reader, &v1::ReadShardResponse::data, Reason::kShardBad,
                   absl::StrCat("shard ", index, " of ", version), chunk);
  });
  return impl_->Explain(end);
}

absl::StatusOr<std::vector<v1::Trial>> Connection::AllTrials(const std::string& parent) {
  v1::ListTrialsRequest request;
  request.set_parent(parent);
  std::vector<v1::Trial> trials;
  CVT_RETURN_IF_ERROR(
      ForEachPage(*this, &Connection::ListTrials, request, [&](v1::ListTrialsResponse response) {
        for (v1::Trial& one : *response.mutable_trials()) trials.push_back(std::move(one));
        return true;
      }));
  return trials;
}

}  // namespace cvtrain::client
