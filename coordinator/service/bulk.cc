#include "coordinator/service/bulk.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "common/crc32c.h"
#include "common/errors.h"
#include "common/ids.h"
#include "common/limits.h"
#include "common/memfd.h"
#include "common/peer_process.h"
#include "common/status_macros.h"
#include "coordinator/state/proto_time.h"

namespace cvtrain::coordinator {
namespace {

absl::StatusOr<SharedMemory> OpenShared(const session::v1::SharedBytes& shared) {
  if (shared.place() != PeerProcess::Place()) {
    return FailedPrecondition(Reason::kWrongState, "of another machine or user");
  }
  CVT_ASSIGN_OR_RETURN(const PeerProcess process, PeerProcess::Open(shared.process()));
  CVT_ASSIGN_OR_RETURN(UniqueFd memory, process.OpenFile(shared.file()));
  return SharedMemory::MapReadOnly(std::move(memory), limits::kCheckpointSizeBytesMax);
}

}  // namespace

absl::Status SendCheckpoint(const CheckpointStore& store, absl::string_view name, int64_t offset,
                            const std::function<bool(const CheckpointChunk& chunk)>& send) {
  CVT_ASSIGN_OR_RETURN(const CheckpointName checkpoint, CheckpointName::Parse(name));
  while (true) {
    CVT_ASSIGN_OR_RETURN(const CheckpointChunk chunk, store.Read(checkpoint.uuid(), offset));
    if (chunk.bytes.empty() || !send(chunk)) return absl::OkStatus();
    offset += static_cast<int64_t>(chunk.bytes.size());
  }
}

absl::Status AppendShared(const session::v1::SharedBytes& shared,
                          const std::function<bool()>& is_cancelled, CheckpointWriter& writer) {
  const absl::StatusOr<SharedMemory> memory = OpenShared(shared);
  if (!memory.ok()) {
    return FailedPrecondition(Reason::kWrongState,
                              absl::StrCat("the worker's memory: ", memory.status().message()));
  }
  const absl::Span<const char> bytes = memory->bytes();
  while (!writer.complete()) {
    if (is_cancelled()) return Cancelled(Reason::kStopping, "the worker has given up");
    CVT_RETURN_IF_ERROR(writer.AppendFrom([&](int64_t offset, absl::Span<char> to) -> absl::Status {
      const auto begin = static_cast<size_t>(offset);
      if (begin + to.size() > bytes.size()) {
        return DataLoss(Reason::kCheckpointBad,
                        "the worker's memory is shorter than the checkpoint");
      }
      std::memcpy(to.data(), bytes.data() + begin, to.size());
      return absl::OkStatus();
    }));
  }
  return absl::OkStatus();
}

absl::Status SendShard(const ShardStore& store, absl::string_view digest, const ByteRange& range,
                       const std::function<bool(const std::string& bytes, uint32_t crc32c)>& send) {
  CVT_ASSIGN_OR_RETURN(const auto file, store.OpenRead(digest));
  CVT_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  if (range.offset < 0 || static_cast<uint64_t>(range.offset) > size) {
    return InvalidArgument(Reason::kFieldInvalid,
                           absl::StrCat("offset: must be in [0, ", size, "], got ", range.offset));
  }
  const auto offset = static_cast<uint64_t>(range.offset);
  if (range.length < 0 || static_cast<uint64_t>(range.length) > size - offset) {
    return InvalidArgument(Reason::kFieldInvalid,
                           absl::StrCat("length: must be in [0, ", size - offset, "] from offset ",
                                        offset, ", got ", range.length));
  }
  const uint64_t end = range.length == 0 ? size : offset + static_cast<uint64_t>(range.length);
  std::string bytes;
  for (uint64_t at = offset; at < end; at += bytes.size()) {
    bytes.resize(std::min<uint64_t>(limits::kChunkSizeBytes, end - at));
    CVT_ASSIGN_OR_RETURN(const size_t got, file->Read(at, absl::MakeSpan(bytes)));
    if (got != bytes.size()) {
      return DataLoss(Reason::kShardBad, absl::StrCat("shard ", digest, ": ends at ", at + got,
                                                      " of ", size, " bytes"));
    }
    if (!send(bytes, Crc32c(bytes))) break;
  }
  return absl::OkStatus();
}

absl::StatusOr<LogBatch> LogBatchOf(const session::v1::ReportLogsRequest& request) {
  CVT_ASSIGN_OR_RETURN(const AttemptName attempt, AttemptName::Parse(request.attempt()));
  LogBatch batch = {.trial = attempt.trial(),
                    .stream = request.stream(),
                    .sequence = request.sequence(),
                    .lines = {}};
  for (const v1::LogLine& line : request.lines()) {
    batch.lines.push_back({.time = FromTimestamp(line.time()),
                           .level = line.level(),
                           .attempt = static_cast<int32_t>(attempt.number()),
                           .rank = line.rank(),
                           .text = line.text()});
  }
  return batch;
}

}  // namespace cvtrain::coordinator
