#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/crc32c.h"
#include "common/limits.h"
#include "common/rpc/channel.h"
#include "common/rpc/status.h"
#include "common/status_macros.h"
#include "common/uuid.h"
#include "cvtrain/v1/checkpoint.grpc.pb.h"
#include "formats/checkpoint/checkpoint.h"
#include "formats/checkpoint/checkpoint_stream.h"
#include "grpcpp/grpcpp.h"
#include "tests/crash/kill_actors.h"

namespace cvtrain {
namespace {

// That are there at the same time.
constexpr int kImportsMax = 20;

bool HasUnknownOutcome(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsCancelled(status);
}

// One in eight has several chunks.
SentImport MakeImport(Random& random) {
  SentImport made;
  made.uuid = Uuid::Random(random).ToString();
  const auto size = static_cast<int64_t>(random.NextU64() % 8 == 0 ? 2 * limits::kChunkSizeBytes
                                                                   : size_t{1} << 10);
  const auto layout = formats::CheckpointLayout::Plan(
      {{"w", storage::v1::Tensor::DATA_TYPE_U8, {size}, storage::v1::Tensor::ROLE_PARAMETER}});
  CVT_CHECK_OK(layout.status());
  formats::CheckpointManifest manifest;
  manifest.set_checkpoint("checkpoints/" + made.uuid);
  const std::string data(static_cast<size_t>(size), static_cast<char>(random.NextU64()));
  const auto digests = formats::WriteCheckpoint(
      *layout, manifest, [&](int, const formats::ByteSink& sink) { return sink(data); },
      [&](absl::string_view piece) {
        made.bytes.append(piece.data(), piece.size());
        return absl::OkStatus();
      });
  CVT_CHECK_OK(digests.status());
  made.digest = digests->file_digest;
  return made;
}

absl::Status Send(v1::CheckpointService::Stub& stub, const SentImport& import) {
  grpc::ClientContext context;
  context.set_deadline(DeadlineAfter(absl::Seconds(20)));
  v1::ImportCheckpointResponse response;
  const auto writer = stub.ImportCheckpoint(&context, &response);
  v1::ImportCheckpointRequest message;
  v1::ImportCheckpointHeader& header = *message.mutable_header();
  header.set_request_id(import.uuid);
  header.set_label("weights");
  header.set_size_bytes(static_cast<int64_t>(import.bytes.size()));
  header.set_digest(import.digest);
  bool open = writer->Write(message);
  for (size_t at = 0; open && at < import.bytes.size(); at += limits::kChunkSizeBytes) {
    const std::string piece = import.bytes.substr(at, limits::kChunkSizeBytes);
    message.mutable_chunk()->set_data(piece);
    message.mutable_chunk()->set_crc32c(Crc32c(piece));
    open = writer->Write(message);
  }
  writer->WritesDone();
  return FromGrpcStatus(writer->Finish());
}

absl::Status Delete(v1::CheckpointService::Stub& stub, const SentImport& import) {
  grpc::ClientContext context;
  context.set_deadline(DeadlineAfter(absl::Seconds(20)));
  v1::DeleteCheckpointRequest request;
  request.set_name("checkpoints/" + import.uuid);
  request.set_request_id(import.delete_id);
  v1::DeleteCheckpointResponse response;
  return FromGrpcStatus(stub.DeleteCheckpoint(&context, request, &response));
}

// The oldest whose deletion is to be asked for, again or because there are many; null: none.
SentImport* ToDelete(KillOracle& oracle, Random& random) {
  SentImport* oldest = nullptr;
  int there = 0;
  for (SentImport& import : oracle.imports) {
    if (!import.acknowledged || import.delete_acknowledged) continue;
    if (!import.delete_id.empty()) return &import;
    if (oldest == nullptr) oldest = &import;
    ++there;
  }
  if (there < kImportsMax) return nullptr;
  oracle.Note([&] { oldest->delete_id = Uuid::Random(random).ToString(); });
  return oldest;
}

// Imports the next, or the last one again.
absl::Status ImportOne(v1::CheckpointService::Stub& stub, KillOracle& oracle, Random& random) {
  if (oracle.imports.empty() || oracle.imports.back().acknowledged) {
    SentImport made = MakeImport(random);
    oracle.Note([&] { oracle.imports.push_back(std::move(made)); });
  }
  SentImport& import = oracle.imports.back();
  const absl::Status status = Send(stub, import);
  if (!status.ok()) return status;
  oracle.Acknowledge(absl::StrCat("import ", import.uuid), [&] {
    import.acknowledged = true;
    import.bytes.clear();
  });
  return absl::OkStatus();
}

}  // namespace

void RunImporter(const std::shared_ptr<grpc::Channel>& channel, KillOracle& oracle, Random& random,
                 const StopToken& stop) {
  const auto stub = v1::CheckpointService::NewStub(channel);
  while (!stop.stop_requested()) {
    absl::Status status = ImportOne(*stub, oracle, random);
    if (SentImport* import = status.ok() ? ToDelete(oracle, random) : nullptr) {
      status = Delete(*stub, *import);
      if (status.ok()) {
        oracle.Acknowledge(absl::StrCat("delete ", import->uuid),
                           [&] { import->delete_acknowledged = true; });
      }
    }
    if (HasUnknownOutcome(status)) return;
    if (!status.ok()) {
      oracle.Broken(Violation::Kind::kOther, absl::StrCat("importing: ", status.ToString()));
      return;
    }
    WaitForStop(stop, absl::Milliseconds(10));
  }
}

}  // namespace cvtrain
