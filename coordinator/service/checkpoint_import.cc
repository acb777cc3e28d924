// Weights become a checkpoint of the cluster in these steps, so that they are whole or absent:
//   1. the header is decided on, without an event: a repetition gets its answer, and what would be
//      refused is refused before its bytes are sent;
//   2. the bytes are staged, and checked on their way; a crash leaves staging files, which the next
//      start removes;
//   3. they turned out to be a checkpoint: the tables are ingested, durable, and garbage while no
//      event names them; the next start removes garbage;
//   4. the event is journaled: now it exists.
// Only after 4 the client hears OK. From 2 to 4 nobody else can upload under this id.

#include "coordinator/service/checkpoint_import.h"

#include <grpcpp/impl/codegen/proto_utils.h>  // how streams read messages of protobuf
#include <grpcpp/support/sync_stream.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/ids.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "coordinator/engine/views.h"
#include "coordinator/state/decide_checkpoint.h"
#include "cvtrain/storage/v1/checkpoint.pb.h"
#include "formats/checkpoint/checkpoint_stream.h"

namespace cvtrain::coordinator {
namespace {

class Import {
 public:
  Import(Dispatch& dispatch, CheckpointStore& store, const Caller& caller,
         v1::ImportCheckpointHeader header, const CheckpointName& name)
      : dispatch_(dispatch),
        store_(store),
        caller_(caller),
        header_(std::move(header)),
        name_(name) {}

  absl::Status Run(grpc::ServerReader<v1::ImportCheckpointRequest>* reader,
                   v1::ImportCheckpointResponse* response) {
    CVT_ASSIGN_OR_RETURN(const bool is_new, Ask(response));
    if (!is_new) return absl::OkStatus();
    CVT_ASSIGN_OR_RETURN(const std::unique_ptr<CheckpointWriter> writer,
                         store_.Begin(name_.uuid(), header_.size_bytes()));
    CVT_RETURN_IF_ERROR(Store(reader, *writer));
    const absl::Status committed = Commit(response);
    // Bytes whose event will not be made would take up the quota until the next start.
    if (!committed.ok() && !absl::IsUnavailable(committed)) Discard(*writer);
    return committed;
  }

 private:
  // Whether it is a new import; if it is not, `response` is filled.
  absl::StatusOr<bool> Ask(v1::ImportCheckpointResponse* response) {
    bool is_new = false;
    const auto decide = [this, &is_new](const ClusterState& state, absl::Time now) -> Decision {
      CVT_ASSIGN_OR_RETURN(Decided decided, DecideImportCheckpoint(state, header_, now));
      is_new = decided.event.has_value();
      decided.event.reset();
      return decided;
    };
    const absl::Status status = Decide(dispatch_.IfThereIsSpace(decide), response);
    if (is_new) return true;
    CVT_RETURN_IF_ERROR(status);
    return false;
  }

  absl::Status Commit(v1::ImportCheckpointResponse* response) {
    return Decide([this](const ClusterState& state,
                         absl::Time now) { return DecideImportCheckpoint(state, header_, now); },
                  response);
  }

  absl::Status Decide(Dispatch::DecideFunction decide, v1::ImportCheckpointResponse* response) {
    absl::Status found;
    const auto reply = [&](const View& view, const Answer&) {
      // It may have been deleted since the request that this one repeats.
      const auto record = view.state().FindCheckpoint(name_);
      found = record.status();
      if (record.ok()) *response->mutable_checkpoint() = ToProto(view, name_, **record);
    };
    CVT_RETURN_IF_ERROR(
        dispatch_
            .CommitAndWait(caller_,
                           {.id = header_.request_id(),
                            .fingerprint = Fingerprint("ImportCheckpoint", caller_, header_)},
                           std::move(decide), reply)
            .status());
    return found;
  }

  absl::Status Store(grpc::ServerReader<v1::ImportCheckpointRequest>* reader,
                     CheckpointWriter& writer) {
    formats::CheckpointStreamCheck check(name_.ToString());
    v1::ImportCheckpointRequest message;
    while (reader->Read(&message)) {
      if (!message.has_chunk()) {
        return InvalidArgument(Reason::kFieldInvalid, "an import has one header, then chunks");
      }
      CVT_RETURN_IF_ERROR(writer.Append(message.chunk().data(), message.chunk().crc32c()));
      CVT_RETURN_IF_ERROR(check.Update(message.chunk().data()));
    }
    if (writer.offset() == header_.size_bytes()) {
      CVT_ASSIGN_OR_RETURN(const storage::v1::CheckpointManifest manifest, check.Finish());
      CVT_RETURN_IF_ERROR(CheckManifest(manifest));
    }
    return writer.Finish(header_.digest());  // says so if bytes are missing
  }

  absl::Status CheckManifest(const storage::v1::CheckpointManifest& manifest) const {
    if (manifest.checkpoint() == name_.ToString() && manifest.trial().empty() &&
        manifest.attempt().empty()) {
      return absl::OkStatus();
    }
    return InvalidArgument(
        Reason::kFieldInvalid,
        absl::StrCat(name_.ToString(), ": the file must name this checkpoint, and no trial"));
  }

  void Discard(CheckpointWriter& writer) const {
    const absl::Status discarded = writer.Discard();
    if (!discarded.ok()) {
      CVT_LOG(kError, "cannot remove a refused checkpoint's bytes")
          .Field("checkpoint", name_.ToString())
          .Field("status", discarded.ToString());
    }
  }

  Dispatch& dispatch_;
  CheckpointStore& store_;
  const Caller& caller_;
  const v1::ImportCheckpointHeader header_;
  const CheckpointName name_;
};

}  // namespace

absl::Status ImportCheckpoint(Dispatch& dispatch, CheckpointStore& store, const Caller& caller,
                              grpc::ServerReader<v1::ImportCheckpointRequest>* reader,
                              v1::ImportCheckpointResponse* response) {
  v1::ImportCheckpointRequest message;
  if (!reader->Read(&message) || !message.has_header()) {
    return InvalidArgument(Reason::kFieldInvalid,
                           "the first message of an import must be a header");
  }
  CVT_RETURN_IF_ERROR(Dispatch::CheckRequestId(message.header().request_id()));
  CVT_ASSIGN_OR_RETURN(const Uuid id, Uuid::Parse(message.header().request_id()));
  return Import(dispatch, store, caller, message.header(), CheckpointName(id))
      .Run(reader, response);
}

}  // namespace cvtrain::coordinator
