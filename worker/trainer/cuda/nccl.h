#ifndef CVTRAIN_WORKER_TRAINER_CUDA_NCCL_H_
#define CVTRAIN_WORKER_TRAINER_CUDA_NCCL_H_

#include <cuda_runtime_api.h>

#include <cstddef>

namespace cvtrain::trainer {

// The part of NCCL's C interface that is used here, declared by hand: the library comes with
// LibTorch's CUDA part, and its header only with another 200 MB. The interface has been stable
// since NCCL 2.0; names and numbers are those of nccl.h.
struct Nccl {
  struct UniqueId {
    char bytes[128];
  };
  using Comm = struct ncclComm*;
  enum Result : int { kSuccess = 0, kInProgress = 7 };
  enum DataType : int { kInt64 = 4, kFloat32 = 7, kFloat64 = 8 };
  enum Operation : int { kSum = 0, kMax = 2 };

  Result (*GetUniqueId)(UniqueId* id);
  Result (*CommInitRank)(Comm* comm, int ranks, UniqueId id, int rank);
  Result (*CommAbort)(Comm comm);
  Result (*CommGetAsyncError)(Comm comm, Result* error);
  Result (*AllReduce)(const void* from, void* to, size_t count, DataType type, Operation operation,
                      Comm comm, cudaStream_t stream);
  Result (*Broadcast)(const void* from, void* to, size_t count, DataType type, int root, Comm comm,
                      cudaStream_t stream);
  const char* (*GetErrorString)(Result result);

  // Throws c10::DistBackendError if the library, or a function of it, is not there.
  static const Nccl& Get();
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_CUDA_NCCL_H_
