#ifndef CVTRAIN_WORKER_TRAINER_SNAPSHOT_SNAPSHOT_TENSOR_H_
#define CVTRAIN_WORKER_TRAINER_SNAPSHOT_SNAPSHOT_TENSOR_H_

#include <ATen/core/Tensor.h>

#include <string>

#include "cvtrain/storage/v1/checkpoint.pb.h"

namespace cvtrain::trainer {

// Before the name of a parameter or buffer: its moving average.
inline constexpr char kAveragePrefix[] = "ema/";

// A tensor of the trainer's state with its name in checkpoints. The tensor shares memory with the
// one that training changes.
struct SnapshotTensor {
  std::string name;
  at::Tensor tensor;
  storage::v1::Tensor::Role role = storage::v1::Tensor::ROLE_UNSPECIFIED;
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_SNAPSHOT_SNAPSHOT_TENSOR_H_
