#ifndef CVTRAIN_WORKER_TRAINER_SNAPSHOT_TENSOR_TYPES_H_
#define CVTRAIN_WORKER_TRAINER_SNAPSHOT_TENSOR_TYPES_H_

#include <ATen/core/Tensor.h>

#include "absl/status/statusor.h"
#include "cvtrain/storage/v1/checkpoint.pb.h"

namespace cvtrain::trainer {

// The type of a tensor's elements in a checkpoint. INTERNAL (INTERNAL) for types that checkpoints
// do not have.
absl::StatusOr<storage::v1::Tensor::DataType> DataTypeOf(const at::Tensor& tensor);

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_SNAPSHOT_TENSOR_TYPES_H_
