#ifndef CVTRAIN_WORKER_TRAINER_SNAPSHOT_RESTORE_H_
#define CVTRAIN_WORKER_TRAINER_SNAPSHOT_RESTORE_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/unique_fd.h"
#include "cvtrain/storage/v1/checkpoint.pb.h"
#include "worker/trainer/snapshot/snapshot_tensor.h"

namespace cvtrain::trainer {

// What a checkpoint must agree with, to be gone on from.
struct RestoreExpectation {
  std::string checkpoint;  // what errors call it: checkpoints/{uuid}
  int64_t step = 0;
  std::string recipe_digest;
  std::string dataset_digest;
  int32_t plan_version = 0;
  uint64_t seed = 0;
  int32_t logical_ranks = 0;
};

// Copies the tensors of the checkpoint in `file` into `tensors` and returns its manifest. Each
// block is checked and copied while it is in the processor's cache, so after an error the tensors
// may have been changed.
//
// DATA_LOSS (CHECKPOINT_BAD)  a block is damaged; or a tensor is missing, unexpected, or has
//                             another shape or type: the message names it
// FAILED_PRECONDITION (WRONG_STATE)            made by another recipe, of other data, with another
//                             seed or number of logical ranks, or at another step
// FAILED_PRECONDITION (PLAN_VERSION_MISMATCH)  made under another plan version
absl::StatusOr<storage::v1::CheckpointManifest> Restore(const UniqueFd& file, int64_t size_bytes,
                                                        const RestoreExpectation& expected,
                                                        const std::vector<SnapshotTensor>& tensors);

// Copies the weights of the checkpoint in `file`, which `checkpoint` names, into `tensors`:
// parameters and buffers by their names, the averages of those that have some. It may be of any
// trial. `skipped`: of the names that are not in `tensors`, those that it may have. After an error
// the tensors may have been changed.
//
// DATA_LOSS (CHECKPOINT_BAD)         a block is damaged
// INVALID_ARGUMENT (RECIPE_INVALID)  it has another tensor, lacks one, or has one that does not
// fit:
//                                    the message names it
absl::Status LoadWeights(const UniqueFd& file, int64_t size_bytes, const std::string& checkpoint,
                         const std::vector<SnapshotTensor>& tensors,
                         const std::set<std::string>& skipped);

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_SNAPSHOT_RESTORE_H_
