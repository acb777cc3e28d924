#ifndef CVTRAIN_COORDINATOR_SERVICE_BULK_H_
#define CVTRAIN_COORDINATOR_SERVICE_BULK_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/storage/catalogue/shard_store.h"
#include "coordinator/storage/checkpoints/checkpoint_store.h"
#include "coordinator/storage/logs/log_store.h"
#include "cvtrain/session/v1/session.pb.h"

// Between the stores and the streams that move their bytes. Thread-safe.
namespace cvtrain::coordinator {

// Sends a checkpoint from `offset` on. `send` returns false when the receiver
// is gone, which ends the transfer without an error: nobody would hear it.
//
// Returns INVALID_ARGUMENT (BAD_RESOURCE_NAME, FIELD_INVALID) and the errors of
// CheckpointStore::Read().
absl::Status SendCheckpoint(const CheckpointStore& store, absl::string_view name, int64_t offset,
                            const std::function<bool(const CheckpointChunk& chunk)>& send);

// Appends all of a checkpoint to `writer` from the memory of a worker on this machine, whose caller
// must be of this process's user: somebody else could have it read what is not theirs. Asks
// `is_cancelled` before each chunk.
//
// Returns FAILED_PRECONDITION (WRONG_STATE) if there is no such memory that this process may read,
// CANCELLED (STOPPING), and the errors of CheckpointWriter::Append().
absl::Status AppendShared(const session::v1::SharedBytes& shared,
                          const std::function<bool()>& is_cancelled, CheckpointWriter& writer);

// Bytes of a file.
struct ByteRange {
  int64_t offset = 0;
  int64_t length = 0;  // 0: to the end
};

// Sends `range` of a shard, as SendCheckpoint().
//
// Returns INVALID_ARGUMENT (FIELD_INVALID) for a range that is not inside of it,
// and the errors of ShardStore::OpenRead().
absl::Status SendShard(const ShardStore& store, absl::string_view digest, const ByteRange& range,
                       const std::function<bool(const std::string& bytes, uint32_t crc32c)>& send);

// A worker's lines as the store takes them. INVALID_ARGUMENT (BAD_RESOURCE_NAME).
absl::StatusOr<LogBatch> LogBatchOf(const session::v1::ReportLogsRequest& request);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_SERVICE_BULK_H_
