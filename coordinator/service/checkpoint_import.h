#ifndef CVTRAIN_COORDINATOR_SERVICE_CHECKPOINT_IMPORT_H_
#define CVTRAIN_COORDINATOR_SERVICE_CHECKPOINT_IMPORT_H_

#include <grpcpp/support/sync_stream.h>

#include "absl/status/status.h"
#include "coordinator/engine/caller.h"
#include "coordinator/service/dispatch.h"
#include "coordinator/storage/checkpoints/checkpoint_store.h"
#include "cvtrain/v1/checkpoint.pb.h"

namespace cvtrain::coordinator {

// Takes in the weights that `reader` sends, for CheckpointService::ImportCheckpoint: a header, then
// the bytes in chunks. Answers when event and bytes are durable. Holds a chunk and the manifest.
//
// Returns the errors of Dispatch::CheckRequestId(), DecideImportCheckpoint() and CheckpointStore;
// RESOURCE_EXHAUSTED (DISK_FULL) while only the reserve is left, before any byte is taken;
// INVALID_ARGUMENT (FIELD_INVALID) without a header, or for a file that says that a trial made it
// or that it is another one; DATA_LOSS (CHECKPOINT_BAD) if the bytes are no checkpoint. An error
// leaves nothing; after UNAVAILABLE the outcome is unknown.
absl::Status ImportCheckpoint(Dispatch& dispatch, CheckpointStore& store, const Caller& caller,
                              grpc::ServerReader<v1::ImportCheckpointRequest>* reader,
                              v1::ImportCheckpointResponse* response);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_SERVICE_CHECKPOINT_IMPORT_H_
